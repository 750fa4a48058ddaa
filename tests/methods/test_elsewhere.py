"""Methods put on a section they were not fitted on: of another platform, with few spots, with none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.patches import HISTOLOGY
from toys.section import toy_section

from stsr.geometry import Disc
from stsr.methods import METHODS, Training, create
from stsr.section import Section

QUIET = Training(device="cpu", progress=False)
FITTED = toy_section(shape=(26, 28), bin_size=16.0).section
OTHER = toy_section(shape=(20, 22), bin_size=16.0, seed=5).section
QUICK = {"epochs": 2, "states": 1}
OPTIONS = {
    "nearest": {},
    "idw": {},
    "linear": {},
    "kriging": {},
    "ridge": {},
    "feature_knn": {},
    "istar": QUICK,
    "histex": QUICK,
    "histosge": QUICK,
    "spabit": QUICK | {"hidden": 16, "width": 16},
    **HISTOLOGY,
}
BY_IMAGE = [name for name in OPTIONS if "spots" not in METHODS[name].info.needs]


@pytest.fixture(scope="module")
def fitted():
    return {name: create(name, options).fit(FITTED, seed=0, training=QUIET) for name, options in OPTIONS.items()}


def without_spots(section: Section) -> Section:
    return replace(
        section,
        spots=np.empty((0, 2)),
        aperture=Disc(7.0),
        counts=sp.csr_array((0, len(section.genes)), dtype=np.float32),
        library=np.empty(0),
    )


def predict(method, section):
    return method.on(section, device="cpu")(slice(None)).mean


@pytest.mark.parametrize("name", OPTIONS)
def test_a_few_spots_are_enough_to_predict(fitted, name):
    few = OTHER.subset(np.array([0, 1, 8]))
    mean = predict(fitted[name], few)
    assert mean.shape == (OTHER.grid.n_cells, 6)
    assert np.isfinite(mean).all()
    assert (mean >= 0).all()


def test_methods_by_image_are_those_that_say_so():
    assert BY_IMAGE == ["ridge", "feature_knn", "istar", *HISTOLOGY]


@pytest.mark.parametrize("name", BY_IMAGE)
def test_no_spots_and_what_others_cover_change_nothing(fitted, name):
    expected = predict(fitted[name], OTHER)
    np.testing.assert_array_equal(predict(fitted[name], without_spots(OTHER)), expected)
    assert expected.mean() == pytest.approx(predict(fitted[name], FITTED).mean(), rel=0.5)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in BY_IMAGE])
def test_a_section_sequenced_deeper_is_the_same_map_at_its_own_scale(fitted, name):
    deeper = OTHER.scaled(3.0)
    np.testing.assert_allclose(predict(fitted[name], deeper), 3 * predict(fitted[name], OTHER), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["histosge", "spabit"])
def test_a_single_spot_is_refused_where_points_see_several(fitted, name):
    with pytest.raises(ValueError, match="spots=1 are too few to predict between them.*use method='nearest'"):
        predict(fitted[name], OTHER.subset(np.arange(1)))


@pytest.mark.parametrize("count", [1, 2])
def test_two_spots_span_no_triangle(fitted, count):
    few = OTHER.subset(np.arange(count))
    for name in ("linear", "histex"):
        with pytest.raises(ValueError, match=f"spots={count} span no triangle.*use method='nearest'"):
            predict(fitted[name], few)
    for name in ("nearest", "idw", "kriging"):
        assert np.isfinite(predict(fitted[name], few)).all()
