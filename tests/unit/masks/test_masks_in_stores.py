"""Masks in an object store, beside a drive on this machine."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for mask_files.py

import mask_files

from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.given import Given
from vsrd_ray.datasets.base import fingerprint_with, open_drive
from vsrd_ray.datasets.kitti360.spec import SPEC
from vsrd_ray.errors import InputError
from vsrd_ray.storage import open_location

SEQUENCE = "2013_05_28_drive_0042_sync"
MAPS = {frame: np.full((24, 40), 26001, np.uint16) * (np.arange(40) > 10 * frame) for frame in (1, 2)}


@pytest.mark.parametrize("format", ["coco", "kitti360"])
def test_masks_are_read_from_a_store_and_their_change_is_seen(write_sequence, tmp_path, s3, format):
    root = write_sequence({1: np.zeros((24, 40), np.uint16)}, dict.fromkeys((1, 2), np.eye(4)))
    place = mask_files.write(MAPS, tmp_path / "made", format)
    store = open_location(f"{s3}/made")
    for file in [place] if place.is_file() else place.iterdir():
        (store / file.name).write_bytes(file.read_bytes())
    given = Given(masks=store / place.name if place.is_file() else store)
    assert Given.recorded(given.record(root), root) == given
    drive = open_drive(root, SEQUENCE, given=given)
    for frame, expected in MAPS.items():
        np.testing.assert_array_equal(drive.read(MASKS, "image_00", frame), expected)
    before = fingerprint_with(SPEC, root, SEQUENCE, ("image_00",), given)
    assert before == fingerprint_with(SPEC, root, SEQUENCE, ("image_00",), given)
    file = drive.file(MASKS, "image_00", 1)
    file.write_bytes(file.read_bytes() + b"\n")
    assert fingerprint_with(SPEC, root, SEQUENCE, ("image_00",), given) != before
    with pytest.raises(InputError, match="no such file or folder"):
        open_drive(root, SEQUENCE, given=Given(masks=store / "nothing.json"))
