"""Runs with masks from outside the dataset, through the command line: the same bytes as from masks of its own."""

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "masks"))  # for mask_files.py

import mask_files

from vsrd_ray.cli import main
from vsrd_ray.data.classes import IS_INSTANCE, UNKNOWN
from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.given import Given
from vsrd_ray.data.index import index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.evaluation.sequences import unknown_regions
from vsrd_ray.labels.boxes.identified import true_boxes
from vsrd_ray.masks.given import formats
from vsrd_ray.runs.folder import RunFolder

SEQUENCE = "2013_05_28_drive_0000_sync"
CAMERA = "image_00"
QUICK = ("start.headings=4", "grouping.num_sources=4", "grouping.min_area=32", "grouping.min_box_side=4")
LABELS = ("labels", "kitti", "groups")


@pytest.fixture(scope="module")
def bare(street, tmp_path_factory):
    """The street with instances alone in its masks, and those masks."""
    root = shutil.copytree(street, tmp_path_factory.mktemp("bare") / "root", copy_function=shutil.copy2)
    drive, maps = open_drive(root, SEQUENCE), {}
    for frame in drive.mask_frames:
        own = drive.read(MASKS, CAMERA, frame)
        maps[frame] = np.where(IS_INSTANCE[own], own, 0).astype(np.uint16)
        mask_files.write_png(paths.mask_file(root, SEQUENCE, CAMERA, frame), maps[frame])
    return root, maps


@pytest.fixture(scope="module")
def without(bare, tmp_path_factory):
    """The street without any masks."""
    root = shutil.copytree(bare[0], tmp_path_factory.mktemp("without") / "root", copy_function=shutil.copy2)
    shutil.rmtree(paths.masks_root(root))
    return root


