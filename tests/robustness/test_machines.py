"""What machines do to a run: closed and full places, other kinds of files there, quotas, no locks, and no cluster."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.engines.ray_data import session
from vsrd_ray.errors import InputError, OutputError, WorkerError, explained, fix_of
from vsrd_ray.pipeline.cores import num_cores
from vsrd_ray.runs import lock
from vsrd_ray.runs.lock import locked
from vsrd_ray.storage import naming, read_bytes
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.synthetic import writer

SEQUENCE = "2013_05_28_drive_0000_sync"
PERSPECTIVE = "root/calibration/perspective.txt"
TRUTH = f"root/data_3d_bboxes/train/{SEQUENCE}.xml"


# ---- errors of the operating system ----


@given(st.sampled_from(sorted(errno.errorcode)), st.none() | st.sampled_from(["a b/c.txt", b"\xff"]))
def test_any_error_of_the_system_is_one_line_with_place_reason_and_fix(number, place):
    line = explained(OSError(number, os.strerror(number), place))
    assert "\n" not in line and os.strerror(number) in line and ": " in line
    assert place is None or os.fsdecode(place) in line


def test_error_that_says_nothing_of_the_system_is_told_as_it_is():
    assert explained(OSError("Couldn't deserialize\n thrift")) == "OSError: Couldn't deserialize thrift"
    assert fix_of(ValueError("torn"), otherwise="remove it") == fix_of(OSError("torn"), otherwise="remove it")


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "x"), MemoryError("x"), UnicodeEncodeError("utf-8", "a", 0, 1, "x")]
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_command_never_ends_with_a_traceback(monkeypatch, label, error, log_format):
    def broken(*arguments):
        raise error

    monkeypatch.setattr("vsrd_ray.engines.label", broken)
    result = label("--log-format", log_format)
    assert (result.exit_code, result.stdout) == (2, "") and "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") or json.loads(line)["level"] == "ERROR"


def test_pipe_that_is_closed_is_no_error_of_a_file(monkeypatch, label):
    def closed(*arguments):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("vsrd_ray.engines.label", closed)
    result = label()
    assert result.exit_code == 1 and "Error" not in result.stderr


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError("torn")])
def test_error_without_a_name_gets_that_of_the_file(tmp_path, error):
    with pytest.raises(OSError, match=r"x\.txt") as caught, naming(tmp_path / "x.txt"):
        raise error
    assert caught.value.errno == error.errno and caught.value.filename == str(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path / "x.txt"):
        (tmp_path / "y.txt").read_text()
    assert caught.value.filename == str(tmp_path / "y.txt")


def test_file_of_a_disk_that_fails_is_named():
    with pytest.raises(OSError, match="/proc/self/mem"):
        read_bytes(Path("/proc/self/mem"))


def test_what_is_written_to_is_named_and_not_what_becomes_it(tmp_path):
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_write(tmp_path / "x.txt") as temporary:
        temporary.touch()
    assert caught.value.filename == str(tmp_path / "x.txt") and caught.value.filename2 is None


# ---- places to write to ----

UNWRITABLE = [
    ("convert out --to {}", "give another --to"),
    ("synthesize {} --frames 2", "give another OUT"),
    ("degrade root {}", "give another OUTPUT"),
    ("export out --root root --format csv --output {}/csv", "give another --output"),
    ("visualize labels out --root root --to {}", "give another --to"),
    ("visualize labels out --root root --to {}/film.mp4", "give another --to"),
    ("visualize labels out --root root --sheet {}/sheet.png", "give another --sheet"),
    ("report out --root root --output {}/report.html", "give another --output"),
    ("train-prior car {}/car.npz", "give another OUT"),
    (f"label --root root --sequence {SEQUENCE} --output {{}}", "give another --output"),
]


@pytest.fixture
def closed(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Closes a folder to this process, which as root may write anywhere."""
    access = os.access

    def close(name: str) -> None:
        monkeypatch.setattr("os.access", lambda path, mode: path.resolve() != here / name and access(path, mode))

    return close


@pytest.mark.parametrize("target", ["closed/new", "file", "file/new", "link"])
@pytest.mark.parametrize("unwritable", UNWRITABLE, ids=lambda unwritable: unwritable[0])
def test_place_that_cannot_be_written_is_refused_at_once(here, command, refused, closed, unwritable, target):  # noqa: PLR0917
    words, fix = unwritable
    (here / "closed").mkdir()
    closed("closed")
    (here / "file").touch()
    (here / "link").symlink_to("/nowhere/there")
    before = sorted(here.rglob("*"))
    refused(command(*words.format(target).split()), target.partition("/")[0], fix)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("verb", ["annotate", "sample"])
