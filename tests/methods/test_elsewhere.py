"""Methods put on a section they were not fitted on: of another platform, with few spots, with none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.methods import assert_counts, fitted, other_section, own_section, predict

from stsr.geometry import Disc
from stsr.methods import METHODS, Balanced
from stsr.section import Section

every_method = pytest.mark.parametrize("name", sorted(METHODS))
BY_SPOTS = sorted(name for name, kind in METHODS.items() if "spots" in kind.info.needs)
by_spots = pytest.mark.parametrize("name", BY_SPOTS)
by_image = pytest.mark.parametrize("name", sorted(set(METHODS) - set(BY_SPOTS)))


def without_spots(section: Section) -> Section:
    return replace(
        section,
        spots=np.empty((0, 2)),
        aperture=Disc(7.0),
        counts=sp.csr_array((0, len(section.genes)), dtype=np.float32),
        library=np.empty(0),
    )


@every_method
@pytest.mark.parametrize("count", [None, 3])
def test_all_or_a_few_spots_are_enough_to_predict(name, count):
    section = other_section() if count is None else other_section().subset(np.array([0, 1, 8]))
    assert_counts(predict(fitted(name), section), section)


@by_spots
def test_as_many_spots_as_it_says_are_enough_to_predict_and_fewer_are_refused(name):
    fewest = METHODS[name].info.predict_spots
    section = other_section().subset(np.array([0, 1, 8])[:fewest])
    assert_counts(predict(fitted(name), section), section)
    for count in range(1, fewest):
        with pytest.raises(
            ValueError, match=rf"^spots={count} (are too few|span no triangle)[^\n]*use method='nearest'"
        ):
            predict(fitted(name), other_section().subset(np.arange(count)))


@by_image
def test_no_spots_are_needed_by_what_does_not_name_them(name):
    bare = without_spots(other_section())
    prediction = predict(fitted(name), bare)
    assert_counts(prediction, bare)
    assert prediction.mean.mean() == pytest.approx(predict(fitted(name), own_section()).mean.mean(), rel=0.5)
    predictor = fitted(name).on(other_section(), device="cpu")
    if not isinstance(predictor, Balanced):  # nothing is corrected by spots, so they and their size change nothing
        np.testing.assert_array_equal(prediction.mean, predictor(slice(None)).mean)


@by_spots
def test_a_section_sequenced_deeper_is_the_same_map_at_its_own_scale(name):
    deeper = predict(fitted(name), other_section().scaled(3.0)).mean
    np.testing.assert_allclose(deeper, 3 * predict(fitted(name), other_section()).mean, rtol=1e-3, atol=1e-4)
