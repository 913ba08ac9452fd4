"""Whether places can be written to, asked before any work is done for them."""

from pathlib import Path

import pytest

from vsrd_ray.errors import OutputError
from vsrd_ray.storage.targets import check_file, check_folder

FIX = "give another --output"


def test_folders_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    check_folder(tmp_path, fix=FIX)
    check_folder(tmp_path / "new" / "inside", fix=FIX)
    monkeypatch.chdir(tmp_path)
    check_folder(Path("outputs/a"), fix=FIX)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be made, since .*/file is a file"):
        check_folder(tmp_path / "file" / "inside", fix=FIX)
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write anywhere
    with pytest.raises(OutputError, match=f"since {tmp_path} is not writable: give another --output"):
        check_folder(tmp_path / "new" / "inside", fix=FIX)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_link_to_nothing_is_no_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "link", tmp_path / "link" / "inside"):
        with pytest.raises(OutputError, match=f"link is a link to nothing: {FIX}"):
            check_folder(folder, fix=FIX)


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "new/x.png"])
def test_file_of_its_kind_may_be_written(tmp_path, name):
    check_file(tmp_path / name, kind="PNG", suffixes=(".png",), fix=FIX)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.jpg", r"x\.jpg: the PNG file needs a name that ends with \.png"),
        ("x", r"/x: the PNG file needs a name that ends with \.png"),
        ("folder.png", r"folder\.png is a folder: name the PNG file to write"),
        ("file/x.png", rf"/file is a file: {FIX}"),
        ("/dev/null", r"/dev/null is a device: name the PNG file to write"),
    ],
)
def test_other_files_are_refused(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message):
        check_file(tmp_path / name, kind="PNG", suffixes=(".png",), fix=FIX)
