"""Too few spots are refused, few are warned of."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from helpers import toy_section

from stsr.methods.inputs import require_spots, warned

SECTION = toy_section(shape=(120, 130)).section


def warnings_of(caplog, spots):
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="stsr"):
        require_spots(SECTION.subset(np.arange(spots)), "ridge")
    return [record.getMessage() for record in caplog.records]


def test_fewer_than_200_spots_are_warned_of_with_what_to_expect(caplog):
    assert warnings_of(caplog, 200) == []
    (message,) = warnings_of(caplog, 199)
    assert message.startswith("199 spots are few to train method='ridge', which wants 200: expect it to miss")
    assert "method='idw'" in message


def test_fewer_than_20_are_refused_or_than_a_method_says():
    with pytest.raises(ValueError, match="spots=19 are too few to train method='ridge', which needs 20"):
        require_spots(SECTION.subset(np.arange(19)), "ridge")
    with pytest.raises(ValueError, match="spots=24 are too few to train method='stack', which needs 25"):
        require_spots(SECTION.subset(np.arange(24)), "stack", fewest=25)


def test_who_was_warned_is_not_warned_again(caplog):
    with warned():
        assert warnings_of(caplog, 30) == []
        with pytest.raises(ValueError, match="too few"):
            require_spots(SECTION.subset(np.arange(19)), "ridge")
    assert len(warnings_of(caplog, 30)) == 1
