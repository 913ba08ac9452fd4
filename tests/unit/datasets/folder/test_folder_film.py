"""Frames of videos: counted, found by number in any order, and the same each time."""

from fractions import Fraction

import av
import numpy as np
import pytest
from own_drives import write_camera

from vsrd_ray.data.drive import IMAGES
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.folder import film
from vsrd_ray.errors import InputError, UnreadableFrameError

FRAMES, SIZE = 75, (64, 48)


def picture(number: int) -> np.ndarray:
    """[48, 64, 3]: the number in bits, a column of 8 px each, bright or dark."""
    bits = [255 if number >> bit & 1 else 0 for bit in range(8)]
    return np.broadcast_to(np.repeat(bits, 8)[None, :, None], (48, 64, 3)).astype(np.uint8)


def number_in(image: np.ndarray) -> int:
    columns = image.mean(axis=(0, 2)).reshape(8, 8).mean(axis=1)
    return sum(1 << bit for bit, value in enumerate(columns) if value > 128)


def write_video(path, codec="libx264", rate=25, options=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 20
        if codec == "libx264":
            stream.codec_context.max_b_frames = 3
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("MOV", "mpeg4"), ("avi", "mpeg4")]
)
def test_every_frame_is_found_by_its_number(tmp_path, suffix, codec):
    path = write_video(tmp_path / f"drive.{suffix}", codec)
    opened = film.open_film(path)
    assert (opened.num_frames, opened.size) == (FRAMES, SIZE)
    np.testing.assert_allclose(np.diff(opened.times_s), 0.04, atol=1e-3)
    order = [0, 1, 2, 40, 39, 74, 5, 60, 61, 0]
    there = [film.read_film(path, number) for number in order]
    assert [number_in(image) for image in there] == order
    film._reader.cache_clear()
    for number, image in zip(order[::-1], there[::-1], strict=True):
        np.testing.assert_array_equal(film.read_film(path, number), image)


def test_frames_in_order_are_decoded_once(tmp_path, monkeypatch):
    path = write_video(tmp_path / "drive.mp4")
    reader = film._reader(path, *film.size_and_stamp(path))
    rewinds = []
    rewind = reader._rewind
    monkeypatch.setattr(reader, "_rewind", lambda frame: (rewinds.append(frame), rewind(frame)))
    assert [number_in(film.read_film(path, number)) for number in range(FRAMES)] == list(range(FRAMES))
    assert number_in(film.read_film(path, FRAMES - 8)) == FRAMES - 8  # kept
    assert len(rewinds) <= 1


def test_what_is_read_belongs_to_the_caller(tmp_path):
    path = write_video(tmp_path / "drive.mp4")
    film.read_film(path, 3)[:] = 0
    assert number_in(film.read_film(path, 3)) == 3


def test_a_drive_of_a_video(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    write_video(folder / "drive.mp4")
    write_camera(folder, {"fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48})
    lines = [f"0 0 1 {0.5 * frame} -1 0 0 0 0 -1 0 1.5\n" for frame in range(FRAMES)]
    (folder / "poses.txt").write_text("".join(lines))
    drive = open_drive(tmp_path, "mine")
    assert drive.frames_with(IMAGES, "camera") == tuple(range(FRAMES)) == tuple(drive.T_world_cam)
    assert number_in(drive.read(IMAGES, "camera", 33)) == 33
    assert drive.camera.times_s[50] - drive.camera.times_s[0] == pytest.approx(2.0, abs=1e-3)
    assert drive.file(IMAGES, "camera", 33) == folder / "drive.mp4"


def test_what_cannot_be_decoded_is_told(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4: no video that can be read"):
        film.open_film(tmp_path / "text.mp4")
    path = write_video(tmp_path / "drive.mp4")
    with pytest.raises(InputError, match=r"drive\.mp4: no frame 75: the video has 75"):
        film.read_film(path, 75)
    data, torn = path.read_bytes(), tmp_path / "torn.mp4"
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    torn.write_bytes(data[:start] + bytes(end - start) + data[end:])
    assert film.open_film(torn).num_frames == FRAMES
    with pytest.raises(UnreadableFrameError, match=r"torn\.mp4: frame 10 cannot be decoded"):
        film.read_film(torn, 10)
