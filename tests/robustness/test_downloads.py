"""Downloads that lie elsewhere or are of another kind: the message says what is there, and what to do about it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result

from vsrd_ray.data.drive import IMAGES
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.spec import SPEC

SEQUENCE = "2013_05_28_drive_0000_sync"
CAMERA = "image_00"


def masks(root: Path) -> Path:
    return paths.mask_folder(root, SEQUENCE, CAMERA)


def renamed_masks(root: Path, name: Callable[[str], str]) -> None:
    for path in list(masks(root).iterdir()):
        path.rename(path.with_name(name(path.name)))


def deeper(folder: Path) -> None:
    """Put a folder into a new one of its name."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.mkdir()
    aside.rename(folder / folder.name)


def higher(folder: Path) -> None:
    """Take a folder away around what is in it."""
    for path in folder.iterdir():
        path.rename(folder.parent / path.name)
    folder.rmdir()


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


FAULTS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "six digits": (
        lambda root: renamed_masks(root, lambda name: name[4:]),
        ("/instance: it holds 8 files such as 000000.png", "ten digits and .png"),
    ),
    "PNG": (
        lambda root: renamed_masks(root, lambda name: name.replace(".png", ".PNG")),
        ("it holds 8 files such as 0000000000.PNG", "ten digits and .png"),
    ),
    "jpg": (lambda root: renamed_masks(root, lambda name: f"mask_{name[:-3]}jpg"), ("mask_0000000000.jpg",)),
    "semantic": (
        lambda root: masks(root).rename(masks(root).with_name("semantic")),
        ("image_00/semantic is there", "unpack instance"),
    ),
    "other camera": (
        lambda root: masks(root).parent.rename(masks(root).parents[1] / "image_01"),
        ("image_01/instance is there", "--camera image_01"),
    ),
    "train/train": (lambda root: deeper(paths.masks_root(root)), (f"train/train/{SEQUENCE}", "too deep")),
    "twice": (lambda root: deeper(paths.masks_root(root).parent), ("data_2d_semantics/data_2d_semantics", "too deep")),
    "instance/instance": (lambda root: deeper(masks(root)), ("instance/instance", "too deep")),
    "sequence twice": (lambda root: deeper(masks(root).parents[1]), (f"{SEQUENCE}/{SEQUENCE}", "too deep")),
    "no train": (
        lambda root: higher(paths.masks_root(root)),
        (f"data_2d_semantics/{SEQUENCE}/image_00/instance is there, without a folder 'train'",),
    ),
    "no camera": (lambda root: higher(masks(root).parent), ("without a folder 'image_00'",)),
    "nothing": (lambda root: gone(masks(root)), ("download KITTI-360's 2D semantics",)),
    "poses.txt": (
        lambda root: paths.poses_file(root, SEQUENCE).rename(paths.poses_file(root, SEQUENCE).with_name("poses.txt")),
        ("no poses file", "poses.txt is there", "unpack cam0_to_world.txt"),
    ),
    "poses twice": (lambda root: deeper(paths.poses_root(root)), (f"data_poses/data_poses/{SEQUENCE}", "too deep")),
    "calibration twice": (
        lambda root: deeper(paths.calibration_file(root).parent),
        ("no calibration file", "calibration/calibration/perspective.txt is there", "too deep"),
    ),
    "calibration loose": (
        lambda root: higher(paths.calibration_file(root).parent),
        ("root/perspective.txt is there, without a folder 'calibration'",),
    ),
    "all twice": (
        lambda root: (deeper(paths.poses_root(root)), deeper(paths.masks_root(root))),
        ("one folder too deep",),
    ),
    "zip": (
        lambda root: (gone(paths.masks_root(root)), (root / "data_2d_semantics.zip").touch()),
        ("data_2d_semantics.zip is there: unpack it",),
    ),
    "another dataset": (
        lambda root: (gone(paths.poses_root(root)), gone(paths.masks_root(root)), (root / "2011_09_26").mkdir()),
        ("it holds 2011_09_26, calibration, ", "nothing in data_poses and data_2d_semantics/train: check --root"),
    ),
    "root too high": (
        deeper,
        ("no sequence under root, but under root/root: give --root root/root",),
    ),
}


