"""Which dataset a folder is of, and what is said of cameras and drives that there are not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vsrd_ray import plugins
from vsrd_ray.datasets.base import check_camera, dataset_of, open_drive
from vsrd_ray.errors import InputError

SEQUENCE = "2013_05_28_drive_0042_sync"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """Installs datasets that recognise a folder by a file of their name, beside none or in place of all others."""

    def make(*names: str) -> None:
        datasets = {
            name: SimpleNamespace(name=name, recognises=lambda root, name=name: (root / name).exists())
            for name in names
        }
        monkeypatch.setattr(plugins, "installed", lambda floor: tuple(datasets))
        monkeypatch.setattr(plugins, "load", lambda floor, name: datasets[name])

    return make


def test_a_dataset_is_told_by_the_layout_of_its_folder(installed, tmp_path: Path) -> None:
    installed("album", "kitti360", "tape")
    (tmp_path / "tape").touch()
    assert dataset_of(tmp_path).name == "tape"


def test_a_folder_that_none_recognises_is_for_the_default_to_explain(installed, tmp_path: Path) -> None:
    installed("album", "kitti360")
    assert dataset_of(tmp_path).name == "kitti360"


def test_a_folder_that_several_recognise_asks_which(installed, tmp_path: Path) -> None:
    installed("album", "kitti360", "tape")
    for name in ("album", "tape"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"^{tmp_path} is laid out as album and tape: say which with --dataset$"):
        dataset_of(tmp_path)


def test_a_drive_is_opened_with_the_first_camera_unless_another_is_named(write_sequence) -> None:
    root = write_sequence({0: np.zeros((16, 20))})
    for camera, dataset in ((None, None), ("image_00", None), (None, "kitti360")):
        drive = open_drive(root, SEQUENCE, camera, dataset=dataset)
        assert (drive.dataset, list(drive.cameras), drive.camera.name) == ("kitti360", ["image_00"], "image_00")
    assert list(open_drive(root, SEQUENCE, "image_01").cameras) == ["image_01"]
    with pytest.raises(InputError, match="no dataset 'waymo' is installed"):
        open_drive(root, SEQUENCE, dataset="waymo")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("image01", "unknown camera 'image01': give one of image_00, image_01; did you mean 'image_01'?"),
        ("CAM_FRONT", "unknown camera 'CAM_FRONT': give one of image_00, image_01"),
    ],
)
def test_an_unknown_camera_is_told_with_the_nearest(name: str, message: str) -> None:
    check_camera("image_01", ("image_00", "image_01"))
    with pytest.raises(InputError) as raised:
        check_camera(name, ("image_00", "image_01"))
    assert str(raised.value) == message
