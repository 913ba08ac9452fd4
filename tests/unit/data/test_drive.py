from pathlib import Path

import numpy as np
from builders import make_drive


def test_part_of_a_sequence_keeps_the_poses_and_masks_of_its_frames() -> None:
    poses = {frame: np.eye(4) * (frame + 0.1) for frame in (1, 2, 5)}
    whole = make_drive("a", root=Path("root"), poses=poses, mask_frames=(2, 4, 5))
    part = whole.part([5, 4, 1, 9])
    assert part.T_world_cam == {1: poses[1], 5: poses[5]}
    assert part.mask_frames == (4, 5)
    assert (part.root, part.name, part.camera.name, part.image_size) == (Path("root"), "a", "image_00", (100, 50))
