"""The command line: every command on a small section, and errors told in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toys.spatial import toy_image
from toys.visium_hd import hd_folder
from toys.xenium import toy_xenium

import stsr
from stsr.cli import demo, main
from stsr.cli.evaluate import summary
from stsr.cli.registries import columns
from stsr.cli.run import parse_genes, parse_options, read_tissue
from stsr.methods import METHODS
from stsr.spatial import labels_to_grid, open_store, record

SMALL = {"size": (600.0, 600.0), "n_genes": 16}


@pytest.fixture(scope="module")
def made():
    return stsr.datasets.synthetic_section(**SMALL)


@pytest.fixture(scope="module")
def outs(made, tmp_path_factory):
    """A vendor folder of the small section, and its image."""
    spots = made["table"]
    folder = tmp_path_factory.mktemp("vendor") / "outs"
    image = np.asarray(made[record(made).image]["scale0"]["image"].data).transpose(1, 2, 0)
    return stsr.datasets.write_visium_folder(
        folder,
        counts=spots.X,
        genes=list(spots.var_names),
        xy=spots.obsm["spatial"],
        array_rowcol=spots.obs[["array_row", "array_col"]].to_numpy(),
        image=image,
        mpp=1.0,
    ).parent


@pytest.fixture(scope="module")
def finished(outs, tmp_path_factory):
    """A store that ``stsr run`` wrote."""
    out = tmp_path_factory.mktemp("result") / "section.zarr"
    code = main([*run_args(outs, out), "--model-out", str(out.parent / "model.safetensors"), "--quiet"])
    assert code == 0
    return out


def run_args(outs, out, *more):
    return [
        *("run", "visium", str(outs), "--fullres-image", str(outs / "he.tif"), "--out", str(out)),
        *("--method", "idw", "--genes", "all", "--bin-size", "16", *more),
    ]


def refused(capsys, *argv) -> str:
    """The one sentence of a command that fails."""
    assert main(list(map(str, argv))) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("stsr: error: ")
    return lines[0]


def test_help_is_shown_without_the_heavy_libraries():
    code = (
        "import json, sys\nfrom stsr.cli import main\n"
        "try:\n    main(['run', 'visium', '--help'])\nexcept SystemExit as stop:\n"
        "    print('\\n' + json.dumps([stop.code, sorted({m.split('.')[0] for m in sys.modules})]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, modules = json.loads(result.stdout.strip().splitlines()[-1])
    assert status == 0
    assert not {"numpy", "torch", "spatialdata", "scanpy", "matplotlib"} & set(modules)
    for option in (
        "--genes",
        "--encoder",
        "--method",
        "--bin-size",
        "--seed",
        "--device",
        "--target-mpp",
        "--model-out",
    ):
        assert option in result.stdout


def test_its_version_can_be_asked_for(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"stsr {stsr.__version__}"


def test_run_writes_the_table_and_the_model(finished):
    sdata = open_store(finished)
    table = sdata["sr_016um"]
    assert list(table.var_names) == list(sdata["table"].var_names)
    assert table.n_obs > 500
    assert table.uns["stsr"]["method"] == "idw"
    assert stsr.tl.Model.load(finished.parent / "model.safetensors") is not None


def st_folder(folder):
    """Files of the section B4 as legacy Spatial Transcriptomics has them: 30 spots, 200 µm and 50 pixels apart."""
    folder.mkdir()
    y, x = np.divmod(np.arange(30), 6)
    places = pd.DataFrame({"x": x, "y": y, "pixel_x": 50 * x + 40, "pixel_y": 50 * y + 40})
    places.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    counts = pd.DataFrame(
        {"ERBB2": x + 1, "ACTB": y + 2}, index=[f"{col}x{row}" for col, row in zip(x, y, strict=True)]
    )
    counts.to_csv(folder / "B4.tsv.gz", sep="\t")
    Image.fromarray(toy_image(280, 330)).save(folder / "B4.jpg")


def xenium_folder(folder):
    """A run whose H&E and alignment lie elsewhere."""
    toy_xenium(folder)
    for file in folder.glob("toy_he_image*"):
        file.rename(folder.parent / file.name)


H_AND_E = ("--fullres-image", "../toy_he_image.ome.tif", "--alignment", "../toy_he_imagealignment.csv")


@pytest.mark.parametrize(
    ("platform", "write", "options", "technology", "spot_size"),
    [
        ("visium-hd", hd_folder, (), "visium_hd", 16),
        ("visium-hd", hd_folder, ("--input-bin-size", "8", "--bin-size", "4"), "visium_hd", 8),
        ("xenium", xenium_folder, ("--input-bin-size", "32", *H_AND_E), "xenium", 32),
        ("st", st_folder, ("--section", "B4", "--bin-size", "20", "--angle", "10"), "spatial_transcriptomics", 100),
    ],
)
def test_every_platform_runs(tmp_path, capsys, platform, write, options, technology, spot_size):
    write(tmp_path / "kidney")
    out = tmp_path / "section.zarr"
    shared = ("--out", str(out), "--method", "nearest", "--genes", "all", "--target-mpp", "4", "--stain", "none")
    assert main(["run", platform, str(tmp_path / "kidney"), *shared, *options]) == 0
    size = int(options[options.index("--bin-size") + 1]) if "--bin-size" in options else 8
    key = f"sr_{size:03d}um"
    assert f"in the table {key!r}" in capsys.readouterr().out
    sdata = open_store(out)
    facts = record(sdata)
    assert (facts.technology, facts.spot_size) == (technology, spot_size)
    grid, measured = labels_to_grid(sdata, f"grid_{size:03d}um"), sdata[facts.table]
    assert list(sdata[key].var_names) == list(measured.var_names)
    if facts.spots in sdata.labels:  # cells are whole parts of the bins
        bins = labels_to_grid(sdata, facts.spots)
        assert grid.n_cells == bins.n_cells * (spot_size / size) ** 2
        np.testing.assert_allclose(sdata[key].X.sum(axis=0), np.asarray(measured.X.sum(axis=0)).ravel(), rtol=1e-4)
    else:
        np.testing.assert_allclose(np.degrees(np.arctan2(grid.affine[1, 0], grid.affine[0, 0])), 10)


@pytest.mark.parametrize(
    ("platform", "more", "message"),
    [
        ("visium", (), "the following arguments are required: --fullres-image"),
        ("st", (), "the following arguments are required: --section"),
        ("xenium", ("--mpp", "0.5"), "unrecognized arguments: --mpp 0.5"),
        ("visium-hd", ("--angle", "5"), "unrecognized arguments: --angle 5"),
    ],
)
def test_a_platform_has_the_options_that_make_sense_for_it(capsys, platform, more, message):
    with pytest.raises(SystemExit):
        main(["run", platform, "folder", "--out", "section.zarr", *more])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "more", "message"),
    [
        ("visium-hd", (), "stsr.pp.read_visium"),
        ("xenium", (), "lacks experiment.xenium"),
        ("st", ("--section", "B4"), "section='B4' has no counts"),
    ],
)
def test_a_folder_of_another_platform_is_refused(outs, tmp_path, capsys, platform, more, message):
    out = tmp_path / "section.zarr"
    assert message in refused(capsys, "run", platform, outs, "--out", out, *more)
    assert not out.exists()


def test_bins_that_the_grid_cannot_be_made_of_are_refused(tmp_path, capsys):
    hd_folder(tmp_path / "kidney")
    args = ("run", "visium-hd", tmp_path / "kidney", "--out", tmp_path / "a.zarr", "--method", "nearest")
    assert "bin_size=6 µm neither divides the bins of like (16 µm)" in refused(capsys, *args, "--bin-size", "6")
    assert "bin_size=3.0 µm is neither on disk nor" in refused(capsys, *args, "--input-bin-size", "3", "--overwrite")


def test_run_tells_each_step_and_sums_up(outs, tmp_path, capsys):
    (tmp_path / "genes.txt").write_text("PODO1\n\nPTUA1\n")
    out = tmp_path / "section.zarr"
    args = run_args(outs, out, "--stain", "none", "--angle", "3", "--option", "neighbours=4", "--dataset-id", "mine")
    args[args.index("--genes") + 1] = str(tmp_path / "genes.txt")
    assert main(args) == 0
    told = capsys.readouterr().out
    assert "reading" in told
    assert "super-resolving with idw" in told
    assert "cells x 2 genes in the table 'sr_016um'" in told.splitlines()[-1]
    sdata = open_store(out)
    assert list(sdata["sr_016um"].var_names) == ["PODO1", "PTUA1"]
    assert record(sdata).dataset_id == "mine"


def test_existing_output_needs_overwrite(outs, finished, capsys):
    before = sorted(p.name for p in finished.iterdir())
    assert f"--out {finished} exists; pass --overwrite" in refused(capsys, *run_args(outs, finished))
    assert sorted(p.name for p in finished.iterdir()) == before
    model = finished.parent / "model.safetensors"
    args = run_args(outs, finished.parent / "new.zarr", "--model-out", str(model))
    assert f"--model-out {model} exists; pass --overwrite" in refused(capsys, *args)
    assert not (finished.parent / "new.zarr").exists()


def test_a_model_cannot_lie_where_the_store_is_made(outs, tmp_path, capsys):
    out, file = tmp_path / "new.zarr", tmp_path / "file"
    file.touch()
    for model, message in (
        (out / "model.safetensors", "lie in one another; name a file beside the store"),
        (out, "lie in one another"),
        (file / "model.safetensors", f"--model-out {file}/model.safetensors cannot be written"),
    ):
        assert message in refused(capsys, *run_args(outs, out, "--model-out", str(model)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--method", "magic"), "method='magic' is not known; choose one of"),
        (("--option", "power"), "--option power is not of the form KEY=VALUE"),
        (("--option", "power=two"), "power='two' is not allowed; pass a number from 0.01 to 20"),
        (("--option", "power=nan"), "power=nan is not allowed"),
        (("--option", "power=true"), "power='true' is not allowed"),
        (("--option", "neighbours=1.5"), "neighbours='1.5' is not allowed; pass a whole number from 1 to 1024"),
        (("--option", "power=2", "--option", "power=3"), "--option power is given twice, as 2.0 and 3"),
        (("--method", "histex", "--option", "faithful=abc"), "faithful='abc' is not allowed; pass True or False"),
        (("--genes", "-5"), "--genes=-5 is not allowed; pass how many"),
        (("--genes", "2000000"), "--genes=2000000 is not allowed"),
        (("--genes", ""), "--genes is neither a number"),
        (("--dataset-id", ""), "dataset_id='' cannot name elements"),
        (("--device", "cuda:99"), "device='cuda:99' is not available"),
        (("--option", "spell=1"), "method 'idw' has no option 'spell'; it has"),
        (("--genes", "nowhere.txt"), "--genes nowhere.txt is neither a number, nor 'all', nor a file"),
        (("--encoder", "magic", "--method", "ridge"), "encoder='magic'"),
        (("--mpp", "40"), "mpp=40"),
        (("--fullres-image", "nowhere.tif"), "fullres_image='nowhere.tif'"),
    ],
)
def test_bad_input_is_told_in_one_sentence(outs, tmp_path, capsys, more, message):
    assert message in refused(capsys, *run_args(outs, tmp_path / "section.zarr", *more))


def test_evaluate_against_a_table_or_a_file(made, finished, tmp_path, capsys):
    made["truth_008um"].write_h5ad(tmp_path / "truth.h5ad")
    csv = tmp_path / "scores.csv"
    args = ["evaluate", str(finished), "--truth", str(tmp_path / "truth.h5ad"), "--table", "sr_016um"]
    assert main([*args, "--scales", "16", "32", "--out", str(csv)]) == 0
    told = capsys.readouterr().out
    scores = pd.read_csv(csv)
    assert set(scores["scale_um"]) == {16, 32}
    assert told.strip() == summary(scores).strip()
    assert f"--out {csv} exists" in refused(capsys, *args, "--out", csv)
    assert "--truth nothing is neither a file nor a table of the store, which holds sr_016um, table" in refused(
        capsys, "evaluate", finished, "--truth", "nothing"
    )


def test_evaluate_takes_truth_from_the_store(tmp_path, capsys):
    store = tmp_path / "section.zarr"
    sdata = stsr.datasets.synthetic_section(**SMALL, store=store)
    stsr.tl.fit_super_resolution(sdata, method="nearest", genes=["PODO1", "PTUA1"], progress=False)
    assert main(["evaluate", str(store), "--truth", "truth_008um", "--scales", "8"]) == 0
    assert "mean over 2 genes" in capsys.readouterr().out


def test_methods_and_encoders_print_the_registries(capsys):
    assert main(["methods"]) == 0
    told = capsys.readouterr().out
    for name, method in METHODS.items():
        assert f"\n{name} " in told
        assert method.info.title in told
    assert main(["encoders"]) == 0
    told = capsys.readouterr().out
    assert "\ntexture " in told
    assert "\nuni " in told
    assert "CC-BY-NC-ND" in told


def test_info_tells_versions_or_contents(finished, capsys):
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    assert f"anndata           {version('anndata')}" in told
    assert "device" in told
    assert main(["info", str(finished)]) == 0
    told = capsys.readouterr().out
    assert "visium section" in told
    assert "1 µm/px" in told
    for name in ("sr_016um", "grid_016um", "he", "tissue"):
        assert f" {name} " in told
    assert "method idw" in told


def test_stores_that_are_missing_or_foreign_are_refused(tmp_path, capsys):
    refused(capsys, "info", tmp_path / "missing.zarr")
    (tmp_path / "foreign.zarr").mkdir()
    refused(capsys, "evaluate", tmp_path / "foreign.zarr", "--truth", "x")


def test_demo_leaves_store_model_and_maps(tmp_path, capsys, monkeypatch):
    make = stsr.datasets.synthetic_section
    monkeypatch.setattr(stsr.datasets, "synthetic_section", lambda **more: make(**SMALL, **more))
    monkeypatch.setattr(demo, "BASELINES", ("nearest",))
    monkeypatch.setattr(demo, "METHOD", "idw")
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    told, warned = capsys.readouterr()
    assert "molecules of the truth" not in warned
    assert {path.name for path in out.iterdir()} == {
        "section.zarr",
        "model.safetensors",
        *(f"{gene}.png" for gene in demo.GENES),
    }
    for line in ("method", "nearest", "idw", "noise ceiling"):
        assert f"\n{line} " in told
    assert f"{out}/ holds" in told
    assert f"{out / 'section.zarr'} exists; pass --overwrite" in refused(capsys, "demo", "--out", out)
    monkeypatch.setattr(demo, "GENES", demo.GENES[:1])
    assert main(["demo", "--out", str(out), "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_interruption_ends_without_a_traceback(capsys, monkeypatch):
    def interrupt(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("stsr.spatial.open_store", interrupt)
    assert main(["info", "section.zarr"]) == 130
    assert capsys.readouterr().err == "stsr: interrupted\n"


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (
            ZeroDivisionError("a fault"),
            1,
            "stsr: fault: ZeroDivisionError: a fault - this is a fault of stsr; please report",
        ),
        (TypeError("odd\nlines"), 1, "stsr: fault: TypeError: odd lines - this is a fault of stsr"),
        (ValueError("name=1 is\x1b[2J wrong."), 2, "stsr: error: name=1 is\\x1b[2J wrong.\n"),
        (
            ModuleNotFoundError("No module named 'timm'", name="timm"),
            2,
            "stsr: error: the package 'timm' is not installed",
        ),
        (MemoryError(), 2, "stsr: error: MemoryError\n"),
        (OSError(28, "the store does not fit."), 2, "stsr: error: the store does not fit.\n"),
        (OSError(28, "No space left", "a"), 2, "stsr: error: [Errno 28] No space left: 'a'\n"),
    ],
)
def test_a_fault_of_ours_is_told_apart_from_what_the_user_can_change(capsys, monkeypatch, raised, code, told):
    def fault(*args, **more):
        raise raised

    monkeypatch.setattr("stsr.spatial.open_store", fault)
    assert main(["info", "section.zarr"]) == code
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--seed", "-1"),
            "argument --seed: '-1' is not",
        ),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--seed", "4294967296"),
            "argument --seed",
        ),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--bin-size", "1000"),
            "number from 2 to 100",
        ),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--bin-size", "nan"),
            "argument --bin-size",
        ),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--target-mpp", "0"),
            "argument --target-mpp",
        ),
        (("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--mpp", "inf"), "argument --mpp"),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--angle", "1e300"),
            "argument --angle",
        ),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", "o.zarr", "--device", "gpu"),
            "argument --device: 'gpu'",
        ),
        (
            ("run", "visium", "in", "--fullres-image", "a.tif", "--out", ""),
            "argument --out: '' is not allowed; pass a path",
        ),
        (("run", "visium-hd", "in", "--out", "o.zarr", "--input-bin-size", "-8"), "argument --input-bin-size"),
        (("evaluate", "s.zarr", "--truth", "t", "--scales", "8", "inf"), "argument --scales: 'inf' is not allowed"),
        (("evaluate", "", "--truth", "t"), "argument SECTION.zarr: '' is not allowed; pass a path"),
        (("demo", "--seed", "1.5"), "argument --seed: '1.5' is not allowed; pass a whole number"),
    ],
)
def test_arguments_are_read_by_the_rules_of_the_verbs(capsys, argv, message):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_options_and_genes_are_read(tmp_path):
    options = parse_options(["epochs=30", "learning_rate=1e-3", "faithful=True", "batch=null", "held_out=a=b"], "istar")
    assert options == {"epochs": 30, "learning_rate": 1e-3, "faithful": True, "batch": None, "held_out": "a=b"}
    assert parse_options(["faithful=false", "spell=1"], "istar") == {"faithful": False, "spell": "1"}
    assert parse_options(["methods=[idw,'ridge']"], "stack") == {"methods": ["idw", "ridge"]}
    (tmp_path / "genes.txt").write_text("  UMOD \n\nNPHS2\n")
    assert parse_genes(str(tmp_path / "genes.txt")) == ["UMOD", "NPHS2"]
    assert (parse_genes("300"), parse_genes("all")) == (300, "all")


def test_columns_line_up():
    assert columns(("a", "bb"), [("long", "x"), ("s", "")]) == "a     bb\nlong  x\ns"


def test_tissue_is_read_from_polygons(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [30, 0], [30, 30], [0, 30], [0, 0]]]}
    for name, shapes in (("a", [{"type": "Feature", "properties": {}, "geometry": square}]), ("none", [])):
        (tmp_path / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": shapes}))
    (tmp_path / "bad.geojson").write_text("tissue")
    assert read_tissue(None) is None
    assert read_tissue(tmp_path / "a.geojson").area.sum() == 900
    for name, message in (("none", "holds no polygons"), ("bad", "cannot be read"), ("missing", "cannot be read")):
        with pytest.raises(ValueError, match=f"--tissue .*{name}.geojson {message}"):
            read_tissue(tmp_path / f"{name}.geojson")
