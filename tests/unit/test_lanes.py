"""Which tests share a worker of pytest-xdist."""

from pathlib import Path

import lanes
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = [place for places in lanes.LANES.values() for place in places]


@pytest.mark.parametrize("place", [*PLACES, *(one for one in lanes.FIRST if one not in lanes.LANES)])
def test_there_is_what_is_named(place):
    assert (REPOSITORY / place).exists()


def test_modules_of_a_lane_stay_together_and_others_apart():
    assert {lanes.lane(f"{place}::test[a::b]") for place in lanes.LANES["one Ray"]} == {"one Ray"}
    assert lanes.lane("tests/browser/test_new.py::test") == "one browser"
    assert lanes.lane("tests/cli/test_help.py::test") == "tests/cli/test_help.py"


def test_what_takes_longest_begins_first():
    nodeids = ["tests/unit/b.py::b", "tests/browser/a.py::a", "tests/unit/a.py::a", "tests/cli/test_label.py::a"]
    assert sorted(nodeids, key=lanes.place) == [nodeids[3], nodeids[1], nodeids[0], nodeids[2]]