def test_root_that_cannot_be_written_is_named_with_the_way_out(here, command, refused, closed, verb):
    path = here / "root" / {"annotate": "annotations", "sample": "filenames"}[verb]
    path.touch()
    refused(command(verb, "--root", "root", "--sequence", SEQUENCE), f"root/{path.name} is a file", "copy the dataset")
    path.unlink()
    closed("root")
    refused(command(verb, "--root", "root", "--sequence", SEQUENCE), "root is not writable", "copy the dataset")


WRONG_KINDS = [
    ("visualize labels out --root root --sheet root", "root is a folder: name the PNG file to write"),
    ("visualize labels out --root root --sheet s.jpg", "s.jpg: the PNG file needs a name that ends with .png"),
    ("visualize labels out --root root --sheet s.pdf", "s.pdf: the PNG file needs"),
    ("visualize labels out --root root --sheet s.png --to p.jpg", "p.jpg: pictures go to a folder"),
    ("visualize labels out --root root --sheet /dev/null", "/dev/null is a device"),
    ("visualize labels out --root root --to film.mp4", "film.mp4 is a folder: name the .mp4 file to write"),
    ("report out --root root --output r.pdf", "r.pdf: the HTML file needs a name that ends with .html or .htm"),
    ("report out --root root --output /dev/null", "/dev/null is a device"),
    ("train-prior car root --samples 100", "root is a folder: name the NumPy file to write"),
    ("train-prior car car.pt --samples 100", "car.pt: the NumPy file needs a name that ends with .npz"),
    (f"convert out --to {PERSPECTIVE}", f"{PERSPECTIVE} is a file"),
    (f"convert --truth --root root --sequence {SEQUENCE} --to {PERSPECTIVE}", f"{PERSPECTIVE} is a file"),
]


@pytest.mark.parametrize(("words", "said"), WRONG_KINDS)
def test_file_of_another_kind_is_not_written(here, command, refused, words, said):
    (here / "film.mp4").mkdir()
    before = sorted(here.rglob("*"))
    refused(command(*words.split()), said)
    assert sorted(here.rglob("*")) == before
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


class EndedPool(ThreadPoolExecutor):
    """Stands in for processes that end when they are given something."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(1)

    def map(self, *arguments: object, **options: object) -> Iterator[Any]:
        raise BrokenProcessPool("A process in the process pool was terminated abruptly")


def test_renderer_that_has_ended_is_told_of_in_a_line(monkeypatch, command):
    monkeypatch.setattr(writer, "ProcessPoolExecutor", EndedPool)
    result = command("synthesize", "street", "--frames", 2, "--cars", 1, "--image-size", "64x32", "--jobs", 2)
    assert result.exit_code == 1, result.output
    assert result.stderr == "Error: a process that renders frames has ended: give fewer of them, such as --jobs 1\n"


# ---- runs that can only be read ----


@pytest.fixture
def confined(here: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `vsrd-ray` as an account that may not do everything, also where this is root."""
    prefix = []
    if os.geteuid() == 0:
        if (setpriv := shutil.which("setpriv")) is None:
            pytest.skip("this is root, and there is no setpriv to be less")
        prefix = [setpriv, "--inh-caps=-all", "--bounding-set=-all"]

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", "from vsrd_ray.cli import main; main()", *map(str, arguments)]
        return subprocess.run([*prefix, *program], capture_output=True, text=True, check=False)

    return run


def test_commands_that_read_a_run_need_not_write_to_it(here, confined):
    (here / "out" / "evaluation.json").unlink(missing_ok=True)
    for path in (here / "out", *(path for path in (here / "out").rglob("*") if path.is_dir())):
        path.chmod(0o555)
    before = sorted((here / "out").rglob("*"))
    evaluated = confined("evaluate", "out", "--root", "root")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "IoU3D" in evaluated.stdout
    assert evaluated.stderr == (
        "The evaluation is not kept: out/evaluation.json cannot be used (Permission denied): "
        "allow this account to use it\n"
    )
    assert sorted((here / "out").rglob("*")) == before


