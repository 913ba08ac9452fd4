import json
import os
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from correcting import edit_line, fail, take
from pycocotools.coco import COCO

from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.labels.boxes.formats import export as module
from vsrd_ray.labels.boxes.formats.export import FORMATS, ExportSummary, export
from vsrd_ray.labels.boxes.selection import Selection


def test_the_folder_says_what_it_holds(run, tmp_path):
    told = []
    summary = export(
        run.output, run.root, tmp_path / "deep" / "csv", format="csv",
        selection=Selection(min_confidence=0.3), progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    left_out = {"under --min-confidence": 4}
    assert summary == ExportSummary(sequences=1, frames=4, boxes=12, left_out=left_out)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    note = json.loads((tmp_path / "deep" / "csv" / "export.json").read_text())
    assert (note["format"], note["frames"], note["boxes"]) == ("csv", 4, 12)
    assert note["selection"]["min_confidence"] == 0.3 and note["selection"]["max_range"] is None


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "kitti-object"])  # of raw drives
def test_every_format_tells_of_every_frame_and_takes_a_run_without_boxes(run, tmp_path, name, caplog):
    if name == "rerun":
        pytest.importorskip("rerun", reason="no rerun-sdk: pip install 'vsrd-ray[rerun]'")
    told = []
    selection = Selection(classes=("bus",))
    export(run.output, run.root, tmp_path / "o", format=name, selection=selection, progress=lambda *n: told.append(n))
    assert told == [(n, 4) for n in (1, 2, 3, 4)]
    assert "No box is left" in caplog.text


def test_an_earlier_export_is_replaced(run, tmp_path):
    export(run.output, run.root, tmp_path / "out", format="kitti")
    export(run.output, run.root, tmp_path / "out", format="csv")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "frames.csv", "labels.csv"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_export_that_has_taken_in_other_files_is_left_alone(run, tmp_path):
    export(run.output, run.root, tmp_path / "out", format="openpcdet")
    points = tmp_path / "out" / "points" / "000000.npy"
    points.parent.mkdir()
    points.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"holds files that no export wrote: move them away"):
        export(run.output, run.root, tmp_path / "out", format="openpcdet")
    assert points.read_bytes() == b"mine"
    points.unlink()
    export(run.output, run.root, tmp_path / "out", format="openpcdet")


@pytest.mark.parametrize("name", [".", "..", "out/.."])
def test_a_destination_without_a_name_is_refused(run, tmp_path, monkeypatch, name):
    (tmp_path / "here" / "there").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "there")
    with pytest.raises(OutputError, match="give --output a folder's own name"):
        export(run.output, run.root, Path(name), format="csv")
    assert [path.name for path in tmp_path.joinpath("here").rglob("*")] == ["there"]


def test_a_destination_that_cannot_be_made_is_named(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match=r"thesis\.txt is a file: give another --output"):
        export(run.output, run.root, tmp_path / "thesis.txt" / "out", format="csv")


def test_frames_that_are_left_out_since_their_groups_failed_are_counted(run, tmp_path, caplog):
    fail(run, [3, 5])
    export(run.output, run.root, tmp_path / "out", format="csv")
    assert "3 frames are left out, since groups that label them failed: give the same `vsrd-ray label`" in caplog.text
    note = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (note["frames"], note["failed_frames"]) == (2, 3)


