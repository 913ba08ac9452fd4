from pathlib import Path

import numpy as np
from builders import make_drive

from vsrd_ray.data.drive import DEPTH, IMAGES, POINTS, Camera, Drive, Lidar


def test_part_of_a_sequence_keeps_the_poses_and_masks_of_its_frames() -> None:
    poses = {frame: np.eye(4) * (frame + 0.1) for frame in (1, 2, 5)}
    whole = make_drive("a", root=Path("root"), poses=poses, mask_frames=(2, 4, 5))
    part = whole.part([5, 4, 1, 9])
    assert part.T_world_cam == {1: poses[1], 5: poses[5]}
    assert part.mask_frames == (4, 5)
    assert (part.root, part.name, part.camera.name, part.image_size) == (Path("root"), "a", "image_00", (100, 50))


def test_a_drive_of_many_sensors_asks_each_for_its_own() -> None:
    K = np.diag([50.0, 50.0, 1.0])
    left, right = (Camera(name, K * n, (10 * n, 5), {3: np.eye(4) * n}) for n, name in enumerate(("l", "r"), start=1))
    lidar = Lidar("top", {2: np.eye(4), 3: np.eye(4)}, times_s={2: 0.2, 3: 0.3})
    layers = {IMAGES: {"l": (1, 3), "r": (3,)}, POINTS: {"top": (2, 3)}}
    drive = Drive("album", Path("root"), "a", {"l": left, "r": right}, layers, lidars={"top": lidar})
    assert drive.camera is left and drive.mask_frames == ()
    assert (drive.view(3).camera, drive.view(3, "r").camera, drive.view(3, "r").image_size) == ("l", "r", (20, 5))
    np.testing.assert_array_equal(drive.view(3, "r").T_world_cam, 2 * np.eye(4))
    assert [drive.has(IMAGES, "l", frame) for frame in (1, 2, 3)] == [True, False, True]
    assert not drive.has(IMAGES, "top", 3) and not drive.has(DEPTH, "l", 3)
    assert drive.frames_with(POINTS, "top") == (2, 3)
    part = drive.part([2, 1])
    assert part.layers == {IMAGES: {"l": (1,), "r": ()}, POINTS: {"top": (2,)}}
    assert part.cameras["l"].T_world_cam == {} and list(part.lidars["top"].T_world_lidar) == [2]
    assert part.lidars["top"].times_s == {2: 0.2}
