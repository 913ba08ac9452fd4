"""A dataset and a run in an object store are read, judged and drawn as those in a local folder are."""

import json
import pickle
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import write_evaluation
from click.testing import CliRunner
from upath import UPath

from vsrd_ray import storage
from vsrd_ray.cli import main
from vsrd_ray.data.groups import GroupTasks
from vsrd_ray.data.index import all_frames, cached_index, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.datasets.kitti360.drives import fingerprint, list_drives
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.published.annotations import annotate
from vsrd_ray.labelers.vsrd.published.filenames import sample
from vsrd_ray.labelers.vsrd.published.pictures import visualize_annotations
from vsrd_ray.labelers.vsrd.scene import plan_scene
from vsrd_ray.labels.boxes.convert import labels_to_kitti, truth_to_kitti
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.pictures import visualize_labels, write_sheet
from vsrd_ray.synthetic import StreetSettings, synthesize

SEQUENCE = "2013_05_28_drive_0000_sync"
CAMERA = "image_00"
A, B = (10.0, 0.5, 0.0), (12.0, -1.0, 0.0)


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> UPath:
    """An empty object store: fsspec's own in memory, or an S3 server over HTTP."""
    if request.param == "memory":
        return UPath(f"memory://{uuid.uuid4().hex}")
    return storage.open_location(request.getfixturevalue("s3"))


@pytest.fixture
def root(store: UPath, street: Path) -> UPath:
    """The street in the store."""
    storage.bring(street, store / "root")
    return store / "root"


@pytest.fixture
def runs(store: UPath, write_run, label_row, truth_object) -> tuple[tuple[Path, Path], tuple[UPath, UPath]]:
    """(OUTPUT, ROOT) of a run by hand, local and in the store."""
    rows = [label_row(frame, 26001, A, confidence=frame / 10) for frame in (1, 2, 4)] + [label_row(2, 26002, B)]
    local = write_run(rows, [truth_object(1, 1, A), truth_object(2, 2, B)])
    remote = store / "output", store / "root"
    for source, target in zip(local, remote, strict=True):
        storage.bring(source, target)
    return local, remote


def texts_in(folder: Path | UPath) -> dict[str, str]:
    """Name and content of the label files of the run's sequence."""
    folder = folder / "2013_05_28_drive_0042_sync" / CAMERA / "label_2"
    return {name: (folder / name).read_text() for name in storage.names_in(folder)}


def test_a_sequence_is_the_same_as_on_disk(root: UPath, street: Path) -> None:
    assert list_drives(root) == [SEQUENCE]
    here, there = open_drive(street, SEQUENCE), pickle.loads(pickle.dumps(open_drive(root, SEQUENCE)))
    assert there.root == root
    assert (there.image_size, there.mask_frames) == (here.image_size, here.mask_frames)
    np.testing.assert_array_equal(there.K, here.K)
    assert there.T_world_cam.keys() == here.T_world_cam.keys()
    for frame, pose in here.T_world_cam.items():
        np.testing.assert_array_equal(there.T_world_cam[frame], pose)
    there, here = (read_boxes(place, SEQUENCE).boxes.centers for place in (root, street))
    np.testing.assert_array_equal(there, here)


def test_groups_are_the_same_as_on_disk(root: UPath, street: Path) -> None:
    settings = GroupingSettings(min_area=32, min_box_side=4)
    groups = []
    for place in (street, root):
        sequence = open_drive(place, SEQUENCE)
        index = index_frames(sequence, all_frames(sequence))
        plans = plan_scene(index, sequence=SEQUENCE, camera=CAMERA, settings=settings, classes=["car"])
        groups.append((index, plans, GroupTasks(sequence, index).task(plans[0]).group()))
    (index, plans, group), (there_index, there_plans, there_group) = groups
    assert there_index.equals(index)
    assert there_plans == plans
    np.testing.assert_array_equal(there_group.instance_maps, group.instance_maps)


def test_an_index_is_kept_until_a_mask_changes(root: UPath) -> None:
    sequence, place = open_drive(root, SEQUENCE), root / "index.parquet"
    before = fingerprint(sequence.root, sequence.name, CAMERA)
    made = cached_index(sequence, place, before)
    stamp = storage.size_and_stamp(place)
    assert cached_index(sequence, place, before).equals(made)
    assert storage.size_and_stamp(place) == stamp
    mask = paths.mask_file(root, SEQUENCE, CAMERA, sequence.mask_frames[0])
    height, width = sequence.image_size[::-1]
    mask.write_bytes(cv2.imencode(".png", np.full((height, width), 7000, np.uint16))[1].tobytes())
    after = fingerprint(sequence.root, sequence.name, CAMERA)
    assert after != before
    assert not cached_index(sequence, place, after).equals(made)


def test_a_damaged_image_costs_its_frame_and_no_other(root: UPath) -> None:
    sequence = open_drive(root, SEQUENCE)
    image = paths.image_file(root, SEQUENCE, CAMERA, 3)
    image.write_bytes(image.read_bytes()[:-20])
    skipped = {row["frame"]: row["skipped"] for row in index_frames(sequence, [2, 3]).to_pylist()}
    assert skipped[2] is None
    assert f"{image}: truncated PNG" in skipped[3]


