"""What is given to a drive from outside: how a manifest records it, and finds it again."""

import pickle
from pathlib import Path

import pytest

from vsrd_ray.data.given import NOTHING_GIVEN, Given
from vsrd_ray.storage import open_location


@pytest.mark.parametrize(
    ("root", "masks", "text", "moved", "found"),
    [
        ("/data/root", "/data/root/made/a.txt", "made/a.txt", "/else/root", "/else/root/made/a.txt"),
        ("/data/root", "/data/rooted/a.txt", "/data/rooted/a.txt", "/else/root", "/data/rooted/a.txt"),
        ("s3://bucket/root", "s3://bucket/root/a", "a", "s3://bucket/new", "s3://bucket/new/a"),
        ("/data/root", "s3://bucket/a", "s3://bucket/a", "/else/root", "s3://bucket/a"),
    ],
)
def test_places_below_root_move_with_it_and_others_stay(root, masks, text, moved, found):
    given = Given(masks=open_location(masks), masks_format="coco")
    record = given.record(open_location(root))
    assert record == {"masks": text, "masks_format": "coco"}
    assert Given.recorded(record, open_location(moved)) == Given(open_location(found), "coco")


def test_nothing_given_is_recorded_as_nothing_and_all_of_it_is_picklable():
    assert not NOTHING_GIVEN
    assert NOTHING_GIVEN.record(Path("/root")) == {}
    assert Given.recorded({}, Path("/root")) == NOTHING_GIVEN
    given = Given(masks=Path("/masks"), poses="oxts")
    assert given
    assert pickle.loads(pickle.dumps(given)) == given