def test_files_of_a_run_that_may_not_be_read_are_to_be_opened_and_not_removed(here, confined):
    (here / "out" / "index" / f"{SEQUENCE}.parquet").chmod(0)
    evaluated = confined("evaluate", "out", "--root", "root")
    assert evaluated.returncode == 2
    (line,) = evaluated.stderr.splitlines()
    assert "remove it" not in line and line.endswith("allow this account to use it")


@pytest.mark.parametrize("place", ["groups", f"labels/sequence={SEQUENCE}"])
def test_folder_in_the_place_of_a_table_is_named(here, command, refused, place):
    path = next((here / "out" / place).iterdir())
    path.unlink()
    path.mkdir()
    (path / "x.parquet").mkdir()
    refused(command("evaluate", "out", "--root", "root"), "out/")


@pytest.mark.parametrize("path", [TRUTH, PERSPECTIVE])
@pytest.mark.parametrize("closed", [None, "/proc/self/mem"])
def test_file_of_the_dataset_that_cannot_be_read_is_named(here, command, refused, path, closed):
    Path(path).unlink()
    Path(path).mkdir() if closed is None else Path(path).symlink_to(closed)
    refused(command("evaluate", "out", "--root", "root"), Path(path).name if closed is None else "Input/output error")


@pytest.mark.parametrize("as_json", [False, True])
def test_evaluation_is_printed_where_it_cannot_be_kept(here, command, as_json):
    (here / "out" / "evaluation.json").unlink(missing_ok=True)
    (here / "out" / "evaluation.json").mkdir()
    result = command("evaluate", "out", "--root", "root", *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) if as_json else "IoU3D" in result.stdout
    assert "The evaluation is not kept: out/evaluation.json cannot be used (Is a directory)" in result.stderr


def test_disk_that_is_full_is_named_with_the_same_command(monkeypatch, here, label, refused):
    from vsrd_ray.runs.store import GroupStore

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", "new/labels/x.parquet")

    monkeypatch.setattr(GroupStore, "__init__", full)
    line = refused(label(), "the run into new cannot go on", "new/labels/x.parquet", "make room; then the same command")
    assert "OSError" not in line


# ---- locks ----


@pytest.fixture
def without_fcntl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)


