"""What every registered method keeps to, and the register itself."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from toys.patches import HISTOLOGY
from toys.section import toy_section

from stsr.methods import METHODS, Training, create
from stsr.methods.shared.spot_weights import Interpolation

QUIET = Training(device="cpu", progress=False)
QUICK = HISTOLOGY | {
    "cross_attention": {"steps": 4, "dim": 16, "heads": 4, "stem": 8, "dilations": (1,), "tile": 3.0},
    "histex": {"epochs": 2},
    "histosge": {"epochs": 2},
    "istar": {"epochs": 2},
    "spabit": {"epochs": 2, "hidden": 8, "width": 32},
}
"""Options that make a trained method quick, where it is not so by itself."""
TRAINED = sorted(name for name, kind in METHODS.items() if name != "stack" and not issubclass(kind, Interpolation))
"""Methods that refuse a few spots themselves; a stack leaves it to its members."""


@pytest.fixture(scope="module")
def section():
    return toy_section(shape=(26, 28), bin_size=16.0).section


@pytest.fixture(scope="module", params=sorted(METHODS))
def fitted(request, section):
    return create(request.param, QUICK.get(request.param)).fit(section, seed=3, training=QUIET)


def predict(method, section, rows=slice(None)):
    return method.on(section, device="cpu")(rows)


def test_a_prediction_is_counts_per_cell(fitted, section):
    prediction = predict(fitted, section)
    assert prediction.mean.shape == (section.grid.n_cells, len(section.genes))
    assert prediction.mean.dtype == np.float32
    assert np.isfinite(prediction.mean).all()
    assert prediction.mean.min() >= 0
    assert (prediction.latent is not None) == ("latent" in fitted.info.gives)
    assert (prediction.sd is not None) == ("sd" in fitted.info.gives)
    assert bool(fitted.history) == ("history" in fitted.info.gives)


@pytest.mark.parametrize("most", [1, 90, 250])
def test_where_a_section_is_cut_into_bands_changes_nothing(fitted, section, most):
    predictor = fitted.on(section, device="cpu")
    bands = [predictor(rows) for rows in section.grid.bands(most)]
    whole = predictor(slice(None))
    np.testing.assert_allclose(np.concatenate([band.mean for band in bands]), whole.mean, rtol=1e-4, atol=1e-5)
    if whole.latent is not None:
        np.testing.assert_allclose(np.concatenate([band.latent for band in bands]), whole.latent, rtol=1e-3, atol=1e-4)


def test_config_and_arrays_are_all_there_is(fitted, section):
    assert all(isinstance(array, np.ndarray) for array in fitted.arrays.values())
    again = create(fitted.info.name, dataclasses.asdict(fitted.config))
    again.arrays = {name: array.copy() for name, array in fitted.arrays.items()}
    np.testing.assert_array_equal(predict(again, section).mean, predict(fitted, section).mean)


def test_the_same_seed_gives_the_same_map(fitted, section):
    again = create(fitted.info.name, QUICK.get(fitted.info.name)).fit(section, seed=3, training=QUIET)
    np.testing.assert_array_equal(predict(again, section).mean, predict(fitted, section).mean)


def test_what_a_method_needs_is_missed_in_one_sentence(fitted, section):
    for need in fitted.info.needs - {"spots"}:
        bare = replace(section, **{need: None})
        with pytest.raises(ValueError, match=f"^{need} (is|are) missing"):
            create(fitted.info.name, QUICK.get(fitted.info.name)).fit(bare, seed=0, training=QUIET)


@pytest.mark.parametrize("name", TRAINED)
def test_too_few_spots_are_refused_by_what_is_trained(name, section):
    with pytest.raises(ValueError, match=f"spots=19 are too few to train method='{name}', which needs 20"):
        create(name).fit(section.subset(np.arange(19)), seed=0, training=QUIET)


@pytest.mark.parametrize("name", [*TRAINED, "stack"])
def test_few_spots_are_warned_of_once_by_what_is_trained(name, section, caplog):
    with caplog.at_level(logging.WARNING, logger="stsr.methods"):
        create(name, QUICK.get(name)).fit(section, seed=0, training=QUIET)
    told = [record.getMessage() for record in caplog.records if "spots are few" in record.getMessage()]
    assert len(told) == 1
    assert f"train method={name!r}" in told[0]


def test_options_reach_the_config():
    assert create("idw", {"neighbours": 3}).config.neighbours == 3


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"method='kringing' is not known; choose one of .*idw, istar, kriging, linear, nearest"
    ):
        create("kringing")
    with pytest.raises(ValueError, match="method 'idw' has no option 'neighbors'; it has neighbours, power"):
        create("idw", {"neighbors": 3})
    with pytest.raises(ValueError, match="method 'nearest' has no option 'k'; it has none"):
        create("nearest", {"k": 3})


def test_registering_the_methods_imports_no_torch():
    code = "import sys, stsr.methods; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