@pytest.mark.parametrize("which", FAULTS)
@pytest.mark.parametrize("sequence", [SEQUENCE, "all"])
def test_what_lies_elsewhere_is_named(
    here: Path, label: Callable[..., Result], refused: Callable[..., str], which: str, sequence: str
) -> None:
    fault, words = FAULTS[which]
    fault(here / "root")
    line = refused(label(sequence=sequence), *words)
    if which not in ("nothing", "another dataset"):
        assert "download" not in line
    assert not (here / "new").exists()


def test_a_root_too_low_is_named(label: Callable[..., Result], here: Path, refused: Callable[..., str]) -> None:
    refused(label(root="root/data_2d_raw"), "no sequence under root/data_2d_raw", f"give --root {here / 'root'}")


@pytest.mark.parametrize("verb", ["evaluate", "convert", "annotate"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda folder: folder.rename(folder.with_name("train_full")), ("train_full/", "copy or link")),
        (deeper, ("train/train/", "too deep")),
        (higher, (f"data_3d_bboxes/{SEQUENCE}.xml is there, without a folder 'train'",)),
        (gone, ("download KITTI-360's 3D bounding boxes",)),
    ],
)
def test_boxes_that_lie_elsewhere_are_named(
    here: Path,
    command: Callable[..., Result],
    verb: str,
    fault: Callable[[Path], object],
    words: tuple[str, ...],
) -> None:
    fault(paths.boxes_file(here / "root", SEQUENCE).parent)
    arguments = {
        "evaluate": ("evaluate", "out", "--root", "root"),
        "convert": ("convert", "--truth", "--root", "root", "--sequence", SEQUENCE, "--to", "new"),
        "annotate": ("annotate", "--root", "root", "--sequence", SEQUENCE),
    }
    result = command(*arguments[verb])
    assert result.exit_code == (0 if verb == "annotate" else 2), result.output
    for word in ("no 3D boxes", *words):
        assert word in result.stderr
    assert not (here / "new").exists()


@pytest.mark.parametrize("number", ["0008", "0018"])
def test_what_the_test_drives_lack_is_not_to_be_had(
    here: Path, label: Callable[..., Result], command: Callable[..., Result], refused: Callable[..., str], number: str
) -> None:
    name = f"2013_05_28_drive_{number}_sync"
    poses = paths.poses_root(here / "root")
    shutil.copytree(poses / SEQUENCE, poses / name)
    assert "download" not in refused(label(sequence=name), "no instance masks", "test drives", "not public")
    shutil.copytree(paths.masks_root(here / "root") / SEQUENCE, paths.masks_root(here / "root") / name)
    convert = command("convert", "--truth", "--root", "root", "--sequence", name, "--to", "new")
    assert "download" not in refused(convert, "no 3D boxes", "test drives", "not public")
    shutil.rmtree(paths.masks_root(here / "root"))
    shutil.rmtree(poses / SEQUENCE)
    assert "download" not in refused(label(sequence="all"), "no instance masks of image_00 in", "not public")
    assert "download KITTI-360's perspective images" in SPEC.missing(here / "root", name, IMAGES, CAMERA)


def numbered(root: Path, number: Callable[[np.ndarray], np.ndarray]) -> None:
    """Give the cars of all masks other ids."""
    for path in masks(root).iterdir():
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cars = np.where(ids // 1000 == 26, number(ids % 1000), 0)
        assert cv2.imwrite(str(path), cars.astype(np.uint16))


def test_masks_of_other_objects_are_no_fault(here: Path, label: Callable[..., Result]) -> None:
    numbered(here / "root", lambda number: 27000 + number)
    assert "no frame shows a car" in (output := label().output) and "would be" not in output


@pytest.mark.parametrize(
    ("number", "said"),
    [(lambda number: 1000 + number, "are 1001 to"), (lambda number: number, "are 1 to")],
    ids=["KITTI-MOTS", "track ids"],
)
def test_masks_that_are_numbered_otherwise_are_told(
    here: Path, label: Callable[..., Result], number: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    numbered(here / "root", number)
    result = label()
    assert said in result.output and "those of a car would be 26001 to 26999" in result.output, result.output
