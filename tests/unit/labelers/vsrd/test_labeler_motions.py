"""Labels of what drives."""

import pickle
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from hand_made import make_scenes
from hand_made_drives import POSES as DRIVE
from hand_made_drives import SHARP, TIMES, driven, scenes_of, speeds_of
from hand_made_drives import car as car_at
from labelled_groups import FAST, far_off, label, label_many, prepare, set_up

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.base import Provenance
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD

# What drives ahead, and what stands; the first of them is best seen in frame 3.
AHEAD = driven(car_at(12, 0.3, 0.02), speed=7)
STANDS = car_at(24, 3.4, 0.1, 1, instance_id=26002)


def street_group(times_s=TIMES, **values):
    return make_scenes(scenes_of(AHEAD, STANDS), DRIVE, times_s=times_s, best_frame=3, **SHARP | values)


@pytest.fixture(scope="module")
def driving():
    return street_group()


@pytest.fixture(scope="module")
def driving_labels(labeler, driving):
    return label(labeler, driving, seed=0)


def test_what_drives_has_a_box_and_a_velocity_in_every_labelled_frame(driving, driving_labels):
    moving, still = driving_labels
    assert moving.is_moving and not still.is_moving and still.motion is None
    assert moving.motion.frames.tolist() == list(driving.plan.label_frames)
    truth = UprightBoxes.stack([thing.box for thing in AHEAD])
    assert moving.motion.boxes.iou(truth)[0].min() > 0.6
    np.testing.assert_allclose(moving.motion.velocities, speeds_of(AHEAD), atol=0.4)
    assert ((moving.motion.boxes.yaws >= -np.pi) & (moving.motion.boxes.yaws < np.pi)).all()
    assert np.ptp(moving.motion.boxes.dimensions_lwh, axis=0).max() == 0


def test_the_box_of_what_drives_is_that_of_its_best_frame(driving_labels):
    moving, _ = driving_labels
    box, _ = moving.motion.at(3)
    for name in ("centers", "dimensions_lwh", "yaws"):
        np.testing.assert_array_equal(getattr(moving.box, name), getattr(box, name))
    assert np.linalg.norm(moving.box.centers - AHEAD[3].center_world) < 0.6


def test_what_drives_overlaps_its_masks_in_every_frame(driving_labels):
    moving, still = driving_labels
    assert moving.mean_iou_2d > 0.8 and still.mean_iou_2d > 0.8
    assert moving.confidence > 0.5 and still.confidence > 0.5


def test_what_has_a_motion_is_believed_as_its_fit_says(driving, driving_labels):
    """However far a standing body may be off its masks."""
    moving, _ = label(set_up(load_config("fast", ["masks.softness=3.0", "labels.moving_misfit=0.01"])), driving, seed=0)
    assert moving.motion is not None and moving.confidence == driving_labels[0].confidence


def test_what_drives_is_believed_more_where_it_is_near(driving, driving_labels):
    """And over all frames as its fit says."""
    moving, still = driving_labels
    cameras = np.stack([frame.view.T_world_cam[:3, 3] for frame in driving.label_frames])
    ranges = np.linalg.norm((moving.motion.boxes.centers - cameras)[:, :2], axis=-1)
    told = np.array([moving.confidence_at(frame) for frame in driving.plan.label_frames])
    np.testing.assert_array_equal(np.argsort(-told), np.argsort(ranges))
    assert told.min() < moving.confidence < told.max()
    odds = np.log(told / (1 - told))
    assert odds.mean() == pytest.approx(np.log(moving.confidence / (1 - moving.confidence)), abs=1e-5)
    assert still.confidence_at(0) == still.confidence


def test_without_times_velocities_are_by_frame(labeler):
    """As if ten frames were a second, though what drives does so at any rate."""
    (without, _), (tenths, _) = (
        label(labeler, street_group(times_s), seed=0) for times_s in (None, 100 + 0.1 * np.arange(len(DRIVE)))
    )
    np.testing.assert_allclose(without.motion.boxes.centers, tenths.motion.boxes.centers, rtol=0, atol=1e-3)
    np.testing.assert_allclose(without.motion.velocities, 0.1 * tenths.motion.velocities, rtol=0, atol=1e-3)
    steps = np.gradient([thing.center_world[:2] for thing in AHEAD], axis=0)
    np.testing.assert_allclose(without.motion.velocities, steps, atol=0.4)
    assert np.linalg.norm(steps, axis=-1).min() > 2


def test_a_motion_covers_labelled_frames_in_which_it_is_not_fitted(labeler, driving, driving_labels):
    views = tuple(range(1, 8))
    own = replace(driving, plan=replace(driving.plan, instance_views=(views, views)))
    moving, _ = label(labeler, own, seed=0)
    assert moving.num_views == 7
    assert moving.motion.frames.tolist() == list(driving.plan.label_frames)
    within = moving.motion.boxes.centers[1:8]
    np.testing.assert_allclose(within, driving_labels[0].motion.boxes.centers[1:8], atol=0.3)


def test_labels_of_what_drives_have_rows(labeler, driving, driving_labels):
    provenance = Provenance(labeler="vsrd", config_hash="h", seed=0)
    rows = labeler.output(driving_labels, labeler.prepare(driving), provenance)["boxes"]
    assert rows.num_rows == 2 * len(DRIVE)
    by_instance = {n: rows.filter(pc.equal(rows["instance_id"], n)) for n in (26001, 26002)}
    moved, still = (
        np.stack([part[name].to_numpy() for name in VELOCITY_WORLD], axis=-1) for part in by_instance.values()
    )
    np.testing.assert_allclose(moved, driving_labels[0].motion.velocities)
    assert (still == 0).all()


def test_kilometres_from_the_origin_motions_are_the_same(labeler, driving, driving_labels):
    shift = np.array([3456.0, -54321.0, 115.0])
    far = label(labeler, far_off(driving, shift), seed=0)
    for fit, other in zip(far, driving_labels, strict=True):
        np.testing.assert_allclose(fit.box.centers - shift, other.box.centers, rtol=0, atol=2e-3)
        assert (fit.motion is None) == (other.motion is None)
    np.testing.assert_allclose(far[0].motion.boxes.centers - shift, driving_labels[0].motion.boxes.centers, atol=2e-3)
    np.testing.assert_allclose(far[0].motion.velocities, driving_labels[0].motion.velocities, atol=2e-3)
    assert far[0].confidence == pytest.approx(driving_labels[0].confidence, abs=2e-3)


def test_many_groups_at_once_move_as_one_by_one(labeler, group, driving, driving_labels, monkeypatch):
    """To the last bit on the CPU; and nearly where standing bodies are fitted at once, as on a GPU."""
    many = label_many(labeler, [group, driving], seed=0)
    assert pickle.dumps(many[1]) == pickle.dumps(driving_labels)
    monkeypatch.setattr(labeler, "_free_bytes", lambda: 2**40)
    prepared = [prepare(FAST, one) for one in (group, driving)]
    fits = labeler._fit_together([labeler._on_device(one) for one in prepared])
    assert not any(fit.motion for fit in labeler._label(prepared[0], fits[0], seed=0))
    (moving, still) = labeler._label(prepared[1], fits[1], seed=0)
    np.testing.assert_allclose(moving.motion.boxes.centers, driving_labels[0].motion.boxes.centers, atol=5e-3)
    np.testing.assert_allclose(moving.motion.velocities, driving_labels[0].motion.velocities, atol=5e-3)
    assert still.motion is None
