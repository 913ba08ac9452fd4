"""Times of KITTI-360's images."""

import logging
from pathlib import Path

import pytest

from vsrd_ray.datasets.kitti360.times import read_times
from vsrd_ray.errors import InputError

SEQUENCE, CAMERA = "2013_05_28_drive_0000_sync", "image_00"


def write(root: Path, text: str) -> Path:
    file = root / "data_2d_raw" / SEQUENCE / CAMERA / "timestamps.txt"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_line_k_is_of_frame_k(tmp_path):
    write(tmp_path, "2013-05-28 08:46:02.900000000\n2013-05-28 08:46:03\n2013-05-28 08:46:03.104500000\n")
    times = read_times(tmp_path, SEQUENCE, CAMERA, [2, 0])
    assert list(times) == [0, 2]
    assert times[2] - times[0] == pytest.approx(0.2045, abs=1e-6)
    assert times[0] == pytest.approx(1369730762.9, abs=1e-6)


def test_without_a_file_there_are_none(tmp_path):
    assert read_times(tmp_path, SEQUENCE, CAMERA, [0]) == {}


@pytest.mark.parametrize("text", ["2013-05-28 08:46:02\n", "2013-05-28 08:46:02\n\n"], ids=["short", "blank"])
def test_a_file_that_lacks_a_frame_is_not_used(text, tmp_path, caplog):
    file = write(tmp_path, text)
    with caplog.at_level(logging.WARNING):
        assert read_times(tmp_path, SEQUENCE, CAMERA, [0, 1]) == {}
    assert f"{file} has no time of frame 1: velocities will be in metres per frame." in caplog.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1369730763.2", "is no date and time such as"),
        ("2013-13-28 08:46:03", "is no date and time such as"),
        ("<html>", "is no date and time such as"),
        ("2013-05-28 08:46:02", "frame 1 is no later than frame 0"),
    ],
)
def test_other_lines_are_named(line, reason, tmp_path):
    file = write(tmp_path, f"2013-05-28 08:46:02\n{line}\n")
    with pytest.raises(InputError, match=f"{file}, line 2: .*{reason}"):
        read_times(tmp_path, SEQUENCE, CAMERA, [0, 1])


def test_bytes_that_are_no_text_are_refused(tmp_path):
    file = write(tmp_path, "")
    file.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError, match=f"{file}: no text"):
        read_times(tmp_path, SEQUENCE, CAMERA, [0])
