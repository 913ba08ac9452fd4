"""What is wrong with one's own drive is told in one line that names the file, and mostly the mend."""

import json
import struct

import numpy as np
import pytest
from own_drives import DRIVE, WRITERS, intrinsics, numbers, write_camera, write_colmap_binary

from vsrd_ray.data.drive import IMAGES, MASKS
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.errors import InputError, UnreadableFrameError

K, SIZE = np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]]), (64, 48)
AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
FRAMES = 4


def pose(frame):
    T = AHEAD.copy()
    T[0, 3] = frame
    return T


def png(bits=16, size=SIZE):
    import cv2

    pixels = np.zeros(size[::-1], np.uint16 if bits == 16 else np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def write(tmp_path):
    """Writes a tiny drive with poses in a form, and images and masks that are black."""

    def make(form="kitti360", **options):
        folder = tmp_path / DRIVE
        for name, data in (("images", png(8)), ("masks", png())):
            (folder / name).mkdir(parents=True)
            for frame in range(FRAMES):
                (folder / name / f"{frame}.png").write_bytes(data)
        poses, names = {frame: pose(frame) for frame in range(FRAMES)}, {n: f"{n}.png" for n in range(FRAMES)}
        writer = write_colmap_binary if options else WRITERS[form]
        writer(folder, poses, K, SIZE, names, **options)
        return folder

    return make


def change_json(change):
    def spoil(folder):
        path = folder / "transforms.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


def set_pose(content, matrix):
    content["frames"][2]["transform_matrix"] = np.asarray(matrix).tolist()


def without(*names):
    def change(content):
        for name in names:
            del content[name]

    return change


NAN, MIRRORED = np.full((4, 4), np.nan), np.diag([1.0, 1, -1, 1])


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-30])


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def gone(name):
    return lambda folder: (folder / name).unlink()


def camera(values):
    return lambda folder: write_camera(folder, values)


def poses_are(*rows):
    return lambda folder: (folder / "poses.txt").write_text("".join(f"{row}\n" for row in rows))


def empty(folder):
    for path in (*(folder / "images").iterdir(), *(folder / "masks").iterdir()):
        path.unlink()


def elsewhere(content):
    for number, entry in enumerate(content["frames"]):
        entry["file_path"] = f"9{number}.png"


