"""Names of sequences, folders and files: what can be labelled is read back, and what cannot is refused before that."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from builders import make_drive, make_label, make_labels, make_mark, make_plan, make_store, make_table
from click.testing import Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vsrd_ray import storage
from vsrd_ray.data.groups import check_plans
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.paths import drive_of, is_temporary
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import open_location, plain_name
from vsrd_ray.storage.atomic import atomic_write, write_parquet

SEQUENCE = "2013_05_28_drive_0000_sync"
ODD = "a b+c#d?e=[f]*~'\"&<é> :.$(x)-part00000"


def renamed(root: Path, name: str) -> None:
    for folder in (paths.poses_root(root), paths.masks_root(root), paths.images_root(root)):
        (folder / SEQUENCE).rename(folder / name)
    paths.boxes_file(root, SEQUENCE).rename(paths.boxes_file(root, name))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        (".night", "begins with '.' or '_'"),
        ("..", "begins with '.' or '_'"),
        ("_night", "begins with '.' or '_'"),
        ("__HIVE_DEFAULT_PARTITION__", "begins with '.' or '_'"),
        ("a%20b", "holds '%'"),
        ("100%", "holds '%'"),
        ("a,b", "holds ','"),
        ("a/../b", "holds '/'"),
        ("a\\b", "holds '/' or"),
        (" night", "with a space"),
        ("night ", "with a space"),
        ("a\nb", "cannot be printed"),
        ("a\0b", "cannot be printed"),
        ("a\u202eb", "cannot be printed"),
        ("\udcff", "cannot be printed"),
        ("n" * 181, "longer than 180 bytes"),
        ("é" * 91, "longer than 180 bytes"),
    ],
)
def test_names_that_some_reader_would_lose_are_refused_before_anything_is_written(
    here: Path, label: Callable[..., Result], refused: Callable[..., str], name: str, reason: str
) -> None:
    refused(label(sequence=name), "--sequence", reason)
    assert not (here / "new").exists()


@settings(deadline=None, max_examples=60)  # most of the time goes to files
@given(st.text(max_size=80))
@example(ODD)
@example("con.txt.")
@example("{0}{")
@example("~")
@example("sequence=a=b")
@example("e\u0301")
@example("human-image_00")
@example("n" * 180)
def test_a_name_is_refused_or_labels_under_it_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    try:
        plain_name(name, what="sequence")
    except InputError as error:
        assert "expected a plain name" in str(error) and str(error).isprintable()
        return
    output = tmp_path_factory.mktemp("run")
    plan = make_plan(f"{name}-image_00-w00000", (1,), sequence=name)
    assert check_plans([plan], drive=name) == (plan,)
    store = make_store(output, [plan], make_table(groups_a_file=1), sequence=name)
    store.write(plan, {"boxes": make_labels(make_label(1, 26001))}, make_mark(plan.group_id, (1,), sequence=name))
    for _ in range(2):
        assert read_labels(output)["sequence"].to_pylist() == [name]
        assert read_labels(output, sequence=name).num_rows == 1
        assert read_groups(output)["sequence"].to_pylist() == [name]
        assert make_store(output, [plan], make_table(groups_a_file=1), sequence=name).records().keys() == {
            plan.group_id
        }
        store.compact(0)


def test_drives_that_are_found_are_checked_like_those_that_are_named() -> None:
    with pytest.raises(InputError, match="sequence '_night' begins with"):
        check_plans([make_plan("_night-1", sequence="_night")], drive="_night")


def test_every_command_knows_a_sequence_of_an_odd_name(
    here: Path, command: Callable[..., Result], label: Callable[..., Result], refused: Callable[..., str]
) -> None:
    renamed(here / "root", ODD)
    output = f"out put%20#?*[{'x' * 30}]"
    labelled = label(sequence=ODD, output=output)
    assert labelled.exit_code == 0 and "40 of" not in labelled.stderr, labelled.output
    boxes = read_labels(here / output)
    assert boxes.num_rows == 40 and set(boxes["sequence"].to_pylist()) == {ODD}
    assert shlex.quote(str(output)) in labelled.stdout
    evaluated = command("evaluate", output, "--root", "root", "--json")
    assert json.loads(evaluated.stdout)["static"]["labelled"] == 32, evaluated.output
    assert ODD in command("status", output).output or "complete" in command("status", output).output
    for arguments in (
        ("export", output, "--root", "root", "--format", "csv", "--output", "csv", "--sequences", ODD),
        ("export", output, "--root", "root", "--format", "kitti", "--output", "kitti"),
        ("import", output, "kitti", "--root", "root", "--format", "kitti", "--confirm-unchanged"),
        ("report", output, "--root", "root", "--sequence", ODD),
        ("visualize", "labels", output, "--root", "root", "--sequence", ODD, "--sheet", "sheet.png"),
        ("annotate", "--root", "root", "--sequence", ODD),
    ):
        result = command(*arguments)
        assert result.exit_code == 0, (arguments, result.output)
    assert len((here / "csv" / "labels.csv").read_text().splitlines()) == 41
    for arguments in (("convert", output), ("convert", "--truth", "--root", "root", "--sequence", ODD)):
        assert command(*arguments, "--to", "text").exit_code == 0
        assert sum(len(path.read_text().splitlines()) for path in (here / "text").rglob("*.txt")) == 40
        shutil.rmtree(here / "text")
    refused(command("sample", "--root", "root", "--sequence", ODD, "--set", "grouping.num_sources=2"), "spaces")


def test_a_name_that_only_looks_the_same_is_told(
    here: Path, label: Callable[..., Result], refused: Callable[..., str]
) -> None:
    renamed(here / "root", "cafe\u0301")
    line = refused(label(sequence="caf\u00e9"), "no sequence 'caf\u00e9'")
    assert r"'cafe\u0301' is there, which looks the same" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got ''"),
        ("~\0", "got"),
        ("s3:/bucket/x", "begins like a URI"),
        ("s3:bucket/x", "begins like a URI"),
        ("S3:/bucket/x", "begins like a URI"),
        (" s3://bucket/x", "begins like a URI"),
        ("s3//bucket/x", "begins like a URI"),
        ("'s3://bucket/x'", "begins like a URI"),
        ("file:x", "begins like a URI"),
        ("file:/x", "begins like a URI"),
        ("https:/host/x", "begins like a URI"),
        ("s3a://bucket/x", "unknown scheme"),
        ("gcs://bucket/x", "unknown scheme"),
        ("file:///x?y", "'\\?'"),
        ("file:///x#y", "'#'"),
        ("~nobody-has-this-name/x", "home folder"),
        ("\udcff", "UTF-8"),
        ("x" * 236, "at most 235 bytes in a name"),
        (f"a/{'é' * 128}/b", "at most 235 bytes in a name"),
        ("abc/" * 1000, "at most 3500 bytes"),
    ],
)
def test_what_is_no_place_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        open_location(text)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700


@settings(deadline=None)
@given(
    st.sampled_from(["", "/", "~", "./", "file:", "file://", "file:///", "s3:", "s3://", " s3:/", "x://"]), st.text()
)
def test_any_text_is_a_place_or_refused_by_name(start: str, text: str) -> None:
    try:
        location = open_location(start + text)
    except InputError:
        return
    if isinstance(location, Path):
        assert location.is_absolute() or (not str(location).startswith("~") and ":" not in str(location))
        location.exists()
    else:
        assert (start + text).startswith("s3://") and ".." not in location.parts


def test_a_tilde_is_the_home_folder_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "~home"))
    monkeypatch.chdir(tmp_path)
    assert open_location("~/x") == tmp_path / "~home" / "x"
    assert open_location("~") == tmp_path / "~home"
    assert open_location("a/~") == Path("a/~")
    assert open_location("./~/x") == tmp_path / "~" / "x"  # Arrow would expand a relative one
    assert open_location("./s3:/x") == tmp_path / "s3:" / "x"
    assert open_location("run:3") == tmp_path / "run:3"
    assert open_location("C:/x") == tmp_path / "C:" / "x"


@pytest.mark.parametrize("output", ["~/labels", "run:3/labels", "./~/labels", "./s3:/b", "_a/.b/sequence=c/%41"])
def test_runs_into_odd_places_are_read_back(
    here: Path, command: Callable[..., Result], output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    shutil.copytree(here / "out", open_location(output))
    result = command("evaluate", output, "--root", "root")
    assert result.exit_code == 0 and "32 of 32 parked ones" in result.stdout, result.output


def test_outputs_are_made_where_they_were_asked_for(
    here: Path,
    label: Callable[..., Result],
    command: Callable[..., Result],
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    labelled = label("--limit", 1, output="~/run:3", root="./root")
    assert labelled.exit_code == 0 and (here / "home" / "run:3" / "manifest.json").exists(), labelled.output
    assert not (here / "~").exists()
    assert command("train-prior", "car", "~/car.npz", "--samples", 100).exit_code == 0
    assert (here / "home" / "car.npz").exists()
    for text in ("s3:/bucket/x.npz", "s3//bucket/x.npz", "s4://bucket/x.npz"):
        refused(command("train-prior", "car", text, "--samples", 100), text)
    assert not [path.name for path in here.iterdir() if path.name.startswith(("s3", "s4"))]


@pytest.mark.parametrize("name", ["labels/sequence=x/y.parquet", "kitti/0000000001.txt", "film.mp4", "manifest.json"])
def test_what_is_being_written_looks_like_no_file_of_the_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        assert temporary.suffix != path.suffix and is_temporary(temporary.name)
        assert not list(tmp_path.rglob(f"*{path.suffix}"))
    assert list(path.parent.iterdir()) == [path]


def parquet_files(output: Path) -> list[str]:
    return sorted(path.name for path in output.rglob("*.parquet"))


def test_a_file_that_is_being_compacted_looks_like_none_and_that_of_an_older_version_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(*_arguments: object) -> None:
        raise KilledError

    plan = make_plan("s-image_00-w00000", (1,))
    table = make_table(groups_a_file=1)
    store = make_store(tmp_path, [plan], table)
    store.write(plan, {"boxes": make_labels(make_label(1, 26001))}, make_mark(plan.group_id, (1,)))
    fragments = parquet_files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_publish", killed)
        with pytest.raises(KilledError):
            store.compact(0)
    assert parquet_files(tmp_path) == fragments
    hidden = [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert len(hidden) == 2
    for path in hidden:  # as versions before left them
        path.rename(path.with_suffix(".parquet"))
    assert make_store(tmp_path, [plan], table).records().keys() == {plan.group_id}
    assert parquet_files(tmp_path) == ["s-image_00-part00000.parquet"] * 2
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert read_labels(tmp_path).num_rows == 1


def test_a_file_that_was_compacted_without_its_marks_is_undone(tmp_path: Path) -> None:
    plan = make_plan("s-image_00-w00000", (1,))
    folder = tmp_path / "labels" / "sequence=s"
    for suffix in ("hidden", "parquet"):
        write_parquet(pa.table({"frame": [1]}), folder / f".s-image_00-part0000{len(suffix)}.{suffix}")
    make_store(tmp_path, [plan])
    assert storage.names_in(folder) == []


def test_a_store_of_objects_keeps_odd_names(s3: str) -> None:
    root = open_location(f"{s3}/some place/a+b#c")
    for name in (ODD.replace("/", ""), "e\u0301", "a&b=c", "x;y"):
        plain_name(name, what="sequence")
        drive = make_drive(name, root=root)
        with atomic_write(paths.poses_file(root, drive.name)) as temporary:
            temporary.write_text("pose")
        assert name in storage.folders_in(paths.poses_root(root))
        assert storage.read_bytes(paths.poses_file(root, name)) == b"pose"
        plan = make_plan(f"{name}-image_00-w00000", (1,), sequence=name)
        output = open_location(f"{s3}/run of/{len(name)}")
        store = make_store(output, [plan], make_table(groups_a_file=1), sequence=name)
        store.write(plan, {"boxes": make_labels(make_label(1, 26001))}, make_mark(plan.group_id, (1,), sequence=name))
        store.compact(0)
        assert read_labels(output, sequence=name)["sequence"].to_pylist() == [name]


def test_a_file_is_of_the_drive_that_named_it() -> None:
    drives = ["a", "a-image_00", "a-image_00-part00000", "b"]
    for drive in drives:
        for rest in ("part00000.parquet", "26001.parquet"):
            assert drive_of(f"{drive}-image_00-{rest}", drives, "image_00") == drive
    assert drive_of("b-from-3.parquet", drives, "image_00") == "b"
    assert drive_of("empty.parquet", drives, "image_00") is None


def test_drives_whose_names_begin_alike_are_read_back(here: Path, command: Callable[..., Result]) -> None:
    names = ("a", "a-image_00", "a-image_00-part00000")
    for name in names:
        for folder in (paths.poses_root(here / "root"), paths.masks_root(here / "root")):
            shutil.copytree(folder / SEQUENCE, folder / name, copy_function=shutil.copy2)
    words = ["label", "--root", "root", "--output", "new", "--serial"]
    for name in names:
        words += ["--sequence", name]
    assert command(*words).exit_code == 0
    result = command("export", "new", "--root", "root", "--format", "csv", "--output", "table")
    assert result.exit_code == 0, result.output
    assert "Nothing was left to do" in command(*words).stdout