def test_a_run_of_which_failed_groups_leave_no_frame_is_refused(run, tmp_path):
    fail(run, [1, 2, 3, 5])
    with pytest.raises(
        InputError, match="no frame is left to write, since groups that label its 5 frames failed: give"
    ):
        export(run.output, run.root, tmp_path / "out", format="csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["kitti", "mmdet3d", "coco", "cvat"])
def test_boxes_that_no_image_shows_are_left_out_where_boxes_are_of_images(run, tmp_path, caplog, name):
    export(run.output, run.root, tmp_path / "text", format="kitti")
    edit_line(tmp_path / "text" / "training" / "label_2" / "000001.txt", 3, column=13, change=lambda z: -20)
    take(run, tmp_path / "text")
    rows = pq.read_table(next(run.output.glob("labels/*/human-*.parquet"))).to_pylist()
    hidden = [row["instance_id"] for row in rows if row["bbox_left"] == row["bbox_right"]]
    assert 27001 in hidden
    caplog.clear()
    summary = export(run.output, run.root, tmp_path / "out", format=name)
    if name == "cvat":
        assert summary.boxes == 16 and "beside the image" not in caplog.text
        return
    assert f"{len(hidden)} boxes are left out: they are behind the camera or beside the image" in caplog.text
    boxes = boxes_2d(tmp_path / "out", name)
    assert len(boxes) == 16 - len(hidden) == summary.boxes
    ids = {row["instance_id"] for row in rows} - set(hidden)
    if name != "coco":
        index = (tmp_path / "out" / "index.csv").read_text().splitlines()[2]
        assert set(map(int, index.split(",")[5].split())) == ids


def boxes_2d(folder, name):
    """All boxes of an export in images, in its own numbers."""
    if name == "coco":
        return [entry["bbox"] for entry in COCO(folder / "instances_train.json").anns.values()]
    if name == "mmdet3d":
        infos = pickle.loads((folder / "kitti_infos_train.pkl").read_bytes())
        return [instance["bbox"] for info in infos["data_list"] for instance in info["instances"]]
    texts = [path.read_text() for path in (folder / "training" / "label_2").iterdir()]
    return [line.split()[4:8] for text in texts for line in text.splitlines()]


def test_a_link_to_a_folder_stays_and_its_folder_is_replaced(run, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for name in ("kitti", "csv"):
        export(run.output, run.root, tmp_path / "link", format=name)
    assert (tmp_path / "link").readlink() == tmp_path / "disk"
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["export.json", "frames.csv", "labels.csv"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def edited(folder):
    """Take a box away from a sample by hand, a minute after the export."""
    path = folder / "training" / "label_2" / "000001.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    minute_later = (folder / "export.json").stat().st_mtime + 60
    os.utime(path, (minute_later, minute_later))
    return path


def test_an_export_with_edits_that_were_not_imported_is_not_replaced(run, tmp_path):
    export(run.output, run.root, tmp_path / "out", format="kitti")
    path = edited(tmp_path / "out")
    text = path.read_text()
    with pytest.raises(
        OutputError, match=rf"{path} was changed after .*would be lost: import {tmp_path / 'out'} first"
    ):
        export(run.output, run.root, tmp_path / "out", format="kitti")
    assert path.read_text() == text


def test_an_export_with_edits_that_were_imported_is_replaced(run, tmp_path):
    export(run.output, run.root, tmp_path / "out", format="kitti")
    path = edited(tmp_path / "out")
    before = (tmp_path / "out" / "export.json").stat().st_mtime
    os.utime(path, (before, before))
    os.utime(tmp_path / "out" / "export.json", (before - 60, before - 60))
    assert take(run, tmp_path / "out").frames == 1
    for _ in range(2):
        export(run.output, run.root, tmp_path / "out", format="kitti")
    assert len(path.read_text().splitlines()) == 3


def test_an_empty_folder_is_taken(run, tmp_path):
    (tmp_path / "out").mkdir()
    export(run.output, run.root, tmp_path / "out", format="csv")
    assert (tmp_path / "out" / "labels.csv").is_file()


def test_other_things_are_left_alone(run, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="is not empty and holds no export"):
        export(run.output, run.root, mine, format="csv")
    (mine / "export.json").write_text('{"writer": "another"}')
    with pytest.raises(OutputError, match="holds no export"):
        export(run.output, run.root, mine, format="csv")
    with pytest.raises(OutputError, match=r"thesis\.txt is a file"):
        export(run.output, run.root, mine / "thesis.txt", format="csv")
    with pytest.raises(OutputError, match="holds no export"):
        export(run.output, run.root, run.output, format="csv")
    assert (mine / "thesis.txt").read_text() == "x"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_export_that_ends_in_the_middle_leaves_what_was_there(run, tmp_path, monkeypatch, error):
    def broken(sequences, folder, done):
        (folder / "half.txt").write_text("x")
        raise error

    export(run.output, run.root, tmp_path / "out", format="csv")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    names = {path.name for path in tmp_path.iterdir()}
    monkeypatch.setitem(module.FORMATS, "csv", broken)
    for destination in ("out", "new"):
        with pytest.raises(type(error)):
            export(run.output, run.root, tmp_path / destination, format="csv")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == names


def test_unknown_formats_and_links_to_object_stores_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="unknown format 'voc': give one of kitti, "):
        export(run.output, run.root, tmp_path / "out", format="voc")


def test_object_stores_take_formats_without_links(run, s3, tmp_path):
    from vsrd_ray.storage import open_location, read_bytes

    export(run.output, run.root, tmp_path / "out", format="nuscenes")
    destination = open_location(f"{s3}/exports/nu")
    export(run.output, run.root, destination, format="nuscenes")
    for name in ("results.json", "export.json"):
        assert read_bytes(destination / name) == (tmp_path / "out" / name).read_bytes()
    with pytest.raises(OutputError, match="is not empty"):
        export(run.output, run.root, destination, format="nuscenes")
    with pytest.raises(InputError, match="give a local --root and a local --output"):
        export(run.output, run.root, open_location(f"{s3}/exports/kitti"), format="kitti")
