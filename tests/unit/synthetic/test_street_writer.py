import hashlib
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.datasets.kitti360.drives import list_drives
from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.synthetic import StreetSettings, synthesize
from vsrd_ray.synthetic.street import build_street

SETTINGS = StreetSettings(frames=6, cars=8, moving=2, seed=7, image_size=(704, 188), frame_spacing=3.0)
MIXED = StreetSettings(
    frames=8, cars=3, trucks=1, buses=2, caravans=1, trailers=1, image_size=(352, 96), frame_spacing=8.0, mask_noise=0.0
)
SEQUENCE, CAMERA = SETTINGS.sequence, "image_00"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("street") / "deep" / "root"
    synthesize(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def mixed_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    synthesize(folder, MIXED)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_layout_is_that_of_kitti_360(root: Path) -> None:
    expected = [
        "calibration/perspective.txt",
        *(f"data_2d_raw/{SEQUENCE}/image_00/data_rect/{frame:010d}.png" for frame in range(6)),
        *(f"data_2d_semantics/train/{SEQUENCE}/image_00/instance/{frame:010d}.png" for frame in range(6)),
        f"data_3d_bboxes/train/{SEQUENCE}.xml",
        f"data_poses/{SEQUENCE}/cam0_to_world.txt",
    ]
    assert sorted(digests(root)) == sorted(expected)
    assert sorted(path.name for path in root.iterdir()) == sorted({path.split("/")[0] for path in expected})
    image = cv2.imread(str(paths.image_file(root, SEQUENCE, CAMERA, 0)), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(paths.mask_file(root, SEQUENCE, CAMERA, 0)), cv2.IMREAD_UNCHANGED)
    assert (image.shape, image.dtype) == ((188, 704, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((188, 704), np.uint16)


def test_the_reader_finds_the_street_again(root: Path) -> None:
    street = build_street(SETTINGS)
    assert list_drives(root) == [SEQUENCE]
    sequence = open_drive(root, SEQUENCE)
    assert pytest.approx(street.K, abs=1e-6) == sequence.K
    assert sequence.image_size == (704, 188)
    assert sequence.mask_frames == tuple(range(6))
    poses = np.stack([sequence.T_world_cam[frame] for frame in range(6)])
    assert poses == pytest.approx(street.T_world_cam, abs=1e-7)


def test_the_calibration_opens_with_its_date_and_has_a_right_camera(root: Path) -> None:
    first, *entries = paths.calibration_file(root).read_text().splitlines()
    assert first.startswith("calib_time: ")
    names = [entry.split(":")[0] for entry in entries]
    assert names == [f"{kind}_rect_{camera}" for camera in ("00", "01") for kind in "SRP"]
    right = np.array(entries[-1].split(":")[1].split(), dtype=float).reshape(3, 4)
    assert right[0, 3] == pytest.approx(-0.6 * right[0, 0], abs=1e-5)


def test_the_box_file_is_the_truth_of_the_scene(root: Path) -> None:
    street, boxes = build_street(SETTINGS), read_boxes(root, SEQUENCE)
    assert boxes.num_skipped == 0
    expected = [(car, frame) for car in street.vehicles for frame in range(len(car.yaws))]
    assert len(expected) == 8 + 2 * 6
    assert boxes.instance_ids.tolist() == [car.instance_id for car, _ in expected]
    assert boxes.timestamps.tolist() == [frame if car.is_moving else -1 for car, frame in expected]
    assert set(boxes.class_names) == {"car"}
    poses = [car.pose_at(frame) for car, frame in expected]
    assert boxes.boxes.centers == pytest.approx(np.stack([c for c, _ in poses]) + street.origin_world, abs=2e-5)
    assert boxes.boxes.dimensions_lwh == pytest.approx(np.stack([car.dimensions_lwh for car, _ in expected]), abs=1e-6)
    assert wrap_angle(boxes.boxes.yaws - [yaw for _, yaw in poses]) == pytest.approx(0, abs=1e-7)


def test_the_boxes_triangles_look_outward(root: Path) -> None:
    entry = ElementTree.parse(paths.boxes_file(root, SEQUENCE)).getroot()[0]
    vertices = np.array(entry.findtext("vertices/data", "").split(), dtype=float).reshape(8, 3)
    triangles = vertices[np.array(entry.findtext("faces/data", "").split(), dtype=int).reshape(12, 3)]
    volume = np.einsum("fi,fi->", np.cross(triangles[:, 0], triangles[:, 1]), triangles[:, 2]) / 6
    assert volume == pytest.approx(1.0)


def test_masks_lie_within_their_projected_boxes(root: Path) -> None:
    sequence, boxes = open_drive(root, SEQUENCE), read_boxes(root, SEQUENCE)
    margin = 4.5 * SETTINGS.mask_noise + 1.5
    seen = 0
    for frame in sequence.mask_frames:
        mask = cv2.imread(str(paths.mask_file(root, SEQUENCE, CAMERA, frame)), cv2.IMREAD_UNCHANGED)
        corners = boxes.boxes.corners()
        corners_cam = rigid.apply(rigid.inverse(sequence.T_world_cam[frame]), corners.reshape(-1, 3)).reshape(-1, 8, 3)
        for index in np.flatnonzero(boxes.in_frame(frame)):
            rows, columns = np.nonzero(mask == boxes.instance_ids[index])
            if len(rows) == 0 or corners_cam[index, :, 2].min() < 0.5:
                continue
            uv = corners_cam[index] @ sequence.K.T
            uv = uv[:, :2] / uv[:, 2:]
            low, high = uv.min(axis=0) - margin, uv.max(axis=0) + margin
            assert low[0] <= columns.min() <= columns.max() <= high[0]
            assert low[1] <= rows.min() <= rows.max() <= high[1]
            seen += 1
    assert seen > 20


def test_masks_name_stuff_and_cars_only(root: Path) -> None:
    labels: set[int] = set()
    for frame in range(6):
        labels |= set(
            np.unique(cv2.imread(str(paths.mask_file(root, SEQUENCE, CAMERA, frame)), cv2.IMREAD_UNCHANGED)).tolist()
        )
    stuff = {7000, 8000, 11000, 12000, 17000, 20000, 21000, 22000, 23000}
    cars = {label for label in labels if label // 1000 == 26}
    assert labels - cars <= stuff
    assert {7000, 8000, 11000, 21000, 23000} <= labels
    assert cars <= set(range(26001, 26011))
    assert len(cars) >= 7


def test_the_box_file_names_the_class_of_every_vehicle(mixed_root: Path) -> None:
    street, boxes = build_street(MIXED), read_boxes(mixed_root, SEQUENCE)
    assert boxes.num_skipped == 0
    assert boxes.class_names == ("car",) * 3 + ("truck", "bus", "bus", "caravan", "trailer")
    assert boxes.instance_ids.tolist() == [26001, 26002, 26003, 27001, 28001, 28002, 29001, 30001]
    dimensions = np.stack([vehicle.dimensions_lwh for vehicle in street.vehicles])
    assert boxes.boxes.dimensions_lwh == pytest.approx(dimensions, abs=1e-6)
    labels = [entry.findtext("label") for entry in ElementTree.parse(paths.boxes_file(mixed_root, SEQUENCE)).getroot()]
    assert labels == list(boxes.class_names)


def test_masks_show_every_vehicle_with_its_class(mixed_root: Path) -> None:
    sequence, boxes = open_drive(mixed_root, SEQUENCE), read_boxes(mixed_root, SEQUENCE)
    seen = dict.fromkeys(boxes.instance_ids.tolist(), 0)
    for frame in sequence.mask_frames:
        mask = cv2.imread(str(paths.mask_file(mixed_root, SEQUENCE, CAMERA, frame)), cv2.IMREAD_UNCHANGED)
        instances, counts = np.unique(mask[mask % 1000 > 0], return_counts=True)
        for instance, count in zip(instances.tolist(), counts.tolist(), strict=True):
            seen[instance] += count
    assert min(seen.values()) > 100


def test_other_vehicles_are_the_same_every_time(mixed_root: Path, tmp_path: Path) -> None:
    synthesize(tmp_path, MIXED)
    assert digests(tmp_path) == digests(mixed_root)


def test_equal_settings_write_equal_bytes_in_any_process(root: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from vsrd_ray.synthetic import StreetSettings, synthesize; "
        "synthesize(Path(sys.argv[1]), StreetSettings.model_validate_json(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "again"), SETTINGS.model_dump_json()]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "123"})
    assert digests(tmp_path / "again") == digests(root)


def test_another_seed_makes_another_street(root: Path, tmp_path: Path) -> None:
    synthesize(tmp_path, SETTINGS.model_copy(update={"seed": 8}))
    ours, theirs = digests(root), digests(tmp_path)
    assert {name for name in ours if ours[name] == theirs[name]} == {"calibration/perspective.txt"}


def test_progress_counts_the_frames(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    tiny = StreetSettings(frames=3, cars=0, image_size=(64, 32))
    synthesize(tmp_path, tiny, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert len(read_boxes(tmp_path, SEQUENCE).instance_ids) == 0


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path, StreetSettings(frames=2, cars=2, image_size=(64, 32)), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_sequence_that_is_there_is_not_overwritten(root: Path) -> None:
    before = digests(root)
    with pytest.raises(InputError, match=r"exists: nothing is overwritten; choose another OUT"):
        synthesize(root, SETTINGS)
    assert digests(root) == before


def test_another_sequence_can_join_if_its_images_have_the_same_size(tmp_path: Path) -> None:
    tiny = StreetSettings(frames=1, cars=1, image_size=(64, 32))
    other = tiny.model_copy(update={"sequence": "2013_05_28_drive_0003_sync"})
    synthesize(tmp_path, tiny)
    synthesize(tmp_path, other)
    assert list_drives(tmp_path) == [SEQUENCE, "2013_05_28_drive_0003_sync"]
    larger = StreetSettings(frames=1, image_size=(128, 64), sequence="2013_05_28_drive_0005_sync")
    with pytest.raises(InputError, match=r"perspective\.txt is the calibration of other images"):
        synthesize(tmp_path, larger)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file: give another OUT"):
        synthesize(tmp_path / "file", SETTINGS)