def test_what_is_not_there_is_named(store: UPath, root: UPath) -> None:
    with pytest.raises(InputError, match=f"no dataset folder {store / 'nowhere'}"):
        open_drive(store / "nowhere", SEQUENCE)
    with pytest.raises(InputError, match="no sequence 'another'"):
        open_drive(root, "another")
    paths.calibration_file(root).unlink()
    with pytest.raises(InputError, match=f"no calibration file {root}"):
        open_drive(root, SEQUENCE)


def test_a_street_is_written_once(store: UPath, street: Path) -> None:
    settings = StreetSettings(frames=24, cars=6, image_size=(352, 96), seed=3)
    synthesize(store / "street", settings)
    folder = paths.image_folder(store / "street", SEQUENCE, CAMERA)
    assert storage.names_in(folder) == storage.names_in(paths.image_folder(street, SEQUENCE, CAMERA))
    assert storage.read_bytes(folder / "0000000007.png") == (paths.image_file(street, SEQUENCE, CAMERA, 7).read_bytes())
    with pytest.raises(InputError, match="nothing is overwritten"):
        synthesize(store / "street", settings)


def test_a_run_is_judged_alike(runs) -> None:
    local, remote = runs
    assert evaluate_run(*remote).static == evaluate_run(*local).static
    for run in (local, remote):
        write_evaluation(*run)
    here, there = (json.loads((output / "evaluation.json").read_text()) for output, _ in (local, remote))
    assert [here.pop("root"), there.pop("root")] == [str(root) for _, root in (local, remote)]
    assert there == here


def test_a_run_is_converted_alike(runs, store: UPath, tmp_path: Path) -> None:
    local, remote = runs
    assert labels_to_kitti(local[0], tmp_path / "kitti") == labels_to_kitti(remote[0], store / "kitti") == 3
    assert texts_in(store / "kitti") == texts_in(tmp_path / "kitti")
    sequence = "2013_05_28_drive_0042_sync"
    assert truth_to_kitti(remote[1], sequence, CAMERA, store / "truth") == 4
    assert len(texts_in(store / "truth")) == 4


def test_a_run_is_drawn_alike(runs, store: UPath, tmp_path: Path) -> None:
    local, remote = runs
    write_sheet(*local, tmp_path / "sheet.png")
    write_sheet(*remote, store / "sheet.png")
    assert storage.read_bytes(store / "sheet.png") == (tmp_path / "sheet.png").read_bytes()
    assert visualize_labels(*remote, store / "pictures") == 4
    assert storage.names_in(store / "pictures") == [f"{frame:010d}.png" for frame in (1, 2, 3, 4)]
    assert visualize_labels(*remote, store / "film.mp4") == 4
    assert b"ftyp" in storage.read_bytes(store / "film.mp4")[:16]


def test_pictures_show_the_images_of_the_store(root: UPath, street: Path) -> None:
    from vsrd_ray.labels.boxes.pictures.annotated import read_image

    here, there = (read_image(open_drive(place, SEQUENCE), 5) for place in (street, root))
    np.testing.assert_array_equal(there, here)
    assert np.ptp(here) > 0


def test_the_published_tools_files(root: UPath, street: Path) -> None:
    assert annotate(root, SEQUENCE) == 24
    annotation = json.loads(paths.annotation_file(root, SEQUENCE, CAMERA, 5).read_text())
    assert annotation["boxes_3d"]["car"]
    assert visualize_annotations(root, SEQUENCE, CAMERA, root / "film.gif") == 24
    settings = GroupingSettings(min_area=32, min_box_side=4)
    groups = sample(root, SEQUENCE, CAMERA, settings)
    folder = paths.filenames_folder(root, SEQUENCE, settings.name)
    lines = (folder / "grouped_image_filenames.txt").read_text().splitlines()
    assert len(lines) == len(groups) > 0
    assert f" data_2d_raw/{SEQUENCE}/{CAMERA}/data_rect/" in lines[0]


def test_commands_take_uris(s3: str, street: Path, tmp_path: Path) -> None:
    storage.bring(street, storage.open_location(f"{s3}/root"))
    arguments = ["convert", "--truth", "--root", f"{s3}/root", "--sequence", SEQUENCE, "--to", f"{s3}/kitti"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert f"24 label files written to {s3}/kitti" in result.output
    folder = storage.open_location(f"{s3}/kitti/{SEQUENCE}/{CAMERA}/label_2")
    assert len(storage.names_in(folder)) == 24


def test_a_uri_that_names_nothing_is_bad_input() -> None:
    result = CliRunner().invoke(main, ["evaluate", "ftp://host/output", "--root", "."])
    assert result.exit_code == 2
    assert "unknown scheme ftp://" in result.output


@pytest.mark.parametrize("name", ["../outside", "a/b", "..", "", ".hidden", "a\\b"])
def test_no_sequence_leads_out_of_root(street: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"sequence .*: expected a plain name"):
        open_drive(street, name)
    with pytest.raises(InputError, match=r"sequence .*: expected a plain name"):
        truth_to_kitti(street, name, CAMERA, street)


@pytest.mark.parametrize("changes", [{"sequences": ["../../outside"]}, {"camera": "../../.."}, {"sequences": ["/x"]}])
def test_no_manifest_leads_out_of_its_folder(runs, tmp_path: Path, changes: dict) -> None:
    (output, _), _ = runs
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"] |= changes
    (output / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"manifest\.json: (sequence|camera) .*: expected a plain name"):
        labels_to_kitti(output, tmp_path / "kitti")
    assert not (tmp_path / "kitti").exists()