def test_without_any_locks_runs_are_warned_and_go_on(without_fcntl, tmp_path, caplog):
    with locked(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked" in caplog.text


@pytest.mark.parametrize("is_taken", [False, True])
def test_windows_locks_in_its_own_way(without_fcntl, monkeypatch, tmp_path, caplog, is_taken):
    def locking(descriptor, mode, count):
        assert (mode, count) == (2, 1)
        if is_taken:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    if is_taken:
        with pytest.raises(OutputError, match="another vsrd-ray label is running into"), locked(tmp_path):
            pass
    else:
        with locked(tmp_path):
            pass
    assert not caplog.text


def test_folder_that_is_closed_is_refused_and_not_locked(monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable: allow this account"), locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_where_processes_cannot_be_looked_up_a_sign_of_life_is_waited_for(monkeypatch, tmp_path):
    """macOS and Windows have no /proc: there a lease of this host may be of a run that lives."""
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: not str(path).startswith("/proc") and real(path))
    monkeypatch.setattr(lock, "_LOOK", 0.01)
    beats = iter([1.0, 2.0])
    holder = {"host": lock._host(), "pid": os.getpid(), "run": "another"}
    monkeypatch.setattr(lock, "_holder", lambda path: holder | {"beat": next(beats)})
    assert lock._is_held(tmp_path / ".lock")


def test_links_that_cannot_be_made_are_told_with_the_way_out(monkeypatch, command, refused):
    def unsupported(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", unsupported)
    line = refused(command("export", "out", "--root", "root", "--format", "kitti", "--output", "kitti"), "has links")
    assert "Operation not permitted" in line and not list(Path().glob("*kitti*"))


# ---- cores ----

TREES = {  # the process's groups, the root of the mount, quotas and periods by group, cores
    "own": ("0::/a/b", "/", {"a/b": "150000 100000"}, 1),
    "above": ("0::/a/b", "/", {"a": "200000 100000", "a/b": "max 100000"}, 2),
    "the least": ("0::/a/b", "/", {"a": "100000 100000", "a/b": "300000 100000"}, 1),
    "own top": ("0::/", "/", {"": "250000 100000"}, 2),
    "way outside": ("0::/docker/1", "/docker/1", {"": "200000 100000"}, 2),
    "unknown way": ("0::/../x", "/", {"": "200000 100000"}, 2),
    "a share": ("0::/", "/", {"": "20000 100000"}, 1),
    "more than there are": ("0::/", "/", {"": "900000 100000"}, 4),
    "none": ("0::/", "/", {"": "max 100000"}, 4),
    "torn": ("0::/", "/", {"": "soon"}, 4),
    "no files": ("0::/", "/", {}, 4),
    "version 1, own": ("3:cpu,cpuacct:/a\n0::/", "/", {"a": "200000 100000"}, 2),
    "version 1, above": ("3:cpu:/a/b", "/", {"a": "100000 100000", "a/b": "-1 100000"}, 1),
    "version 1, way outside": ("3:cpu:/docker/1", "/docker/1", {"": "200000 100000"}, 2),
    "version 1, none": ("3:cpu:/", "/", {"": "-1 100000"}, 4),
    "version 1, other controllers": ("3:cpuset:/\n4:memory:/a", "/", {"": "100000 100000"}, 4),
    "no groups": ("", "/", {}, 4),
}


@pytest.mark.parametrize("tree", TREES)
def test_cores_are_those_that_the_containers_leave_time_on(monkeypatch, tmp_path, tree):
    groups, root, quotas, cores = TREES[tree]
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    process, top = tmp_path / "proc" / "self", tmp_path / "sys" / "fs" / "cgroup"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(groups)
    is_first = tree.startswith("version 1")
    mount = "cgroup cgroup rw,cpu,cpuacct" if is_first else "cgroup2 cgroup2 rw"
    others = "22 1 8:1 / / rw - ext4 /dev/sda rw\n30 22 0:25 / /sys/fs/other rw - cgroup cgroup rw,memory\n"
    (process / "mountinfo").write_text(f"{others}31 22 0:26 {root} /sys/fs/cgroup rw,relatime shared:9 - {mount}\n")
    for group, text in quotas.items():
        (top / group).mkdir(parents=True, exist_ok=True)
        names = ["cpu.cfs_quota_us", "cpu.cfs_period_us"] if is_first else ["cpu.max"]
        for name, part in zip(names, text.split() if is_first else [text], strict=True):
            (top / group / name).write_text(f"{part}\n")
    assert num_cores(tmp_path) == cores


def test_machines_without_affinity_or_control_groups_have_all_their_cores(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert num_cores(tmp_path) == 3


# ---- Ray ----


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:port", "http://127.0.0.1:8265", "ray://head:10001"])
@pytest.mark.parametrize("is_of_variable", [True, False])
def test_address_that_leads_nowhere_is_told_as_it_was_given(monkeypatch, address, is_of_variable):
    monkeypatch.setenv("RAY_ADDRESS", address if is_of_variable else "elsewhere:6379")
    with pytest.raises(InputError) as caught:
        session._connect(SimpleNamespace(), address)
    said = str(caught.value)
    if is_of_variable:
        assert said.startswith(f"RAY_ADDRESS={address}: ") and "unset RAY_ADDRESS" in said and "--address" not in said
    else:
        assert said.startswith(f"--address {address}: ") and "leave --address out" in said


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({}, None),
        ({"TMPDIR": "/tmp/short"}, None),
        ({"TMPDIR": "/scratch/" + "d" * 80}, "/tmp/ray"),
        ({"TMPDIR": "/scratch/" + "é" * 20}, "/tmp/ray"),
        ({"TMPDIR": "/scratch/" + "d" * 80, "RAY_TMPDIR": "/scratch/" + "d" * 80}, None),
    ],
)
def test_ray_has_a_folder_with_a_short_path(monkeypatch, variables, folder):
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert session._short_folder() == ({} if folder is None else {"_temp_dir": folder})


def test_path_that_is_too_long_for_ray_is_told_with_the_variable(monkeypatch):
    ray = pytest.importorskip("ray")
    starts = []

    def init(**options):
        starts.append(options)
        raise OSError("AF_UNIX path length cannot exceed 107 bytes: /scratch/…")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(WorkerError, match=r"Ray does not start .*: set RAY_TMPDIR to a folder with a short path"):
        session.start_local(num_cpus=1)
    assert len(starts) == 1
