"""One bad file or sequence does not end a run over many: it is named, and the rest is labelled."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from plain_labeler import PlainLabeler

from vsrd_ray import engines
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import instances, paths
from vsrd_ray.datasets.kitti360.drives import fingerprint
from vsrd_ray.errors import InputError, OutputError, WorkerError
from vsrd_ray.pipeline.planner import because

FIRST, BROKEN, LAST = (f"2013_05_28_drive_000{number}_sync" for number in range(3))
CAMERA = "image_00"
CLOSED = "/proc/self/mem"  # reads of its start fail with EIO, whoever reads


class NoBoxes(PlainLabeler):
    """Finds nothing in any group, though it looks at the masks."""

    def payload_of(self, group: FrameGroup) -> int:
        return sum(int(instance_map.max()) for instance_map in group.instance_maps)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fitted: what goes wrong here is before that."""
    monkeypatch.setattr(engines.label, "__kwdefaults__", {"labeler_factory": NoBoxes})


@pytest.fixture
def root(here: Path) -> Path:
    """A dataset of three sequences alike, of which a test breaks the second."""
    root = here / "root"
    for folder in (paths.poses_root(root), paths.masks_root(root)):
        for name in (BROKEN, LAST):
            shutil.copytree(folder / FIRST, folder / name, copy_function=shutil.copy2)
    return root


@pytest.fixture
def label_all(root: Path, command: Callable[..., Result]) -> Callable[..., Result]:
    """Labels every sequence of `root` into `new`."""
    return lambda *options: command(
        "label", "--root", "root", "--sequence", "all", "--output", "new", "--serial", *options
    )


def mask(root: Path, frame: int = 3, *, drive: str = BROKEN) -> Path:
    return paths.mask_file(root, drive, CAMERA, frame)


