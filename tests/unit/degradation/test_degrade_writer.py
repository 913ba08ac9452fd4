"""Copies of the built-in street with bad masks."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import stats

from vsrd_ray import plugins, storage
from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.truth import BOXES
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.degradation import PRESETS, DegradeSettings, degrade
from vsrd_ray.errors import InputError

SEQUENCE, CAMERA = "2013_05_28_drive_0000_sync", "image_00"
EVERYTHING: dict[str, Any] = {
    **{"cut": 0.5, "swap": 0.5, "merge": 0.3, "miss": 0.1, "flicker": 0.1, "false": 1.0, "shadow": (0.05, 0.1)},
    **{"erode": 1, "dilate": 1, "ragged": 1.0, "mask_head": 28, "blocks": 2},
}


def maps_of(root: Any) -> dict[int, np.ndarray]:
    drive = open_drive(root, SEQUENCE)
    return {frame: drive.read(MASKS, CAMERA, frame) for frame in drive.mask_frames}


def masks_of(root: Any) -> dict[tuple[int, int], np.ndarray]:
    """Masks by frame and id."""
    maps = maps_of(root)
    return {(frame, int(one)): maps[frame] == one for frame in maps for one in np.unique(maps[frame]) if one % 1000 > 0}


@pytest.fixture
def bad(street: Path, tmp_path: Path):
    """Degrades the street: (masks, content of degraded.json)."""

    def make(**settings: Any) -> tuple[dict[tuple[int, int], np.ndarray], dict[str, Any]]:
        output = tmp_path / f"bad{len(list(tmp_path.iterdir()))}"
        degrade(street, output, DegradeSettings(**settings))
        return masks_of(output), json.loads((output / "degraded.json").read_text())

    return make


@pytest.fixture(scope="module")
def good(street: Path) -> dict[tuple[int, int], np.ndarray]:
    return masks_of(street)


def test_without_a_fault_the_masks_are_the_same(street, tmp_path):
    degrade(street, tmp_path / "same", DegradeSettings())
    for frame, instance_map in maps_of(street).items():
        assert np.array_equal(maps_of(tmp_path / "same")[frame], instance_map)
    record = json.loads((tmp_path / "same" / "degraded.json").read_text())
    tracks = {str(one): one for one in sorted({one for _, one in masks_of(street)})}
    assert record["ids"] == {SEQUENCE: tracks}


def test_equal_settings_write_equal_bytes(street, tmp_path, files_in):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        degrade(street, tmp_path / name, DegradeSettings(seed=seed, **EVERYTHING))
    a, b, c = (files_in(tmp_path / name, ".") for name in "abc")
    assert a == b
    masks = [name for name in a if "/instance/" in name]
    assert len(masks) == 24 and all(a[name] != c[name] for name in masks)
    assert {name for name in a if a[name] != c[name]} == {*masks, "degraded.json"}


def test_all_else_is_taken_over(street, tmp_path, files_in):
    output = tmp_path / "bad"
    degrade(street, output, DegradeSettings(**EVERYTHING))
    before, after = files_in(street, "."), files_in(output, ".")
    assert before.keys() | {"degraded.json"} == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed and all("/instance/" in name for name in changed)
    image, poses = (paths.image_file(street, SEQUENCE, CAMERA, 5), paths.poses_file(street, SEQUENCE))
    linked = [file.samefile(output / file.relative_to(street)) for file in (image, poses)]
    assert linked == [True, False]
    truth = [open_drive(root, SEQUENCE).truth(BOXES).instance_ids for root in (street, output)]
    assert np.array_equal(*truth)
    assert not any(name.startswith(".degrade") for name in after)


def test_masks_of_other_cameras_and_what_was_made_of_masks_stay_behind(root, tmp_path):
    other = paths.mask_file(root, SEQUENCE, "image_01", 0)
    note, semantic = root / "annotations" / "x.json", other.parents[1] / "semantic" / "0000000000.png"
    for file in (other, note, semantic):
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.mask_file(root, SEQUENCE, CAMERA, 0), file)
    degrade(root, tmp_path / "bad", DegradeSettings())
    there = [(tmp_path / "bad" / file.relative_to(root)).exists() for file in (other, note, semantic)]
    assert there == [False, False, True]


@pytest.mark.parametrize(
    ("settings", "grows"), [({"erode": 2}, False), ({"dilate": 2}, True), ({"shadow": (0.1, 0.1)}, True)]
)
def test_outlines_move_inwards_or_outwards(bad, good, settings, grows):
    masks, _ = bad(**settings)
    for key, mask in masks.items():
        assert (good[key] <= mask if grows else mask <= good[key]).all()
    areas = [sum(mask.sum() for mask in one.values()) for one in (masks, good)]
    assert areas[0] > 1.03 * areas[1] if grows else areas[0] < 0.9 * areas[1]
    assert masks.keys() == good.keys() if grows else masks.keys() <= good.keys()


def test_growing_masks_leave_their_neighbours_alone(bad, good):
    masks, _ = bad(dilate=5)
    assert all((good[key] <= mask).all() for key, mask in masks.items())


@pytest.mark.parametrize("settings", [{"ragged": 1.0}, {"mask_head": 28}, {"blocks": 4}])
def test_rough_outlines_keep_most_of_each_large_mask(bad, good, settings):
    masks, _ = bad(**settings)
    large = {key: mask for key, mask in good.items() if mask.sum() > 1000}
    shares = [(masks[key] & mask).sum() / (masks[key] | mask).sum() for key, mask in large.items()]
    assert len(shares) > 5 and min(shares) > 0.7 and min(shares) < 1


def test_lost_pixels_are_unknown(bad, street, tmp_path):
    degrade(street, tmp_path / "out", DegradeSettings(erode=3))
    for frame, after in maps_of(tmp_path / "out").items():
        before = maps_of(street)[frame]
        assert set(np.unique(after[after != before])) <= {0}
        assert np.array_equal(after[before % 1000 == 0], before[before % 1000 == 0])


def test_missed_masks_are_gone_and_counted(bad, good):
    masks, record = bad(miss=0.3)
    missed = len(good) - len(masks)
    low, high = stats.binom.interval(1 - 1e-6, len(good), 0.3)
    assert low <= missed <= high
    assert record["counts"][SEQUENCE]["missed_masks"] == missed
    assert all(np.array_equal(mask, good[key]) for key, mask in masks.items())


def test_the_mapping_says_whose_each_mask_is(bad, good):
    masks, record = bad(cut=0.5, swap=0.5, merge=0.5, flicker=0.2, false=1.0)
    counts, spans = record["counts"][SEQUENCE], record["spans"][SEQUENCE]
    true = {}
    for (frame, one), mask in masks.items():
        fits = [span for span in spans if span["id"] == one and span["first"] <= frame <= span["last"]]
        parts = [good.get((frame, span["true_id"])) for span in fits if span["true_id"] is not None]
        assert fits
        if parts:
            assert any(part is not None and (part & mask).sum() == part.sum() for part in parts)
        else:
            assert not any((mask & good[key]).any() for key in good if key[0] == frame)
        true[one] = true.get(one, set()) | {span["true_id"] for span in fits}
    ids = record["ids"][SEQUENCE]
    assert ids.keys() == {str(one) for one in true}
    assert all(ids[str(one)] in owners for one, owners in true.items())
    assert counts["false_objects"] == sum(owner is None for owner in ids.values()) > 0
    assert counts["flickered_masks"] == sum(span["masks"] for span in spans if span["id"] // 1000 != 26) > 0
    assert sum(span["masks"] for span in spans if span["true_id"] is not None) == len(good)


def test_a_cut_track_keeps_its_masks_under_two_ids(bad, good):
    masks, record = bad(cut=1.0)
    tracks = {one for _, one in good}
    assert record["counts"][SEQUENCE]["cut_tracks"] == len(tracks)
    ids = record["ids"][SEQUENCE]
    assert len(ids) == 2 * len(tracks) and sorted(ids.values()) == sorted([*tracks, *tracks])
    again = {(frame, ids[str(one)]): mask for (frame, one), mask in masks.items()}
    assert again.keys() == good.keys() and all(np.array_equal(again[key], good[key]) for key in good)


def test_a_frame_does_not_depend_on_the_others(root, street, tmp_path):
    """As long as tracks stay: what is drawn for a frame and an instance is theirs alone."""
    settings = DegradeSettings(miss=0.2, ragged=1.0, shadow=(0.0, 0.2))
    paths.mask_file(root, SEQUENCE, CAMERA, 3).unlink()
    degrade(street, tmp_path / "all", settings)
    degrade(root, tmp_path / "fewer", settings)
    whole, fewer = maps_of(tmp_path / "all"), maps_of(tmp_path / "fewer")
    assert fewer.keys() == whole.keys() - {3}
    assert all(np.array_equal(fewer[frame], whole[frame]) for frame in fewer)


def test_a_damaged_mask_is_taken_over_with_a_warning(root, tmp_path, caplog):
    file = paths.mask_file(root, SEQUENCE, CAMERA, 4)
    file.write_bytes(file.read_bytes()[:-20])
    counts = degrade(root, tmp_path / "bad", DegradeSettings(erode=1))
    assert counts[SEQUENCE]["frames"] == 23
    assert "The mask of frame 4 is taken over as it is" in caplog.text
    assert (tmp_path / "bad" / file.relative_to(root)).read_bytes() == file.read_bytes()


def test_nothing_is_left_where_a_mask_cannot_be_used(root, tmp_path):
    assert cv2.imwrite(str(paths.mask_file(root, SEQUENCE, CAMERA, 20)), np.zeros((9, 9), np.uint16))
    with pytest.raises(InputError, match="expected 352 x 96"):
        degrade(root, tmp_path / "bad", DegradeSettings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected 352 x 96"):
        degrade(root, tmp_path / "empty", DegradeSettings())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "root"]
    assert not list((tmp_path / "empty").iterdir())


def test_only_sequences_with_masks_are_taken_unless_named(root, tmp_path):
    poses = paths.poses_file(root, SEQUENCE)
    shutil.copytree(poses.parent, poses.parents[1] / "another")
    assert list(degrade(root, tmp_path / "bad", DegradeSettings())) == [SEQUENCE]
    assert not (tmp_path / "bad" / "data_poses" / "another").exists()
    with pytest.raises(InputError, match="no instance masks"):
        degrade(root, tmp_path / "other", DegradeSettings(), sequences=["another"])


def test_a_dataset_whose_masks_cannot_be_written_says_so(street, tmp_path, monkeypatch):
    class Album:
        title = "the album"

    monkeypatch.setattr(plugins, "load", lambda floor, name: Album())
    with pytest.raises(InputError, match=r"^masks of the album cannot be written: "):
        degrade(street, tmp_path / "bad", DegradeSettings(), dataset="album")


def test_object_stores_are_read_and_written(street, s3, tmp_path, files_in):
    store = storage.open_location(s3)
    settings = DegradeSettings(seed=1, **PRESETS["mild"])
    degrade(street, tmp_path / "here", settings)
    degrade(street, store / "there", settings)
    degrade(store / "there", tmp_path / "back", DegradeSettings())
    assert storage.read_bytes(store / "there" / "degraded.json") == (tmp_path / "here" / "degraded.json").read_bytes()
    here, back = files_in(tmp_path / "here", "."), files_in(tmp_path / "back", ".")
    assert here.keys() == back.keys()
    assert {name for name in here if here[name] != back[name]} == {"degraded.json"}
    with pytest.raises(InputError, match="is not empty: nothing is overwritten"):
        degrade(street, store / "there", settings)


def test_progress_ends_when_all_is_done(street, tmp_path):
    told = []
    degrade(street, tmp_path / "bad", DegradeSettings(), progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 48) for done in range(1, 49)]