def vsrd_ray(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def label(root, output, *more, code=0):
    settings = [word for setting in QUICK for word in ("--set", setting)]
    where = ["--root", root, "--sequence", SEQUENCE, "--output", output, "--serial"]
    return vsrd_ray("label", *where, *settings, *more, code=code)


@pytest.fixture(scope="module")
def own(bare, tmp_path_factory):
    """The run from the masks of the street itself."""
    output = tmp_path_factory.mktemp("own") / "output"
    label(bare[0], output)
    return output


def tables(files_in, output):
    return {name: data for name, data in files_in(output, *LABELS).items() if not name.startswith("groups")}


def evaluated(output, root):
    found = json.loads(vsrd_ray("evaluate", output, "--root", root, "--json"))
    return {name: value for name, value in found.items() if name not in {"output", "root"}}


def inputs_of(output):
    return json.loads((output / "manifest.json").read_text())["inputs"]


def test_masks_below_root_give_the_same_bytes_and_are_found_wherever_root_lies(
    bare, without, own, *, tmp_path, files_in
):
    root = shutil.copytree(without, tmp_path / "root", copy_function=shutil.copy2)
    mask_files.write(bare[1], root / "made", "kitti-mots-txt")
    output = tmp_path / "output"
    label(root, output, "--masks", root / "made" / "masks.txt")
    labelled = tables(files_in, output)
    assert labelled and labelled == tables(files_in, own)
    assert inputs_of(output)["given"] == {"masks": "made/masks.txt"}
    root = root.rename(tmp_path / "moved")
    assert evaluated(output, root) == evaluated(own, bare[0])
    vsrd_ray("report", output, "--root", root)
    vsrd_ray("export", output, "--root", root, "--format", "coco", "--output", tmp_path / "exported")
    exported, expected = tmp_path / "exported", tmp_path / "expected"
    vsrd_ray("export", own, "--root", bare[0], "--format", "coco", "--output", expected)
    assert files_in(exported, ".").keys() == files_in(expected, ".").keys()
    np.testing.assert_array_equal(RunFolder(output, root).drive(SEQUENCE).read(MASKS, CAMERA, 3), bare[1][3])


def test_a_run_goes_on_with_the_same_masks_alone(bare, without, own, *, tmp_path, files_in):
    masks = mask_files.write(bare[1], tmp_path / "masks", "coco")
    output = tmp_path / "output"
    label(without, output, "--masks", masks, "--masks-format", "coco")
    assert tables(files_in, output) == tables(files_in, own)
    inputs, before = inputs_of(output), inputs_of(own)
    assert inputs["given"] == {"masks": str(masks), "masks_format": "coco"} and "given" not in before
    assert inputs["identities"][SEQUENCE].keys() == before["identities"][SEQUENCE].keys()
    message = label(bare[0], output, code=2)
    assert (
        f"holds a run with other settings (given.masks: {masks} -> None; given.masks_format: coco -> None)" in message
    )
    other = shutil.copy2(masks, tmp_path / "other.json")
    message = label(without, output, "--masks", other, "--masks-format", "coco", code=2)
    assert f"given.masks: {masks} -> {other}" in message
    os.utime(masks, ns=(1, 1))  # as any change
    label(without, output, "--masks", masks, "--masks-format", "coco", "--limit", "1")
    assert inputs_of(output)["fingerprints"] != inputs["fingerprints"]
    content = json.loads(masks.read_text())
    content["annotations"][0]["track_id"] = 77
    masks.write_text(json.dumps(content))
    message = vsrd_ray("evaluate", output, "--root", without, code=2)
    assert f"is not the dataset that was labelled into {output}: masks of {SEQUENCE} differ" in message
    masks.unlink()
    assert f"--masks {masks}: no such file or folder" in vsrd_ray("report", output, "--root", without, code=2)


def test_what_is_ignored_is_known_to_evaluation_as_a_region(bare, tmp_path):
    crowded = bare[1][3].copy()
    crowded[10:20, 5:25] = np.where(crowded[10:20, 5:25] == 0, UNKNOWN, crowded[10:20, 5:25])
    masks = mask_files.write({3: crowded}, tmp_path / "masks", "kitti-mots-txt")
    own = open_drive(bare[0], SEQUENCE)
    given = open_drive(bare[0], SEQUENCE, given=Given(masks=masks))
    row, *_ = unknown_regions(given, [2, 3]).to_pylist()
    assert (row["frame"], row["class_name"], row["box_left"], row["box_top"]) == (3, "unknown", 5, 10)
    assert unknown_regions(own, [2, 3]).num_rows == 0


def test_truth_is_found_by_overlap_where_masks_have_ids_of_their_own(bare, tmp_path, caplog):
    root, maps = bare
    own = open_drive(root, SEQUENCE)
    truth = own.truth("boxes")
    ids = np.unique([value for one in maps.values() for value in np.unique(one) if value])
    other = dict(zip(ids.tolist(), np.roll(ids, 1).tolist(), strict=True))  # each has the id of its neighbour
    masks = mask_files.write(maps, tmp_path / "same", "coco")
    given = open_drive(root, SEQUENCE, given=Given(masks=masks))
    assert (
        true_boxes(given, index_frames(given, given.mask_frames)).instance_ids.tolist() == truth.instance_ids.tolist()
    )
    assert not caplog.records

    content = mask_files.coco(maps)
    for one in content["annotations"]:
        holder = one if "track_id" in one else one["attributes"]
        holder["track_id"] = other[1000 * one["category_id"] + holder["track_id"]] % 1000
    (tmp_path / "other.json").write_text(json.dumps(content))
    drive = open_drive(root, SEQUENCE, given=Given(masks=tmp_path / "other.json"))
    index = index_frames(drive, drive.mask_frames)
    found = true_boxes(drive, index)
    assert "masks are numbered otherwise than the truth" in caplog.text
    large = index.filter(pc.field("area") >= 128)
    frames, shown = (large[name].to_numpy().astype(np.int64) for name in ("frame", "instance_id"))
    before = {new: old for old, new in other.items()}
    expected = truth.find(np.array([before[one] for one in shown.tolist()]), frames)
    places = found.find(shown, frames)
    assert (expected >= 0).all() and (places >= 0).all()
    np.testing.assert_array_equal(found.boxes[places].centers, truth.boxes[expected].centers)
    assert len(set(found.instance_ids.tolist())) == len(set(truth.instance_ids.tolist()))


def test_options_that_do_not_go_together_are_refused(bare, without, tmp_path):
    masks = mask_files.write(bare[1], tmp_path / "masks", "coco")
    assert "there are no --masks" in label(without, tmp_path / "output", "--masks-format", "coco", code=2)
    message = label(without, tmp_path / "output", "--masks", masks, "--masks-format", "cocoa", code=2)
    assert "no format 'cocoa'; did you mean 'coco'?" in message
    results = [
        one | {"image_id": one["image_id"] - 100} for one in mask_files.coco(bare[1], with_ids=False)["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps([one | {"category_id": 3} for one in results]))
    message = label(without, tmp_path / "output", "--masks", tmp_path / "results.json", code=2)
    assert "no ids over frames, so that they need tracking first" in message
    assert not (tmp_path / "output").exists()


def test_one_file_is_no_masks_of_two_drives(bare, without, tmp_path):
    root = shutil.copytree(without, tmp_path / "root", copy_function=shutil.copy2)
    second = "2013_05_28_drive_0009_sync"
    shutil.copytree(paths.poses_file(root, SEQUENCE).parent, paths.poses_file(root, second).parent)
    masks = mask_files.write(bare[1], tmp_path / "masks", "coco")
    words = ["label", "--root", root, "--output", tmp_path / "output", "--serial", "--masks"]
    message = vsrd_ray(*words, masks, "--sequence", SEQUENCE, "--sequence", second, code=2)
    assert "2 sequences, and nothing there is named" in message and "or label one at a time" in message
    folder = tmp_path / "all"
    folder.mkdir()
    shutil.copy2(masks, folder / f"{second}.json")
    settings = [word for setting in QUICK for word in ("--set", setting)]
    vsrd_ray(*words, folder, "--sequence", "all", *settings)
    assert inputs_of(tmp_path / "output")["sequences"] == [second]  # whose masks are there


def test_every_command_of_the_page_runs(bare, without, tmp_path, monkeypatch):
    """With masks where it says that they are; labels are of the first group alone."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(without, "street", copy_function=shutil.copy2)
    mask_files.write(bare[1], tmp_path, "coco")
    mask_files.write(bare[1], tmp_path / "mots", "kitti-mots-txt").rename(tmp_path / "mots" / "0001.txt")
    page = (Path(__file__).parents[2] / "docs" / "own_masks.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    settings = [word for setting in QUICK for word in ("--set", setting)]
    for program, *words in map(shlex.split, block.splitlines()):
        assert program == "vsrd-ray"
        vsrd_ray(*words, *([*settings, "--serial"] if words[0] == "label" else []))
    table = page[page.index("## Formats") : page.index("## What becomes")]
    assert set(re.findall(r"^\| `([a-z][a-z0-9-]*)`", table, flags=re.MULTILINE)) == set(formats())


def test_an_image_of_another_size_leaves_the_drive_out_by_name(bare, without, tmp_path):
    small = {
        frame: cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST) for frame, one in bare[1].items()
    }
    masks = mask_files.write(small, tmp_path / "masks", "coco")
    message = label(without, tmp_path / "output", "--masks", masks, code=2)
    assert "frame 0: masks of 176 x 48 px, and the images of image_00 have 352 x 96" in message