CASES = {
    "empty folder": ("kitti", empty, r"mine: no image, mask or video: put images"),
    "two suffixes": ("kitti", text("images/0002.jpg", ""), r"0002\.jpg and 2\.png are both of frame 2"),
    "fewer poses": (
        "kitti",
        poses_are(*[numbers(pose(0)[:3])] * 3),
        r"poses\.txt: 3 lines for 4 frames, and no line says",
    ),
    "NaN": ("kitti", poses_are(*[numbers(NAN[:3])] * 4), r"poses\.txt, line 1: expected 12 finite numbers"),
    "left-handed": ("kitti360", poses_are(f"0 {numbers(MIRRORED)}"), r"poses\.txt, line 1: .* mirrors"),
    "other numbers": ("kitti360", poses_are("1 2 3"), r"poses\.txt, line 1: 3 numbers are no pose"),
    "no poses in file": ("kitti360", poses_are("# none"), r"poses\.txt: no pose"),
    "TUM without times": ("tum", gone("times.txt"), r"poses\.txt: the drive has no times of images"),
    "times that fall": ("tum", text("times.txt", "1\n2\n2\n3\n"), r"times\.txt, line 3: 2.000000 is no later"),
    "fewer times": ("tum", text("times.txt", "1\n2\n"), r"times\.txt: 2 lines for 4 frames"),
    "no times": ("tum", text("times.txt", "soon\n"), r"times\.txt, line 1: 'soon' is no time"),
    "no camera": ("kitti", gone("camera.yaml"), r"mine: no intrinsics: write fx, fy, cx, cy, width and"),
    "part of a camera": ("kitti", camera({"fx": 50.0}), r"camera\.yaml: .*fy, cx, cy, width, height missing"),
    "unknown key": ("kitti", camera({"focal": 50.0}), r"camera\.yaml: unknown key 'focal'"),
    "no focal length": (
        "kitti",
        camera(intrinsics(K * [[0.01], [1], [1]], SIZE)),
        r"camera\.yaml: .*focal lengths of 0\.5 and 50",
    ),
    "no YAML": ("kitti", text("camera.yaml", "fx: ["), r"camera\.yaml: not valid YAML"),
    "two cameras": ("kitti", text("camera.json", "{}"), r"mine: camera\.json and camera\.yaml both hold"),
    "two scales": ("colmap text", camera({"scale": 1.0, "camera_height": 1.5}), r"both say how long a unit is"),
    "two poses": ("kitti", text("transforms.json", "{}"), r"poses in transforms\.json and in poses\.txt"),
    "two intrinsics": ("transforms.json", camera(intrinsics(K, SIZE)), r"transforms\.json has intrinsics already"),
    "transforms.json: no intrinsics": ("transforms.json", change_json(without("fl_x")), r"frames\[0\]: no intrinsics"),
    "transforms.json: no size": (
        "transforms.json",
        change_json(without("w", "h")),
        r"frames\[0\]: no intrinsics: .* w and h",
    ),
    "transforms.json: NaN": (
        "transforms.json",
        change_json(lambda c: set_pose(c, NAN)),
        r"frames\[2\]: expected finite numbers",
    ),
    "transforms.json: left-handed": (
        "transforms.json",
        change_json(lambda c: set_pose(c, MIRRORED)),
        r"frames\[2\]: .*it mirrors",
    ),
    "transforms.json: shape": (
        "transforms.json",
        change_json(lambda c: set_pose(c, np.eye(3))),
        r"frames\[2\]: transform_matrix has the shape \(3, 3\)",
    ),
    "transforms.json: distortion": (
        "transforms.json",
        change_json(lambda c: c.update(k1=0.1)),
        r"distortion k1 = 0\.1: undistort .*colmap image_undistorter",
    ),
    "transforms.json: fisheye": (
        "transforms.json",
        change_json(lambda c: c.update(camera_model="OPENCV_FISHEYE")),
        r"a camera of the model OPENCV_FISHEYE: undistort",
    ),
    "transforms.json: cameras": (
        "transforms.json",
        change_json(lambda c: c["frames"][3].update(fl_x=60.0)),
        r"frames\[3\]: another camera than that of frames\[0\]",
    ),
    "transforms.json: no frames": ("transforms.json", change_json(without("frames")), r"transforms\.json: no frames"),
    "transforms.json: twice": (
        "transforms.json",
        change_json(lambda c: c["frames"].append(c["frames"][0])),
        r"frames\[4\]: another pose of frame 0",
    ),
    "transforms.json: no JSON": ("transforms.json", text("transforms.json", "{"), r"transforms\.json: no JSON"),
    "transforms.json: elsewhere": ("transforms.json", change_json(elsewhere), r"none of its 4 images is there"),
    "COLMAP: images cut off": ("colmap binary", cut("sparse/0/images.bin"), r"images\.bin: cut off after \d+ bytes"),
    "COLMAP: cameras cut off": ("colmap binary", cut("sparse/0/cameras.bin"), r"cameras\.bin: cut off"),
    "COLMAP: too many images": (
        "colmap binary",
        text("sparse/0/images.bin", struct.pack("<Q", 2**40).decode()),
        r"images\.bin: cut off",
    ),
    "COLMAP: no images": ("colmap binary", gone("sparse/0/images.bin"), r"0: neither images\.bin nor images\.txt"),
    "COLMAP: no numbers": (
        "colmap text",
        text("sparse/0/images.txt", "1 a 0 0 0 0 0 0 1 0.png\n\n"),
        r"images\.txt, line 1: expected numbers",
    ),
    "COLMAP: no quaternion": (
        "colmap text",
        text("sparse/0/images.txt", "1 0 0 0 0 0 0 0 1 0.png\n\n"),
        r"images\.txt, line 1: a quaternion of length 0",
    ),
    "COLMAP: short line": (
        "colmap text",
        text("sparse/0/images.txt", "1 1 0 0 0\n\n"),
        r"images\.txt, line 1: expected an image of 10 words, got 5",
    ),
    "COLMAP: no such camera": (
        "colmap text",
        text("sparse/0/cameras.txt", "7 PINHOLE 64 48 50 50 32 24\n"),
        r"images\.txt, line 2: its camera 1 is not in the model",
    ),
    "COLMAP: parameters": (
        "colmap text",
        text("sparse/0/cameras.txt", "1 PINHOLE 64 48 50 50 32\n"),
        r"cameras\.txt, line 1: PINHOLE has 4 parameters, got 3",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_tells_what_is_wrong(write, tmp_path, case):
    form, spoil, message = CASES[case]
    spoil(write(form))
    with pytest.raises(InputError, match=message) as raised:
        open_drive(tmp_path, DRIVE, dataset="folder")
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    ("model", "params", "message"),
    [
        (2, [50.0, 32, 24, 0.01], r"SIMPLE_RADIAL with distortion 0\.01: undistort .*\(colmap image_undistorter\)"),
        (4, [50.0, 50, 32, 24, 0, 0, 0.001, 0], r"OPENCV with distortion 0 0 0\.001 0: undistort"),
        (5, [50.0, 50, 32, 24, 0, 0, 0, 0], "a camera of the model OPENCV_FISHEYE: undistort"),
        (77, [], "a camera of the model number 77"),
        (1, [50.0, 50, 320, 24], r"principal point \(319\.5, 23\.5\) lies outside"),
    ],
)
def test_cameras_of_colmap_that_are_no_pinholes(write, tmp_path, model, params, message):
    write(model=model, params=params)
    with pytest.raises(InputError, match=message):
        open_drive(tmp_path, DRIVE)


@pytest.mark.parametrize(
    ("model", "params"), [(0, [50.0, 32, 24]), (2, [50.0, 32, 24, 0]), (4, [50.0, 50, 32, 24, *[0] * 4])]
)
def test_cameras_of_colmap_without_distortion_are_pinholes(write, tmp_path, model, params):
    write(model=model, params=params)
    np.testing.assert_allclose(open_drive(tmp_path, DRIVE).K, K)


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("images", b"no image", UnreadableFrameError, "cannot be decoded"),
        ("images", b"", UnreadableFrameError, "cannot be decoded"),
        ("images", png(8, (32, 48)), InputError, "expected 64 x 48 px as the camera has, got 32 x 48"),
        ("masks", png()[:-20], UnreadableFrameError, "truncated or corrupt|truncated"),
        ("masks", png(8), InputError, "expected a mask of 16 bits in one channel, got 8 bits"),
        ("masks", png(16, (64, 40)), InputError, "expected 64 x 48 px as the camera has, got 64 x 40"),
    ],
)
def test_pixels_that_cannot_be_used(write, name, data, error, message):
    folder = write()
    (folder / name / "2.png").write_bytes(data)
    drive = open_drive(folder.parent, DRIVE)
    layer = {"images": IMAGES, "masks": MASKS}[name]
    with pytest.raises(error, match=rf"2\.png: .*({message})") as raised:
        drive.read(layer, "camera", 2)
    assert type(raised.value) is error


def test_a_video_that_cannot_be_used(write, tmp_path):
    folder = write()
    for path in (folder / "images").iterdir():
        path.unlink()
    (folder / "drive.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"drive\.mp4: no video that can be read"):
        open_drive(tmp_path, DRIVE)
    (folder / "other.mkv").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"drive\.mp4 and other\.mkv are videos"):
        open_drive(tmp_path, DRIVE)


def test_a_drive_that_is_not_there(write, tmp_path):
    write()
    with pytest.raises(InputError, match=rf"no sequence 'yours' under {tmp_path}: give one of mine"):
        open_drive(tmp_path, "yours")
    with pytest.raises(InputError, match="unknown camera 'image_00': give one of camera"):
        open_drive(tmp_path, DRIVE, "image_00")
