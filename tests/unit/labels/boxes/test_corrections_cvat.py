"""Labels that a human corrected in CVAT: into the run, and out again."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from correcting import fail, files, frame_rows, take

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.reviewed import ImportSummary

SEQUENCE = "2013_05_28_drive_0042_sync"


@pytest.fixture
def cuboids(run, tmp_path):
    """The run as CVAT's archive; a function that edits the document."""
    export(run.output, run.root, tmp_path / "cvat", format="cvat")
    path = tmp_path / "cvat" / f"{SEQUENCE}.zip"

    def edit(change):
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read("annotations/default.json"))
        change(document["items"])
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("annotations/default.json", json.dumps(document))
        return path

    return edit


def rounded(items):
    """What CVAT gives back: two decimals."""
    for item in items:
        for annotation in item["annotations"]:
            for key in ("position", "rotation", "scale"):
                annotation[key] = [round(value, 2) for value in annotation[key]]


def test_cvat_comes_back(run, tmp_path, poses, same_boxes):
    export(run.output, run.root, tmp_path / "cvat", format="cvat")
    with zipfile.ZipFile(tmp_path / "cvat" / f"{SEQUENCE}.zip") as archive:
        document = json.loads(archive.read("annotations/default.json"))
    names = [label["name"] for label in document["categories"]["label"]["labels"]]
    assert [item["id"] for item in document["items"]] == [f"{frame:010d}" for frame in (1, 2, 3, 5)]
    for item in document["items"]:
        T, annotations = poses[int(item["id"])], item["annotations"]
        # the camera's way on the ground, to the left of it, and up
        ahead = np.array([*T[:2, 2], 0]) / np.hypot(*T[:2, 2])
        R = np.stack([ahead, [-ahead[1], ahead[0], 0], [0, 0, 1]], axis=-1)
        positions, rotations, sizes = (
            np.array([a[key] for a in annotations]) for key in ("position", "rotation", "scale")
        )
        headings = R @ np.stack([np.cos(rotations[:, 2]), np.sin(rotations[:, 2]), np.zeros(4)])
        rows = frame_rows(run.rows, int(item["id"]))
        same_boxes(rows, positions @ R.T + T[:3, 3], sizes, np.arctan2(headings[1], headings[0]))
        assert not rotations[:, :2].any()
        assert [names[annotation["label_id"]] for annotation in annotations] == rows["class_name"].to_pylist()


def test_cuboids_that_were_only_rounded_are_unchanged(run, cuboids):
    assert take(run, cuboids(rounded), "cvat").unchanged == 4


def test_cuboids_that_were_changed_are_the_humans(run, cuboids, caplog):
    def change(items):
        rounded(items)
        first = items[0]["annotations"]
        first[0]["position"][0] += 0.5
        first[0]["rotation"][0] = 0.2  # tilted by accident
        items[2]["annotations"].pop()

    summary = take(run, cuboids(change), "cvat")
    assert summary == ImportSummary(frames=2, unchanged=2, boxes=7, kept=6, moved=1, added=0, removed=1)
    labels = read_labels(run.output)
    moved = frame_rows(labels, 1).to_pylist()[0]
    way = [moved[name] - frame_rows(run.rows, 1)[name][0].as_py() for name in ("x_world", "y_world", "z_world")]
    np.testing.assert_allclose(way, [0.5 * np.cos(0.7), 0.5 * np.sin(0.7), 0], atol=0.02)
    assert moved["labeler"] == "import-cvat" and "1 cuboids are tilted" in caplog.text


def every_frame(items):
    """What CVAT exports: an item for every frame of the task, those without annotations too."""
    there = {item["id"] for item in items}
    names = [f"{frame:010d}" for frame in range(1, 6)]
    items.extend({"id": name, "annotations": []} for name in names if name not in there)


@pytest.mark.parametrize("confirm_unchanged", [False, True])
def test_frames_that_were_never_exported_keep_their_boxes(run, cuboids, caplog, confirm_unchanged):
    fail(run, [3, 4])
    before = read_labels(run.output)

    def change(items):
        items[:] = [item for item in items if item["id"] != "0000000003"]
        items[0]["annotations"].pop()
        every_frame(items)

    summary = take(run, cuboids(change), "cvat", confirm_unchanged=confirm_unchanged)
    assert (summary.removed, summary.unlabelled) == (1, 2) and summary.frames + summary.unchanged == 3
    assert frame_rows(read_labels(run.output), 3).equals(frame_rows(before, 3)) and frame_rows(before, 3).num_rows == 4
    assert "2 frames without boxes are left as they are" in caplog.text


