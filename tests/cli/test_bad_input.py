"""Bad input ends with one line that says what, which file and what to do; exit code 2; nothing is written."""

import os
import re
import shutil

import cv2
import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labelers.configs import shipped_configs

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture
def refuse(command, quick, tmp_path):
    """Runs `vsrd-ray label` and returns its one line."""

    def run(root, *options, sequence=SEQUENCE):
        output = tmp_path / "output"
        existed = output.exists()
        arguments = [*quick, *(["--root", root] if root is not None else [])]
        result = command("label", *arguments, "--sequence", sequence, "--output", output, *options)
        assert result.exit_code == 2
        assert result.stdout == ""
        (line,) = [line for line in result.stderr.splitlines() if not re.match(r"Configuration|Indexing|\[", line)]
        assert line.startswith("Error: ")
        assert output.exists() == existed
        assert not list((tmp_path / "here").iterdir())
        return line

    return run


def test_missing_root(refuse, tmp_path):
    assert re.search(r"no dataset folder .*/nowhere: give --root", refuse(tmp_path / "nowhere"))


def test_no_root_given(refuse):
    assert "give --root ROOT, or set KITTI360_DATASET" in refuse(None)


def test_unknown_sequence_names_those_there(refuse, root):
    line = refuse(root, sequence="2013_05_28_drive_0099_sync")
    assert "2013_05_28_drive_0099_sync" in line
    assert SEQUENCE in line


def test_no_masks(refuse, root):
    folder = paths.mask_folder(root, SEQUENCE, "image_00")
    shutil.rmtree(folder)
    assert f"no instance masks in {folder}" in refuse(root)


def test_calibration_without_the_cameras_matrix(refuse, root):
    file = paths.calibration_file(root)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("P_rect_00")))
    line = refuse(root)
    assert "P_rect_00" in line
    assert str(file) in line


def test_pose_with_15_numbers(refuse, root):
    file = paths.poses_file(root, SEQUENCE)
    lines = file.read_text().splitlines()
    lines[4] = " ".join(lines[4].split()[:16])  # the frame, and 15 numbers
    file.write_text("\n".join(lines))
    line = refuse(root)
    assert str(file) in line
    assert "line 5" in line


@pytest.mark.ray
@pytest.mark.parametrize(
    ("mask", "said"),
    [(np.zeros((96, 352), np.uint8), "16 bits"), (np.zeros((95, 352), np.uint16), "352 x 96")],
    ids=["8 bits", "another size"],
)
def test_unusable_mask(refuse, root, mask, said, local_ray):
    file = paths.mask_file(root, SEQUENCE, "image_00", 3)
    cv2.imwrite(str(file), mask)
    line = refuse(root)
    assert str(file) in line
    assert said in line


def test_unknown_key_names_the_nearest(refuse, root, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("schedule:\n  stepps: 3\n")
    assert "unknown key 'schedule.stepps'; did you mean 'schedule.steps'?" in refuse(root, "--config", file)
    assert "did you mean 'schedule.steps'?" in refuse(root, "--set", "schedule.step=3")


def test_unknown_configuration_names_the_nearest(refuse, root):
    line = refuse(root, "--config", "demmo")
    known = ", ".join(shipped_configs())
    assert line == f"Error: no configuration 'demmo'; did you mean 'demo'? Give a YAML file or one of {known}"


def test_unknown_labeler_of_a_configuration_names_the_nearest(refuse, root, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("labeler: vrsd\n")
    assert f"{file}: labeler: no labeler 'vrsd' is installed; did you mean 'vsrd'?" in refuse(root, "--config", file)


def test_unknown_dataset_names_the_nearest(refuse, root):
    assert "no dataset 'kitti' is installed; did you mean 'kitti360'?" in refuse(root, "--dataset", "kitti")


def test_unknown_class_names_the_nearest(refuse, root):
    assert "no class 'cra' in KITTI-360; did you mean 'car'?" in refuse(root, "--classes", "cra")


def test_unknown_camera(refuse, root):
    assert "image_07" in refuse(root, "--camera", "image_07")


@pytest.mark.parametrize("options", [("--num-actors", "999"), ("--num-actors", "many"), ("--num-gpus", "-1")])
def test_pool_that_cannot_be(refuse, root, options):
    assert options[1] in refuse(root, *options)


def test_a_class_of_unknown_size(refuse, root):
    message = refuse(root, "--classes", "car,trash bin")
    assert "nothing says how large a trash bin is: give a configuration with box.sizes.trash bin" in message
    assert "sizes for car, truck, bus, caravan, trailer" in message


@pytest.mark.parametrize("classes", ["", " , "])
def test_no_class(refuse, root, classes):
    assert "--classes names no class" in refuse(root, "--classes", classes)


def test_output_that_is_a_file(refuse, root, tmp_path):
    (tmp_path / "output").write_text("my thesis")
    assert re.search(r"/output is a file: give another --output", refuse(root))
    assert "cannot be made, since" in refuse(root, "--output", tmp_path / "output" / "inside")
    assert (tmp_path / "output").read_text() == "my thesis"


def test_output_in_a_folder_that_cannot_be_written(refuse, root, tmp_path, monkeypatch):
    locked = tmp_path / "locked"
    locked.mkdir()
    access = os.access  # of a folder with mode 555 it is True where tests run as root
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked and access(path, mode))
    line = refuse(root, "--output", locked / "a" / "b")
    assert f"{locked / 'a' / 'b'} cannot be written, since {locked} is not writable" in line
    assert not list(locked.iterdir())


def test_output_that_holds_something_else(refuse, root, tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "thesis.txt").touch()
    assert "not empty and holds no run" in refuse(root)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "nowhere", "--root", "."), "nowhere"),
        (("visualize", "labels", "nowhere", "--root", "."), "nowhere"),
        (("convert", "nowhere", "--to", "there"), "nowhere"),
        (("convert", "--to", "there"), "give either OUTPUT, or --truth"),
        (("convert", "--truth", "--to", "there"), "--truth needs --root and --sequence"),
        (("annotate", "--root", "nowhere", "--sequence", SEQUENCE), "nowhere"),
        (("sample", "--root", "nowhere", "--sequence", SEQUENCE, "--config", "kitti360_vsrd"), "nowhere"),
        (("synthesize", "there", "--image-size", "12"), "--image-size 12: expected WIDTHxHEIGHT"),
        (("synthesize", "there", "--frames", "0"), "--frames"),
        (("synthesize", "there", "--trucks", "1000"), "trucks must be at most 999, got 1000"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_other_commands(command, arguments, said, tmp_path):
    result = command(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list((tmp_path / "here").iterdir())
