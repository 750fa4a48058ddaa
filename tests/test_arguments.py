"""Every verb refuses wrong arguments in one sentence that names them, before any work."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import stsr
from stsr.arguments import Device, Genes, at_home

NAN = math.nan


@pytest.fixture(scope="module")
def sdata():
    section = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12)
    stsr.pp.calibrate_image(section, target_mpp=4.0)
    stsr.tl.fit_super_resolution(section, method="nearest", genes=["PODO1"], bin_size=16, progress=False)
    return section


VERBS = {
    "calibrate_image": lambda s, **more: stsr.pp.calibrate_image(s, **{"key_added": "q", **more}),
    "make_grid": lambda s, **more: stsr.pp.make_grid(s, **{"key_added": "q", **more}),
    "extract_features": lambda s, **more: stsr.pp.extract_features(s, **{"bin_size": 16, "key_added": "q", **more}),
    "select_genes": lambda s, **more: stsr.pp.select_genes(s, **more),
    "simulate_spots": lambda s, **more: stsr.pp.simulate_spots(
        s, **{"table": "truth_008um", "store": "z.zarr", **more}
    ),
    "register_check": lambda s, **more: stsr.pp.register_check(s, **{"table": "truth_008um", **more}),
    "densify_spots": lambda s, **more: stsr.pp.densify_spots(s, **more),
    "fit_super_resolution": lambda s, **more: stsr.tl.fit_super_resolution(
        s, **{"method": "idw", "genes": ["PODO1"], "bin_size": 16, "key_added": "q", **more}
    ),
    "evaluate": lambda s, **more: stsr.tl.evaluate(
        s, **{"table": "sr_016um", "truth": AnnData(np.ones((2, 2))), "scales": (16,), **more}
    ),
    "aggregate": lambda s, **more: stsr.tl.aggregate(
        s, **{"table": "sr_016um", "by": "synthetic", "key_added": "q", **more}
    ),
    "gene_map": lambda s, **more: stsr.pl.gene_map(s, **{"genes": "PODO1", "table": "sr_016um", **more}),
    "compare": lambda s, **more: stsr.pl.compare(s, **{"genes": "PODO1", "table": "sr_016um", **more}),
}

SEEDS = (-1, 1.5, "0", 2**32, True, None, NAN)
BINS = ("8", NAN, True, 0, -1, 1e9, [8])

WRONG = [
    ("calibrate_image", {"target_mpp": (True, "1", NAN, 0, None), "stain": ("x", 5, []), "overwrite": ("yes", 1)}),
    ("make_grid", {"bin_size": BINS, "angle": (NAN, "a", 1e300, None, True), "overwrite": ("False", None)}),
    ("extract_features", {"batch_size": (0, -1, 1.5, True, "3", 10**9), "device": ("gpu", 0, None, "cuda:99")}),
    ("extract_features", {"progress": ("no", 1), "overwrite": ("no",), "bin_size": ("8", NAN, True)}),
    ("select_genes", {"genes": (0, True, None, NAN, "x", [], [None], {"a"}, np.array([]), np.ones((2, 2)))}),
    ("select_genes", {"flavor": ("x", 5, [])}),
    (
        "simulate_spots",
        {"diameter": (0, NAN, "a", True), "pitch": (1e-9, NAN), "layout": ("x", 5), "angle": (NAN, 1e300)},
    ),
    (
        "simulate_spots",
        {"jitter": (-1, NAN), "efficiency": (0, 2, NAN), "diffusion": (-1, NAN), "min_coverage": (0, 2)},
    ),
    ("simulate_spots", {"split": (0, 1, NAN, "0.5", True), "efficiency_sd": (-1, NAN, "a", None, 4)}),
    ("simulate_spots", {"seed": SEEDS, "overwrite": ("no",), "dataset_id": ("a b", 5, "")}),
    ("register_check", {"window": (0, NAN, "a", True), "reach": (0, NAN, "a"), "seed": SEEDS}),
    ("densify_spots", {"factor": (0, 3, True, "4", 4.5, NAN, [])}),
    ("fit_super_resolution", {"method": ("no", 5, None, []), "bin_size": BINS, "seed": SEEDS, "progress": ("no", 1)}),
    (
        "fit_super_resolution",
        {"genes": (0, -1, True, 1.5, "x", [], [1], {}, None, NAN), "device": ("gpu", 5, "cuda:99")},
    ),
    (
        "fit_super_resolution",
        {"options": (5, "a=1", [("a", 1)]), "key_added": (5, "a/b", " "), "overwrite": ("False", 0)},
    ),
    ("evaluate", {"scales": ([], (0,), ("a",), "8", (NAN,), (math.inf,), (True,)), "metrics": ([], "pearson", 5, [5])}),
    ("evaluate", {"seed": SEEDS, "ceiling": ("no", 1), "table": (5, None, [])}),
    ("aggregate", {"key_added": (5, "a b"), "overwrite": ("no", 1)}),
    (
        "gene_map",
        {
            "genes": ([], 5, None, [5]),
            "vmin": ("p101", NAN, "a", True, None, [0]),
            "vmax": (0, -1, NAN, "p", "99", True),
            "size": (0, -1, NAN, "a", 1e9),
        },
    ),
    ("gene_map", {"ncols": (0, -1, 1.5, "a"), "crop": ((1,), "abcd", (0, 0, NAN, 5), 5), "image": ("no",)}),
    ("compare", {"genes": ([], 5), "vmin": ("a", NAN), "vmax": (0, "p200"), "size": (0, NAN), "crop": ((1,),)}),
]
CASES = [(verb, name, value) for verb, wrong in WRONG for name, values in wrong.items() for value in values]


@pytest.mark.parametrize(("verb", "name", "value"), CASES)
def test_a_wrong_argument_is_refused_in_one_sentence_that_names_it(sdata, verb, name, value):
    before = sorted(name for _, name, _ in sdata.gen_elements())
    with pytest.raises(ValueError, match=name) as error:
        VERBS[verb](sdata, **{name: value})
    assert "\n" not in str(error.value)
    assert sorted(name for _, name, _ in sdata.gen_elements()) == before


@pytest.mark.parametrize("wrong", ["section.zarr", None, 5, AnnData(np.ones((2, 2))), pd.DataFrame({"a": [1]}), {}])
@pytest.mark.parametrize("verb", sorted({*VERBS} - {"gene_map", "compare"}))
def test_what_is_no_section_is_refused(verb, wrong):
    with pytest.raises(ValueError, match="sdata is of type .*, not a SpatialData object; pass a section"):
        VERBS[verb](wrong)


@pytest.mark.parametrize("wrong", ["model.safetensors", None, {}])
def test_what_is_no_model_is_refused(sdata, wrong):
    with pytest.raises(ValueError, match="model=.* is not allowed; pass what stsr.tl.fit_super_resolution"):
        stsr.tl.predict(sdata, wrong)


def test_genes_are_a_number_all_or_names():
    for value, kept in (
        (np.int64(3), 3),
        ("all", "all"),
        (("A", "B"), ["A", "B"]),
        (pd.Index(["A"]), ["A"]),
        (np.array(["A", "B"]), ["A", "B"]),
        ((gene for gene in "AB"), ["A", "B"]),
        ({"B", "A"}, ["A", "B"]),
        (dict.fromkeys("BA").keys(), ["B", "A"]),
        (np.array(3), 3),
    ):
        assert Genes()("genes", value) == kept
    assert {type(gene) for gene in Genes()("genes", np.array(["A", "B"]))} == {str}
    assert Genes().read("3") == 3
    assert Genes().read("all") == "all"
    assert Genes().read("genes.txt") == "genes.txt"


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices_have_names(name):
    assert Device()("device", name) == name


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1"])
def test_devices_of_torch_are_taken_by_their_names(name):
    assert Device()("device", torch.device(name)) == name


def test_a_home_that_nobody_has_stays_in_a_path():
    assert at_home("~/a") == Path.home() / "a"
    assert at_home("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a")
