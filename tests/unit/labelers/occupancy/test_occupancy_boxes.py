"""Moving things by boxes: carried on, kept where they stand, and runs of boxes that cannot be used."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy_runs import MIDDLE, SEQUENCE, STREET, label

pytest.importorskip("numba", reason="walks through voxels are compiled by numba")

from vsrd_ray.labelers.occupancy.bodies import TrackedBox, bodies_of, owners
from vsrd_ray.labelers.occupancy.images import DepthImage
from vsrd_ray.labelers.occupancy.inputs import GroupInputs, Sweep
from vsrd_ray.labelers.occupancy.labelling import Settings, label_voxels
from vsrd_ray.labels.voxels.classes import NO_LABEL, OCC3D
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import OCCUPIED, decoded
from vsrd_ray.synthetic import synthesize

K = np.array([[80.0, 0, 39.5], [0, 80.0, 29.5], [0, 0, 1]])
CAR, WALL = 4, 15
EXACT = Settings(error=0.0)
T_GRID_CAM = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.2], [0, 0, 0, 1]])
GRID = Grid.of((-2.0, -8.0, -0.4, 22.0, 8.0, 3.6), 0.4)
# A track seen in frame 1 with its rear at 8 m, which has driven 4 m and to the left until frame 0, the target.
SEEN = TrackedBox(1, 7, True, (10.0, 0.0, 0.8), (4.0, 1.8, 1.6), 0.0)
LATER = replace(SEEN, frame=0, center=(14.0, 2.4, 0.8))

DRIVEN = STREET.model_copy(update={"cars": 3, "moving": 2, "layers": ("depth", "lidar", "semantics")})
QUICK = ("--set", "error=0", *MIDDLE)


def image_of(distance):
    """A car's rear before a wall at 20.2 m; a car that is not there at infinity."""
    v, u = np.mgrid[:60, :80]
    x, y = (u - K[0, 2]) / K[0, 0] * distance, 1.2 - (v - K[1, 2]) / K[1, 1] * distance
    is_car = (np.abs(x) < 0.9) & (y > 0.1) & (y < 1.6)
    depth = np.where(is_car, distance, 20.2).astype(np.float32)
    return DepthImage(depth, np.where(is_car, CAR, WALL).astype(np.uint8), K, T_GRID_CAM)


def source(boxes, distance=8.0):
    image = image_of(distance)
    bodies, movers = bodies_of(boxes, frame=1, target=0, T_world_grid=np.eye(4))
    return replace(image, ignored=image.labels == CAR, bodies=bodies), movers


def labelled(boxes, settings=EXACT, *, seen=8.0, target=1e6):
    image, movers = source(boxes, seen)
    return label_voxels(GRID, OCC3D, GroupInputs(np.eye(4), (0, 1), (image_of(target), image), (), movers), settings)


def cars(voxels):
    return GRID.low + (np.argwhere(voxels.semantics == CAR) + 0.5) * GRID.voxel_size


@pytest.mark.parametrize("settings", [EXACT, Settings(error=0.05)])
def test_a_car_that_drove_is_carried_on(settings):
    found = cars(labelled([SEEN, LATER], settings))
    assert len(found) > 8
    assert np.abs(found[:, 0] - 12.0).max() < 0.5 and np.abs(found[:, 1] - 2.4).max() < 1.2


def test_a_car_that_stands_is_seen_from_other_frames_too():
    standing = [replace(SEEN, is_moving=False), replace(SEEN, is_moving=False, frame=0)]
    found = cars(labelled(standing))
    assert len(found) > 8 and np.abs(found[:, 0] - 8.0).max() < 0.5 and np.abs(found[:, 1]).max() < 1.2


@pytest.mark.parametrize("boxes", [[], [SEEN], [replace(SEEN, center=(40.0, 0, 0.8)), LATER]])
def test_a_car_of_which_nobody_knows_where_it_is_leaves_no_trace(boxes):
    assert not len(cars(labelled(boxes)))


def test_what_was_free_before_a_car_came_does_not_free_it():
    """At the target's time the car is at 12.2 m, where the other frame has looked through to the wall."""
    away = [replace(SEEN, center=(10.0, -5.0, 0.8)), replace(SEEN, frame=0, center=(14.2, 0.0, 0.8))]
    settings = Settings(error=0.05)
    with_boxes, without = (labelled(boxes, settings, seen=1e6, target=12.2) for boxes in (away, []))
    place = tuple(GRID.indices(np.array([[12.2, 0.1, 1.0]]))[0])
    assert with_boxes.semantics[place] == CAR and with_boxes.confidence[place] > without.confidence[place]


