"""`vsrd-ray datasets check`: one page of what drives have, lack and are good for."""

import json

import cv2
import numpy as np
import pytest
from own_drives import SEQUENCE, write_drive

from vsrd_ray.datasets.kitti360 import paths

PAGE = [
    "",
    "2013_05_28_drive_0000_sync",
    "  camera    image_00, 352 x 96 px",
    "  frames    24, from 0 to 23, none missing",
    "  poses     24; 21 m, 0.91 m a frame that jitters by 5.8%; camera pitched by -6.3 and rolled by -1.5 degrees "
    "against z",
    "  masks     24; 4.3 instances in each of 6 (car), 100 % of ids stay from one to the next",
    "  images    24 of image_00",
    "  times     none: velocities in metres per frame",
    "  lidar     none",
    "  truth     boxes",
]


def values_of(result):
    assert result.exit_code in (0, 2), result.output
    return json.loads(result.stdout)["drives"]


def test_a_page_of_the_street(command, street):
    result = command("datasets", "check", street)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[: len(PAGE) + 1] == [f"{street}: KITTI-360, 1 of 1 drives can be labelled", *PAGE]
    boxes = "  good for  vsrd (demo, fast, kitti360_vsrd): yes (24 frames)"
    assert boxes in result.stdout.splitlines()[len(PAGE) + 1 :]


def test_a_page_of_ones_own_drive_says_where_poses_come_from(command, street, tmp_path):
    write_drive(tmp_path, street, "tum", name="mine")
    result = command("datasets", "check", tmp_path)
    assert result.exit_code == 0, result.output
    page = result.stdout
    assert f"{tmp_path}: one's own drives, 1 of 1 drives can be labelled" in page
    for line in (
        f"            poses: TUM text, {tmp_path}/mine/poses.txt",
        "            up: the poses' z axis, which is 6.4 degrees off the cameras' own up",
        "            scale: metres, as files of this form have it",
        "  times     24 frames, 0.1 s apart",
        "  truth     none: labels cannot be evaluated",
    ):
        assert line in page.splitlines()


def test_gaps_and_frames_without_poses_are_counted(command, root):
    for frame in (3, 4, 9):
        paths.image_file(root, SEQUENCE, "image_00", frame).unlink()
    poses = paths.poses_file(root, SEQUENCE)
    poses.write_text("".join(poses.read_text().splitlines(keepends=True)[:20]))
    found = values_of(command("datasets", "check", root, "--json"))[SEQUENCE]
    assert (found["frames"], found["first_frame"], found["last_frame"], found["missing_frames"]) == (21, 0, 23, 3)
    assert (found["poses"], found["frames_without_pose"]) == (20, 4)
    assert found["labelers"]["vsrd (demo, fast, kitti360_vsrd)"] == "yes (20 frames)"
    assert found["usable"] is True


def test_nothing_usable_is_exit_code_2(command, street, tmp_path):
    folder = write_drive(tmp_path, street, "kitti360", name="mine")
    for path in (folder / "masks").iterdir():
        path.unlink()
    result = command("datasets", "check", tmp_path)
    assert f"(demo, fast, kitti360_vsrd): no: no instance masks in {folder / 'masks'}: put 16-bit PNG" in result.stdout
    (folder / "poses.txt").rename(folder / "away.txt")
    result = command("datasets", "check", tmp_path)
    assert result.exit_code == 2
    assert "  poses     none" in result.stdout and "no: no poses" in result.stdout
    (folder / "poses.txt").write_text("1 2 3\n")
    result = command("datasets", "check", tmp_path)
    assert result.exit_code == 2
    assert "mine\n  cannot be used: " in result.stdout and "3 numbers are no pose" in result.stdout
    assert values_of(command("datasets", "check", tmp_path, "--json"))["mine"]["usable"] is False


def test_one_usable_drive_is_enough(command, street, tmp_path):
    write_drive(tmp_path, street, "kitti360", name="good")
    bad = write_drive(tmp_path, street, "kitti360", name="bad")
    (bad / "camera.json").unlink()
    result = command("datasets", "check", tmp_path)
    assert result.exit_code == 0
    assert "1 of 2 drives can be labelled" in result.stdout and "no intrinsics" in result.stdout
    assert command("datasets", "check", tmp_path, "--sequence", "bad").exit_code == 2
    assert list(values_of(command("datasets", "check", tmp_path, "--sequence", "good", "--json"))) == ["good"]


def spoil_ids(root):
    for frame in range(24):
        path = str(paths.mask_file(root, SEQUENCE, "image_00", frame))
        mask = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        mask[mask >= 26000] += np.uint16(20 * frame + 1)
        cv2.imwrite(path, mask)


def spoil_masks(root):
    for frame in range(24):
        cv2.imwrite(str(paths.mask_file(root, SEQUENCE, "image_00", frame)), np.full((96, 352), 7000, np.uint16))


def spoil_poses(root):
    path = paths.poses_file(root, SEQUENCE)
    rows = [line.split() for line in path.read_text().splitlines()]
    for row in rows[12:]:
        row[4] = str(float(row[4]) + 500)
    path.write_text("".join(" ".join(row) + "\n" for row in rows))


def spoil_image(root):
    paths.image_file(root, SEQUENCE, "image_00", 0).write_bytes(b"torn")


def spoil_mask(root):
    paths.mask_file(root, SEQUENCE, "image_00", 0).write_bytes(b"torn")


@pytest.mark.parametrize(
    ("spoil", "warning"),
    [
        (spoil_ids, "labelers need ids that stay; track them first."),
        (spoil_masks, "none of the 6 masks that were read shows an instance."),
        (spoil_poses, "the camera jumps by 499 m per frame between frames 11 and 12"),
        (spoil_image, "0000000000.png: the pixels cannot be decoded"),
        (spoil_mask, "0000000000.png: not a PNG file"),
    ],
)
def test_what_is_odd_is_a_warning(command, root, spoil, warning):
    spoil(root)
    result = command("datasets", "check", root)
    assert result.exit_code == 0
    assert any(line.startswith("  warning") and warning in line for line in result.stdout.splitlines()), result.stdout


def test_the_group_lists_datasets_when_it_is_called_alone(command):
    facts = json.loads(command("datasets", "--json").stdout)["folder"]
    assert (facts["cameras"], facts["layers"], facts["truth"]) == (["camera"], ["images", "masks"], [])
    assert "folder: one's own drives" in command("datasets").stdout


def test_wrong_arguments(command, street, tmp_path):
    for arguments in (
        [tmp_path / "none"],
        [street, "--sequence", "other"],
        [street, "--camera", "left"],
        [street, "--dataset", "x"],
    ):
        assert command("datasets", "check", *arguments).exit_code == 2
