"""Masks as they come: KITTI-MOTS in both its forms, and PointSAM's files."""

import time

import numpy as np
import pytest

from vsrd_ray.data.classes import IS_INSTANCE, UNKNOWN
from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.masks import mask_box
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.masks.base import Content, Drive
from vsrd_ray.masks.given import formats, with_masks

DRIVES = {
    "0001": ("drive_0009", "2013_05_28_drive_0001_sync"),
    "0011": ("drive_0059", "2013_05_28_drive_0011_sync"),
}
CAMERA = "image_00"


@pytest.fixture
def opened(shared):
    """A drive of the real masks in KITTI-360's layout, and where KITTI-MOTS's own are."""

    def open_both(number):
        folder, name = DRIVES[number]
        mots = shared / "data" / "kitti_raw_mini" / "mots"
        if not mots.is_dir():
            pytest.skip("no KITTI-MOTS masks in the folder 'shared'")
        return open_drive(shared / "data" / "kitti_real_masks" / folder, name), mots

    return open_both


@pytest.mark.parametrize("number", DRIVES)
def test_text_gives_the_golden_rows(opened, shared, number):
    """Frame, id, class, area and box of every mask, of the whole file."""
    drive, mots = opened(number)
    file = formats()["kitti-mots-txt"].open(
        Content(mots / "instances_txt" / f"{number}.txt"), Drive(drive.name, CAMERA, drive.classes)
    )
    rows = []
    for frame in file.frames:
        for mask in file.masks(frame)[1]:
            left, top, right, bottom = mask_box(mask.part.pixels)
            place = (mask.part.left + left, mask.part.top + top, right - left + 1, bottom - top + 1)
            rows.append((frame, mask.class_name or "", mask.number, int(mask.part.pixels.sum()), *place))
    names = {1: "car", 2: "person", 10: ""}
    golden = np.load(shared / "reference" / "tracking_golden.npz")[f"mots_{number}_rows"].astype(int).tolist()
    expected = [(frame, names[number], id % 1000 + 1, *rest) for frame, id, number, *rest in golden]
    assert sorted(rows) == sorted(expected)


def test_text_gives_the_maps_that_were_made_of_it_and_does_so_fast(opened):
    drive, mots = opened("0001")
    began = time.process_time()
    given = with_masks(drive, mots / "instances_txt" / "0001.txt", None)
    maps = {frame: given.read(MASKS, CAMERA, frame) for frame in given.mask_frames}
    assert time.process_time() - began < 10
    assert given.mask_frames == tuple(range(447))
    assert any((one == UNKNOWN).any() for one in maps.values())
    for frame in range(0, 447, 20):
        own = drive.read(MASKS, CAMERA, frame)
        np.testing.assert_array_equal(
            np.where(IS_INSTANCE[maps[frame]], maps[frame], 0), np.where(IS_INSTANCE[own], own, 0)
        )
    pictures = with_masks(drive, mots / "instances" / "0001", None)
    assert len(pictures.mask_frames) == 14
    for frame in pictures.mask_frames:
        np.testing.assert_array_equal(pictures.read(MASKS, CAMERA, frame), maps[frame])


def test_pointsam_files_are_found_by_their_images_names(shared, opened):
    folder = shared / "data" / "nuscenes_keyframe" / "masks" / "body" / "CAM_BACK"
    if not folder.is_dir():
        pytest.skip("no PointSAM masks in the folder 'shared'")
    content, classes = Content(folder), opened("0001")[0].classes
    assert [name for name, spec in formats().items() if spec.recognises(content)] == ["pointsam"]
    file = formats()["pointsam"].open(content, Drive("scene", "CAM_BACK", classes))
    assert not file.has_ids and len(file.images) == len(file.frames) == 1
    ((stem, number),) = file.images.items()
    size, masks = file.masks(number)
    semantic = np.load(folder / f"semantic_{stem}.npz")["data"]
    assert size == semantic.shape[::-1]
    assert sum(int(mask.part.pixels.sum()) for mask in masks) == (semantic < 10).sum()
    cars = [mask for mask in masks if mask.class_name == "car"]
    assert sum(int(mask.part.pixels.sum()) for mask in cars) == (semantic == 0).sum()