def test_a_frame_of_a_failed_group_that_a_human_labelled_can_be_emptied_again(run, cuboids):
    def draw(items):
        every_frame(items)
        items[-1]["annotations"] = items[0]["annotations"][:1]

    def empty(items):
        items[-1]["annotations"] = []

    assert (take(run, cuboids(draw), "cvat").added, frame_rows(read_labels(run.output), 4).num_rows) == (1, 1)
    summary = take(run, cuboids(empty), "cvat")
    assert (summary.removed, summary.unlabelled, frame_rows(read_labels(run.output), 4).num_rows) == (1, 0, 0)


def test_a_copied_cuboid_is_a_new_instance(run, cuboids):
    def change(items):
        copy = json.loads(json.dumps(items[0]["annotations"][0]))
        copy["position"][1] += 12
        items[0]["annotations"].append(copy)

    summary = take(run, cuboids(change), "cvat")
    assert (summary.kept, summary.added) == (4, 1)
    assert frame_rows(read_labels(run.output), 1)["instance_id"].to_pylist() == [26001, 26002, 26003, 26004, 27001]


def test_cuboids_without_the_attribute_are_found_by_their_place(run, cuboids):
    def change(items):
        for item in items:
            for annotation in item["annotations"]:
                del annotation["attributes"]["instance_id"]
            item["annotations"].reverse()

    assert take(run, cuboids(change), "cvat").unchanged == 4


def test_other_annotations_are_none_of_ours(run, cuboids):
    def change(items):
        items[0]["annotations"].append({"type": "label", "label_id": 0})

    assert take(run, cuboids(change), "cvat").unchanged == 4


def test_archives_files_and_folders_of_them_are_taken(run, cuboids, tmp_path):
    archive = cuboids(lambda items: items[0]["annotations"].pop())
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    task = shutil.copy(archive, tmp_path / "task_7.zip")  # the run has one sequence, so the name may be any
    sources = (archive, archive.parent, tmp_path / "unpacked", tmp_path / "unpacked/annotations/default.json", task)
    assert [take(run, tmp_path / source, "cvat", confirm_unchanged=True).frames for source in sources] == [4] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items[1].update(id="frame one"), "item 'frame one' is not named by its frame"),
        (lambda items: items[1].update(id="0000009999"), "no pose of frame 9999"),
        (
            lambda items: items[0]["annotations"][1].update(scale=[1, 2]),
            r"annotation 1: scale must be three .*got \[1, 2\]",
        ),
        (lambda items: items[0]["annotations"][1].update(scale=[1, 0, 2]), "annotation 1: .*width 0 .*must be above 0"),
        (
            lambda items: items[0]["annotations"][1].update(position=[1e300, 0, 0]),
            "annotation 1: a box 1e.300 m from the camera, which must be at most 1000: correct its place",
        ),
        (lambda items: items[0]["annotations"][1].update(scale=[10**400, 1, 1]), "scale must be three finite numbers"),
        (lambda items: items[0]["annotations"][1].update(label_id=9), "label_id must be from 0 to 1, got 9"),
        (lambda items: items[0]["annotations"].append(7), "an annotation without a type"),
        (lambda items: items[0].pop("annotations"), "no annotations in Datumaro's format"),
        (lambda items: items[0].update(annotations=None), "no annotations in Datumaro's format"),
    ],
)
def test_malformed_cuboids_are_named_and_nothing_is_written(run, cuboids, change, message):
    source = cuboids(change)
    before = files(run.output)
    with pytest.raises(InputError, match=message):
        take(run, source, "cvat")
    assert files(run.output) == before


def test_files_that_are_no_archives_are_named(run, tmp_path):
    (tmp_path / "torn.zip").write_bytes(b"PK torn")
    with pytest.raises(InputError, match=r"torn\.zip: not a zip archive"):
        take(run, tmp_path / "torn.zip", "cvat")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(InputError, match=r"no annotations/\*\.json in the archive"):
        take(run, tmp_path / "empty.zip", "cvat")
    with pytest.raises(InputError, match="no file"):
        take(run, tmp_path / "none.json", "cvat")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"no \.zip or annotations"):
        take(run, tmp_path / "folder", "cvat")