def test_points_outside_all_images_go_with_their_box():
    bodies, movers = bodies_of([SEEN, LATER], frame=1, target=0, T_world_grid=np.eye(4))
    points = np.array([[8.1, 0.2, 1.0], [8.1, 0.5, 0.7], [15.0, -3.0, 1.0]])
    sweep = Sweep(1, np.array([0.0, 0.0, 1.7]), points, bodies)
    voxels = label_voxels(GRID, OCC3D, GroupInputs(np.eye(4), (), (), (sweep,), movers), Settings())
    state = voxels.state[tuple(GRID.indices(np.concatenate([points, points[:2] + np.array([4.0, 2.4, 0.0])])).T)]
    assert state.tolist() == [*(state[:2]), OCCUPIED, OCCUPIED, OCCUPIED] and (state[:2] != OCCUPIED).all()
    assert (voxels.semantics[voxels.state == OCCUPIED] == NO_LABEL).all()


def test_points_belong_to_the_nearest_box_but_not_below_it():
    bodies, _ = bodies_of(
        [SEEN, replace(SEEN, track=8, center=(10.0, 2.2, 0.8))], frame=1, target=0, T_world_grid=np.eye(4)
    )
    points = np.array([[10.0, 0.95, 1.0], [10.0, 1.25, 1.0], [10.0, 0.0, 0.02], [10.0, 5.0, 1.0]])
    assert owners(points, bodies).tolist() == [0, 1, -1, -1]
    assert owners(points, bodies, np.full(4, 2.0)).tolist() == [0, 1, -1, 1]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A street and the boxes of its cars."""
    folder = tmp_path_factory.mktemp("boxed")
    synthesize(folder / "street", DRIVEN)
    result = label(folder / "street", folder / "boxes", "--set", "grouping.kind=scene", config="fast")
    assert result.exit_code == 0, result.output
    return folder


def test_a_run_of_boxes(street, tmp_path):
    root, boxes = street / "street", tmp_path / "boxes"
    shutil.copytree(street / "boxes", boxes)
    rows = []
    for output, options in (("without", ()), ("with", ("--boxes", boxes)), ("again", ("--boxes", boxes))):
        result = label(root, tmp_path / output, *QUICK, *options)
        assert result.exit_code == 0, result.output
        (file,) = (tmp_path / output / "voxels").rglob("*.parquet")
        rows.append((file.read_bytes(), decoded(pq.read_table(file).to_pylist()[0])))
    assert rows[1][0] == rows[2][0]
    cars_seen = [(voxels.semantics == CAR).sum() for _, voxels in rows]
    assert cars_seen[1] > cars_seen[0] > 0  # parked ones are seen from other frames too
    (file,) = (boxes / "labels").rglob("*.parquet")
    pq.write_table(pq.read_table(file).slice(1), file)
    changed = label(root, tmp_path / "with", *QUICK, "--boxes", boxes)
    assert changed.exit_code == 2 and "other settings (boxes_labels" in " ".join(changed.output.split())


def test_runs_of_boxes_that_cannot_be_used(street, tmp_path):
    root = street / "street"

    def refused(boxes, said, *options):
        result = label(root, tmp_path / "voxels", *QUICK, "--boxes", boxes, *options)
        assert result.exit_code == 2 and said in " ".join(result.output.split()), result.output
        assert not (tmp_path / "voxels" / "voxels").exists()

    refused(tmp_path / "nowhere", "no run in")
    assert label(root, tmp_path / "other", *QUICK).exit_code == 0
    refused(tmp_path / "other", "a run of voxels, which has no boxes")
    boxes = tmp_path / "boxes"
    shutil.copytree(street / "boxes", boxes)
    manifest = boxes / "manifest.json"
    whole = json.loads(manifest.read_text())

    def rewritten(**changes):
        manifest.write_text(json.dumps(whole | changes))
        return boxes

    name = SEQUENCE
    refused(rewritten(status="running"), "that run is running")
    refused(rewritten(inputs=whole["inputs"] | {"sequences": ["2013_05_28_drive_0009_sync"]}), f"and not {name}")
    refused(rewritten(inputs=whole["inputs"] | {"dataset": "nuscenes"}), "a run of the dataset nuscenes")
    other = whole["inputs"]["identities"][name] | {"poses": "0" * 16}
    refused(rewritten(inputs=whole["inputs"] | {"identities": {name: other}}), f"poses of {name} are not those")
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"any")
    refused(rewritten(), "leave boxes out", "--set", "source=network", "--set", f"checkpoint={weights}")
