"""What every registered method keeps to on the section that it is fitted to. No list of methods is kept here."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from cards import ARCHITECTURE, FORMULA, SOURCE, SUMMARY, USE, networks, parts, uncovered
from toys.methods import QUIET, assert_counts, fitted, own_section, predict, quick
from toys.section import toy_encoder

from stsr.imaging.texture import TEXTURE_NAMES
from stsr.methods import METHODS, create
from stsr.methods.base import FEWEST
from stsr.options import rules
from stsr.section import Section
from stsr.tl import Model

every_method = pytest.mark.parametrize("name", sorted(METHODS))


def picked(section: Section, genes: list[int]) -> Section:
    return replace(section, genes=tuple(section.genes[g] for g in genes), counts=section.counts[:, genes])


@every_method
def test_it_says_what_it_is(name):
    info = METHODS[name].info
    assert info.name == name
    assert info.title
    assert info.paper
    assert 1900 < info.year < 2100
    assert info.needs <= {"features", "image", "spots"}
    assert info.gives <= {"latent", "sd", "history"}
    assert ("spots" in info.needs) == (info.predict_spots > 0)
    assert info.faithful == ("faithful" in rules(METHODS[name].Config))
    create(name, info.quick)


@every_method
def test_a_prediction_is_counts_per_cell(name):
    method, section = fitted(name), own_section()
    prediction = predict(method, section)
    assert_counts(prediction, section)
    assert (prediction.latent is not None) == ("latent" in method.info.gives)
    assert (prediction.sd is not None) == ("sd" in method.info.gives)
    assert bool(method.history) == ("history" in method.info.gives)
    assert all(np.isfinite(losses).all() for losses in method.history.values())


@every_method
@pytest.mark.parametrize("most", [1, 90, 250])
def test_where_a_section_is_cut_into_bands_and_their_order_change_nothing(name, most):
    section = own_section()
    predictor = fitted(name).on(section, device="cpu")
    cuts = list(section.grid.bands(most))
    whole = predictor(slice(None))
    for order in (range(len(cuts)), reversed(range(len(cuts))), np.random.default_rng(most).permutation(len(cuts))):
        bands = {number: predictor(cuts[number]) for number in order}
        for part, rtol, atol in (("mean", 1e-4, 1e-5), ("sd", 1e-3, 1e-4), ("latent", 1e-3, 1e-4)):
            if (expected := getattr(whole, part)) is not None:
                got = np.concatenate([getattr(bands[number], part) for number in range(len(cuts))])
                np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


@every_method
def test_config_and_arrays_are_all_there_is(name):
    method, section = fitted(name), own_section()
    assert all(isinstance(array, np.ndarray) for array in method.arrays.values())
    again = create(name, dataclasses.asdict(method.config))
    again.arrays = {key: array.copy() for key, array in method.arrays.items()}
    np.testing.assert_array_equal(predict(again, section).mean, predict(method, section).mean)


@every_method
def test_the_same_seed_gives_the_same_map(name):
    section = own_section()
    np.testing.assert_array_equal(predict(quick(name, section), section).mean, predict(fitted(name), section).mean)


@every_method
@pytest.mark.parametrize("width", [len(TEXTURE_NAMES), 1024])
def test_it_predicts_the_same_from_its_file_to_the_last_bit(name, width, tmp_path):
    values = np.random.default_rng(1).normal(size=(width, *own_section().grid.shape)).astype(np.float16)
    section = replace(own_section(), features=values)
    method = quick(name, section)
    encoder = toy_encoder(section) if "features" in method.info.needs else None
    model = Model(method, section.genes, 16.0, encoder, seed=3)
    assert all(array.flags.c_contiguous for array in method.arrays.values())
    back = Model.load(model.save(tmp_path / "model.safetensors"))
    assert back.method.config == method.config
    assert back.history == model.history
    ours, theirs = (predict(m.method, section) for m in (model, back))
    for part in ("mean", "sd", "latent"):
        np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))


@every_method
def test_one_gene_is_enough(name):
    section = picked(own_section(), [4])
    assert_counts(predict(quick(name, section), section), section)


@every_method
def test_genes_and_spots_without_counts_are_no_trouble(name):
    counts = own_section().counts.toarray()
    counts[:, [0, 3]] = 0  # two genes
    counts[[5, 17]] = 0  # two spots
    library = np.where(np.isin(np.arange(len(counts)), [5, 17]), 0, own_section().library)
    section = replace(own_section(), counts=sp.csr_array(counts), library=library)
    prediction = predict(quick(name, section), section)
    assert_counts(prediction, section)
    assert prediction.mean[:, [0, 3]].sum() < 0.05 * prediction.mean.sum()


@every_method
def test_what_a_method_needs_is_missed_in_one_sentence(name):
    for need in METHODS[name].info.needs - {"spots"}:
        with pytest.raises(ValueError, match=f"^{need} (is|are) missing"):
            quick(name, replace(own_section(), **{need: None}))


@every_method
def test_too_few_spots_to_fit_are_refused(name):
    fewest = METHODS[name].info.fit_spots
    with pytest.raises(ValueError, match=rf"^spots={fewest - 1} [^\n]*\.$") as error:
        create(name).fit(own_section().subset(np.arange(fewest - 1)), seed=0, training=QUIET)
    if fewest >= FEWEST:
        assert f"are too few to train method={name!r}, which needs {fewest}" in str(error.value)


@every_method
def test_just_enough_spots_are_fitted_and_warned_of_once_if_it_is_trained(name, caplog):
    fewest = METHODS[name].info.fit_spots
    section = own_section().subset(np.arange(fewest))
    with caplog.at_level(logging.WARNING, logger="stsr.methods"):
        method = quick(name, section)
    told = [record.getMessage() for record in caplog.records if "spots are few" in record.getMessage()]
    assert len(told) == (fewest >= FEWEST)
    assert all(f"train method={name!r}" in message for message in told)
    if fewest >= METHODS[name].info.predict_spots:
        assert_counts(predict(method, section), section)


@every_method
def test_its_docstring_has_the_parts_of_its_page(name):
    said = parts(METHODS[name])
    trained = "history" in METHODS[name].info.gives
    assert set(said) == {SUMMARY, FORMULA, SOURCE, USE} | ({ARCHITECTURE} if trained else set())
    assert all(said.values())
    assert said[FORMULA].startswith("::\n\n")


@every_method
def test_the_layers_of_its_docstring_are_those_of_its_networks(name):
    """Whoever adds, removes or renames a layer is told to say so."""
    learned = {}
    for array in fitted(name).arrays:
        network, _, layer = array.partition("/")
        if network.removeprefix("net").isdigit():
            learned.setdefault(network, set()).add(layer)
    described = [network.layers for network in networks(parts(METHODS[name]).get(ARCHITECTURE, ""))]
    nothing = (set(), set())
    for layers in described:
        assert any(uncovered(arrays, layers) == nothing for arrays in learned.values())
    for network, arrays in learned.items():
        assert nothing in [uncovered(arrays, layers) for layers in described], (network, sorted(arrays), described)
