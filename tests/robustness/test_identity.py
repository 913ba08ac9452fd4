"""A run and its dataset belong together: another one under the same name is refused, or labelled apart."""

import os
import shutil

import cv2
import pytest

from vsrd_ray.data.identity import differences, identity_of
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.runs.paths import RunPaths

SEQUENCE = "2013_05_28_drive_0000_sync"


def zoom(root):
    path = paths.calibration_file(root)
    text = path.read_text()
    assert "276.277" in text
    path.write_text(text.replace("276.277", "300.277"))


def shift(root):
    path = paths.poses_file(root, SEQUENCE)
    lines = [line.split() for line in path.read_text().splitlines()]
    for line in lines:
        line[4] = repr(float(line[4]) + 5.0)
    path.write_text("".join(" ".join(line) + "\n" for line in lines))


def swap_masks(root):
    folder = paths.mask_folder(root, SEQUENCE, "image_00")
    first, second = sorted(folder.iterdir())[:2]
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


CHANGES = {"calibration": zoom, "poses": shift, "masks": swap_masks}


def forget_times(root):
    for path in root.rglob("*"):
        os.utime(path, ns=(1, 1))


def files_below(folder):
    return {f"{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("part", CHANGES)
def test_identity_tells_what_differs_and_not_when(here, part):
    def identity():
        return identity_of(open_drive(here / "root", SEQUENCE), ("masks",))

    before = identity()
    assert before.keys() == {"calibration", "poses", "masks"}
    forget_times(here / "root")
    assert differences(before, identity()) == []
    CHANGES[part](here / "root")
    assert differences(before, identity()) == [part]


COMMANDS = [
    ("evaluate", "out"),
    ("evaluate", "--compare", "out", "out"),
    ("report", "out"),
    ("visualize", "labels", "out", "--sheet", "sheet.png"),
    *(("export", "out", "--format", name, "--output", "exported") for name in ("kitti", "coco", "csv", "cvat")),
    ("import", "out", "nowhere", "--format", "kitti"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands_refuse_another_dataset(here, command, refused, arguments):
    zoom(here / "root")
    before = files_below(here)
    line = refused(command(*arguments, "--root", "root"), "calibration", SEQUENCE, "--other-root")
    assert "root is not the dataset that was labelled into out" in line
    assert files_below(here) == before


def test_who_insists_gets_another_dataset(here, command):
    shift(here / "root")
    assert command("evaluate", "out", "--root", "root").exit_code == 2
    assert command("evaluate", "out", "--root", "root", "--other-root").exit_code == 0


def test_images_of_another_size_are_refused(here, command, refused):
    """Exports would pair them with a calibration of other pixels."""
    for path in paths.image_folder(here / "root", SEQUENCE, "image_00").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path))[::2, ::2])
    refused(
        command("export", "out", "--root", "root", "--format", "kitti", "--output", "kitti"), "704 x 188", "352 x 94"
    )


def test_root_without_pixels_is_the_same_dataset(here, command):
    """Who measures needs calibration, poses and truth alone."""
    shutil.rmtree(here / "root" / "data_2d_raw")
    shutil.rmtree(here / "root" / "data_2d_semantics")
    copied = here / "copied"
    (here / "root").rename(copied)
    forget_times(copied)
    assert command("export", "out", "--root", "copied", "--format", "csv", "--output", "csv").exit_code == 0


def test_copy_without_file_times_is_not_labelled_again(here, label):
    before = files_below(here / "out" / "labels")
    forget_times(here / "root")
    result = label(output="out")
    assert result.exit_code == 0
    assert "Nothing was left to do" in result.output
    assert not (here / "out" / "superseded").exists()
    assert files_below(here / "out" / "labels") == before
    assert "Nothing was left to do" in label(output="out").output  # from the note of the run


@pytest.mark.parametrize("part", ["poses"])
def test_labels_of_another_dataset_are_set_aside_with_their_corrections(here, command, label, part):
    paths_of_run = RunPaths(here / "out")
    assert command("export", "out", "--root", "root", "--format", "kitti", "--output", "kitti").exit_code == 0
    text = here / "kitti" / "training" / "label_2" / "000000.txt"
    text.write_text("".join(f"{line}\n" for line in text.read_text().splitlines()[1:]))
    done = command("import", "out", "kitti", "--root", "root", "--format", "kitti")
    assert done.exit_code == 0, done.output
    corrected = paths_of_run.brought_in("labels", SEQUENCE, "image_00")
    assert corrected.is_file()
    before = files_below(here / "out")

    CHANGES[part](here / "root")
    result = label(output="out")
    assert result.exit_code == 0, result.output
    assert "What was there is kept in out/superseded" in result.stderr
    assert not corrected.exists()
    kept = files_below(paths_of_run.superseded / f"{SEQUENCE}-1")
    assert kept.keys() >= {f"{corrected.relative_to(here / 'out')}", f"corrections/{SEQUENCE}.parquet"}
    assert all(before[name] == content for name, content in kept.items())
    assert label().exit_code == 0
    assert files_below(here / "out" / "labels") == files_below(here / "new" / "labels")
    assert command("evaluate", "out", "--root", "root").exit_code == 0