def in_place_of(path: Path, *, link: str | None = None) -> None:
    """Put a folder, or a link, in the place of a file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.mkdir() if link is None else path.symlink_to(link)


def spoil_masks(root: Path) -> None:
    for path in mask(root).parent.iterdir():
        path.write_bytes(b"")


def file_for_poses(root: Path) -> None:
    shutil.rmtree(paths.poses_file(root, BROKEN).parent)
    paths.poses_file(root, BROKEN).parent.touch()


SPOILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "unreadable mask": (lambda root: in_place_of(mask(root), link=CLOSED), "0000000003.png cannot be used (Input/"),
    "mask of another kind": (lambda root: mask(root).write_bytes(eight_bits(root)), "0000000003.png: expected a mask"),
    "frame beyond 32 bits": (lambda root: shutil.copy(mask(root), mask(root, 9_999_999_990)), "9999999990.png"),
    "folder for poses": (lambda root: in_place_of(paths.poses_file(root, BROKEN)), "cam0_to_world.txt"),
    "unreadable poses": (lambda root: in_place_of(paths.poses_file(root, BROKEN), link=CLOSED), BROKEN),
    "file for the folder of poses": (file_for_poses, "cam0_to_world.txt"),
    "no usable frame": (spoil_masks, "none of its 8 frames can be used (unreadable: 8)"),
}


def eight_bits(root: Path) -> bytes:
    import cv2

    width, height = open_drive(root, BROKEN).image_size
    return cv2.imencode(".png", np.zeros((height, width), np.uint8))[1].tobytes()


@pytest.mark.parametrize("kind", SPOILS)
def test_broken_sequence_is_left_out_and_named(root, label_all, kind):
    spoil, said = SPOILS[kind]
    spoil(root)
    result = label_all()
    assert result.exit_code == 3, result.output
    assert "Traceback" not in result.output
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Left out")]
    assert f"Left out  {BROKEN}: " in line and said in line
    labelled = {path.name for path in Path("new/labels").iterdir()}
    assert labelled == {f"sequence={FIRST}", f"sequence={LAST}"}


@pytest.mark.parametrize("kind", [kind for kind in SPOILS if kind != "no usable frame"])
def test_broken_sequence_alone_is_refused_and_nothing_written(root, label, refused, kind):
    spoil, said = SPOILS[kind]
    spoil(root)
    refused(label(sequence=BROKEN), said)
    assert not Path("new").exists()


def test_sequence_without_a_usable_frame_is_no_success(root, command, label):
    """Its labels of better days stay, whatever became of its masks."""
    for path in mask(root, drive=FIRST).parent.iterdir():
        path.write_bytes(b"")
    before = {path: path.read_bytes() for path in Path("out/labels").rglob("*.parquet")}
    for output in ("new", "new", "out"):
        result = label(output=output)
        assert result.exit_code == 3, result.output
        assert "none of its 8 frames can be used" in result.stdout
    assert {path: path.read_bytes() for path in Path("out/labels").rglob("*.parquet")} == before
    assert "Left out" in command("status", "new").stdout


@pytest.mark.parametrize("place", ["folder", "link to nothing", "link to itself"])
def test_mask_that_is_no_file_costs_its_frame(root, label_all, place):
    links = {"folder": None, "link to nothing": "/nowhere/x.png", "link to itself": mask(root).name}
    in_place_of(mask(root), link=links[place])
    first, again = label_all(), label_all()
    assert first.exit_code == again.exit_code == 0, first.output
    assert "Frames    23 of 24 labelled, 1 skipped" in first.stdout
    assert "Nothing was left to do" in again.stdout


def test_links_to_nothing_leave_a_fingerprint(root):
    before = fingerprint(root, BROKEN, CAMERA)
    (mask(root).parent / "notes.png").symlink_to("/nowhere")
    assert fingerprint(root, BROKEN, CAMERA) != before


@pytest.mark.parametrize("link", [None, CLOSED])
def test_image_that_cannot_be_read_is_as_good_as_none(root, command, label, link):
    in_place_of(paths.image_file(root, FIRST, CAMERA, 3), link=link)
    result = label()
    assert result.exit_code == 0, result.output
    assert "Frames    8 of 8 labelled, 0 skipped" in result.stdout
    assert command("visualize", "labels", "out", "--root", "root", "--to", "p").exit_code == 0


def test_masks_that_close_after_they_were_indexed_fail_their_groups_in_a_line(monkeypatch, root, command, label):
    """Pictures go on without it."""
    assert label().exit_code == 0
    for place in ("new/labels", "new/groups"):
        shutil.rmtree(place)
    Path(f"new/index/.{FIRST}.finished.json").unlink()

    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(instances, "read_bytes", closed)
    result = label(output="new")
    assert result.exit_code == 3, result.output
    assert "Traceback" not in result.output
    assert "PermissionError: [Errno 13] Permission denied: " in result.stdout
    drawn = command("visualize", "labels", "out", "--root", "root", "--to", "p")
    assert drawn.exit_code == 0, drawn.output


def test_whatever_goes_wrong_with_one_sequence_is_told_of_it(monkeypatch, root, label_all):
    from vsrd_ray.data import index

    describe = index._index_frame

    def failing(drive, frame, **options):
        if drive.name == BROKEN and frame == 4:
            raise ZeroDivisionError("of all\nthings")
        return describe(drive, frame, **options)

    monkeypatch.setattr(index, "_index_frame", failing)
    result = label_all()
    assert result.exit_code == 3, result.output
    assert f"Left out  {BROKEN}: {BROKEN} cannot be used: ZeroDivisionError: of all things\n" in result.stdout
    assert "Traceback" not in result.output
    assert "Traceback" in label_all("--verbose").stderr


def test_what_is_no_matter_of_a_sequence_ends_the_run():
    for error in (WorkerError("gone"), OutputError("full")):
        with pytest.raises(type(error)):
            because(error, BROKEN)
    assert isinstance(because(KeyError("x"), BROKEN), InputError)


@pytest.mark.parametrize("is_finished", [True, False])
def test_index_of_a_run_that_cannot_be_read_costs_no_labels(here, label, refused, is_finished):
    """An index that passed for gone had all labels of its sequence removed and made again."""
    before = {path: path.read_bytes() for path in Path("out/labels").rglob("*.parquet")}
    in_place_of(here / "out" / "index" / f"{FIRST}.parquet")
    if not is_finished:
        (here / "out" / "index" / f".{FIRST}.finished.json").unlink()
    refused(label(output="out"), f"{FIRST}.parquet: no index that can be read", "move the folder away")
    assert {path: path.read_bytes() for path in Path("out/labels").rglob("*.parquet")} == before


def test_files_of_one_sequence_in_a_run_that_are_torn_do_not_stop_the_others(root, label_all):
    assert label_all("--limit", "1").exit_code == 0
    torn = next(path for path in Path("new/groups").iterdir() if path.name.startswith(FIRST))
    torn.write_bytes(b"torn")
    Path(f"new/index/.{FIRST}.finished.json").unlink()
    result = label_all()
    assert result.exit_code == 3 and "Traceback" not in result.output
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Left out")]
    assert f"{FIRST}: new/groups/{torn.name}: cannot be read as Parquet" in line
    assert "remove it, and label again" in line
    assert Path(f"new/labels/sequence={LAST}").is_dir()
    torn.unlink()
    assert label_all().exit_code == 0


@pytest.mark.parametrize("place", ["groups", f"labels/sequence={BROKEN}"])
@pytest.mark.parametrize("how", ["torn", "as long as before"])
def test_bad_file_of_a_finished_sequence_is_named_and_the_rest_counted(root, label_all, label, place, how):
    assert label_all().exit_code == 0
    bad = next(path for path in sorted(Path("new", place).iterdir()) if path.name.startswith(BROKEN))
    bad.write_bytes(b"PAR1" if how == "torn" else bytes(bad.stat().st_size))
    for sequence in (BROKEN, LAST, "all"):  # whichever sequence is asked for
        result = label(sequence=sequence)
        assert result.exit_code == 3, result.output
        (line,) = [line for line in result.stdout.splitlines() if line.startswith("Left out")]
        assert f"{BROKEN}: new/{place}/{bad.name}: cannot be read" in line
    assert "Traceback" not in result.output
    bad.unlink()
    assert label_all().exit_code == 0
