"""Random faults in small runs: how many end as documented, and whether any label is lost or doubled afterwards.

    python -m benchmarks.faults [--seed 0] [--count 1000] [--first 0] [--kind killed]

Two tiny drives are labelled into a folder that is new, half finished or finished, by a labeler that only waits, in a
forked process. Meanwhile something goes wrong: the process is killed, an input is torn or odd, a file of the output is
torn, a file may not grow, the clock jumps, something may not be read or written. The run has to end with one of the
exit codes that are documented and without a traceback, and what the fault leaves alone has to be labelled. Then the
fault is mended, and the same command is given again, as a user would: a file that it names as torn is removed first.
After that all labels have to be those of an undisturbed run. Fault number N of a seed is the same however many are run.
"""

import argparse
import ctypes
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from benchmarks.long_drive import GROUPING, Waiting, sequence_name, write_drive
from vsrd_ray import engines
from vsrd_ray.cli import main as vsrd_ray
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.base import PreparedGroup
from vsrd_ray.labelers.configs import DEFAULT_CONFIG, load_config

DRIVES = sequence_name(0), sequence_name(1)
CAMERA = "image_00"
DOCUMENTED = {0, 2, 3, 130, 143}
_GROUPS = 3  # of each drive
_SECONDS = 0.004  # that a group takes
_TRIES = 6  # of the command once the fault is mended, each of which may name another torn file
_STATES = "new", "half", "finished"

Labels = Counter[tuple[str, int, int, str]]  # drive, frame, instance and its numbers; how often each is there


class _Reading(Waiting):
    """Reads its masks, as labelers do."""

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """See `Labeler.prepare`."""
        return PreparedGroup.of(group, int(group.instance_maps.max()))


@dataclass
class Ended:
    """How a process ended."""

    code: int  # of a signal: the number, negative
    text: str  # that it printed


@dataclass
class Scene:
    """The folders of one fault."""

    root: Path
    output: Path
    rng: random.Random
    before: Callable[[], None] | None = None  # done in the run's process
    kill: tuple[int, float] | None = None  # signal, and seconds after the start
    mend: list[Callable[[], None]] = field(default_factory=list)
    spared: tuple[str, ...] = ()  # drives that have to be labelled in spite of it
    what: str = ""

    def files(self, folder: Path) -> list[Path]:
        """All files below a folder, in a fixed order."""
        return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first fault")
    parser.add_argument("--kind", choices=list(KINDS), help="of all faults; by default each has its own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        found: dict[str, Counter[str]] = defaultdict(Counter)
        began = time.perf_counter()
        for number in range(options.first, options.first + options.count):
            rng = random.Random(f"{options.seed}/{number}")
            kind = options.kind or rng.choice(list(KINDS))
            scene, problems = bench.tried(kind, rng)
            found[kind].update(["faults"], **{problem.partition(":")[0]: 1 for problem in problems})
            for problem in problems:
                print(f"{number} {kind} ({scene.what}): {problem[:600]}", flush=True)
        seconds = time.perf_counter() - began
    print(f"{options.count} faults in {seconds:.0f} s")
    for kind, counts in sorted(found.items()):
        others = ", ".join(f"{count} {problem}" for problem, count in counts.items() if problem != "faults")
        print(f"  {kind:12} {counts['faults']:5} {others or 'all as documented, no label lost or doubled'}")
    sys.exit(any(len(counts) > 1 for counts in found.values()))


class Bench:
    """Two drives, and folders in which they are labelled in part or as a whole."""

    def __init__(self, folder: Path) -> None:
        """Write the drives, and label them."""
        self._folder = folder
        self._root = folder / "root"
        for name in DRIVES:
            write_drive(self._root, groups=_GROUPS, sequence=name)
        factory = partial(_Reading, seconds=_SECONDS, folder=str(folder))
        engines.label.__kwdefaults__ = {"labeler_factory": factory}
        self._states = {state: folder / state for state in _STATES}
        first = forked(lambda: _label(self._root, self._states["finished"], tell_modules=True))
        for name in first.text.split("modules: ")[-1].split():  # what a run imports it finds imported from now on
            with suppress(Exception):
                import_module(name)
        load_config(DEFAULT_CONFIG)  # kept as well
        forked(lambda: _label(self._root, self._states["half"], "--limit", str(_GROUPS + 1)))
        began = time.perf_counter()
        undisturbed = forked(lambda: _label_and_read(self._root, folder / "undisturbed"))
        self._seconds = time.perf_counter() - began
        self._labels, self._texts = _printed(undisturbed), _texts(folder / "undisturbed")
        if not self._labels:
            raise SystemExit(f"the drives cannot be labelled: {undisturbed.text}")

    def tried(self, kind: str, rng: random.Random) -> tuple[Scene, list[str]]:
        """One fault, and what was wrong with what came of it."""
        shutil.rmtree(self._folder / "here", ignore_errors=True)
        scene = Scene(self._folder / "here" / "root", self._folder / "here" / "output", rng)
        shutil.copytree(self._root, scene.root)
        state = "finished" if kind == "output" else rng.choice(_STATES)
        state = rng.choice(_STATES[1:]) if kind == "output" else state
        if state != "new":
            shutil.copytree(self._states[state], scene.output)
        KINDS[kind](scene, self._seconds)
        scene.what = f"{state}, {scene.what}"
        problems = self._ends(scene)
        for mend in reversed(scene.mend):
            mend()
        return scene, problems + self._goes_on(scene)

    def _ends(self, scene: Scene) -> list[str]:
        """What is wrong with how a run ends that the fault is done to."""
        ended = forked(lambda: _label(scene.root, scene.output), before=scene.before, kill=scene.kill)
        if scene.kill is not None and ended.code == -scene.kill[0]:
            return []
        problems = _undocumented(ended)
        if ended.code in {0, 3} and scene.spared:
            there = _printed(forked(lambda: _read(scene.output)))
            wanted, there = (
                Counter({row: n for row, n in some.items() if row[0] in scene.spared}) for some in (self._labels, there)
            )
            if wanted != there:
                problems.append(f"sound groups incomplete: {sum((wanted - there).values())} of {wanted.total()} labels")
        return problems

    def _goes_on(self, scene: Scene) -> list[str]:
        """What is wrong with what the same command makes of it afterwards."""
        problems: list[str] = []
        ended = Ended(0, "")
        for _ in range(_TRIES):
            ended = forked(lambda: _label_and_read(scene.root, scene.output))
            problems += _undocumented(ended)
            if not ended.code:
                return problems + self._differences(scene, _printed(ended))
            named, manifest = _named(ended.text, scene.output), scene.output / "manifest.json"
            if named is not None:
                _remove(named)
            if not manifest.exists():  # the one file without which a folder is no run's, and so is brought back
                shutil.copy2(self._states["half"] / "manifest.json", manifest)
            elif named is None:
                return [*problems, f"does not go on: exit code {ended.code}, {_last_line(ended.text)}"]
        return [*problems, f"does not go on: {_last_line(ended.text)}"]

    def _differences(self, scene: Scene, labels: Labels) -> list[str]:
        wanted, problems = self._labels, []
        if lost := (wanted - labels).total():
            problems.append(f"labels lost: {lost} of {wanted.total()}")
        if doubled := (labels - wanted).total():
            problems.append(f"labels doubled: {doubled}, such as {next(iter(labels - wanted))}")
        if "of the output" not in scene.what and _texts(scene.output) != self._texts:
            problems.append("texts differ")
        return problems


def forked(
    call: Callable[[], object], *, before: Callable[[], None] | None = None, kill: tuple[int, float] | None = None
) -> Ended:
    """Call something in a process of its own, which may be killed after a while."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        text, code = io.StringIO(), 0
        try:
            with redirect_stdout(text), redirect_stderr(text):
                if before is not None:
                    before()
                try:
                    call()
                except SystemExit as end:
                    code = int(end.code or 0)
                except InputError as error:
                    print(f"Error: {error}")
                    code = 2
        except BaseException as error:  # what Python would print
            text.write(f"Traceback (most recent call last):\n{type(error).__name__}: {error}\n")
            code = 1
        finally:
            os.write(writer, text.getvalue().encode()[:60_000])
            os._exit(code)
    os.close(writer)
    if kill is not None and not select.select([reader], [], [], kill[1])[0]:
        os.kill(child, kill[0])
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), said)


def _label(root: Path, output: Path, *options: str, tell_modules: bool = False) -> None:
    settings = [word for key, value in GROUPING.items() for word in ("--set", f"grouping.{key}={value}")]
    where = ["--root", str(root), "--sequence", "all", "--output", str(output)]
    try:
        vsrd_ray(["label", *where, "--serial", "--grouping", "vsrd", *settings, *options])
    finally:
        if tell_modules:
            print("modules:", *sys.modules)


def _label_and_read(root: Path, output: Path) -> None:
    """Label, and print the labels in the folder."""
    try:
        _label(root, output)
    except SystemExit as end:
        if end.code:
            raise
    _read(output)


def _read(output: Path) -> None:
    """Print the labels in a folder in a line."""
    from vsrd_ray.labels.boxes.parquet import read_labels  # noqa: PLC0415 - Arrow's threads are the child's alone

    columns = ["sequence", "frame", "instance_id", "x_world", "y_world", "yaw_world"]
    print(json.dumps([list(row.values()) for row in read_labels(output).select(columns).to_pylist()]))


def _printed(ended: Ended) -> Labels:
    """The labels of `_read`; none where it could not read any."""
    rows = json.loads(_last_line(ended.text)) if not ended.code else []
    return Counter((row[0], row[1], row[2], str(row[3:])) for row in rows)


def _texts(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted((output / "kitti").rglob("*.txt"))}


def _undocumented(ended: Ended) -> list[str]:
    problems = []
    if ended.code not in DOCUMENTED:
        problems.append(f"undocumented exit code: {ended.code}, {_last_line(ended.text)}")
    if "Traceback" in ended.text:
        problems.append(f"traceback: exit code {ended.code}, {_last_line(ended.text)}")
    if ended.code == 2 and not ended.text.splitlines()[-1].startswith("Error: "):
        problems.append(f"no line that says why: {_last_line(ended.text)}")
    return problems


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "nothing printed"


def _named(text: str, output: Path) -> Path | None:
    """What an error names of the output folder, and is there; of several, the one that is no file."""
    lines = [line for line in text.splitlines() if line.startswith("Left out")] or [_last_line(text)]
    words = (word.strip("'\":;,()") for word in " ".join(lines).split())
    there = [Path(word) for word in words if word.startswith(f"{output}/") and Path(word).exists()]
    return max(there, key=Path.is_dir, default=None)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


# Faults


def _killed(scene: Scene, seconds: float) -> None:
    number = scene.rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    scene.kill = number, scene.rng.uniform(0, 1.1 * seconds)
    scene.what = f"{signal.Signals(number).name} after {scene.kill[1]:.3f} s"


def _torn_input(scene: Scene, seconds: float) -> None:
    drive = scene.rng.choice(DRIVES)
    masks = scene.files(Path(paths.mask_folder(scene.root, drive, CAMERA)))
    one_drive = [scene.rng.choice(masks), scene.rng.choice(masks), Path(paths.poses_file(scene.root, drive))]
    path = scene.rng.choice([*one_drive, Path(paths.calibration_file(scene.root))])
    if path in one_drive:
        scene.spared = tuple(name for name in DRIVES if name != drive)
    scene.what = f"{_torn(scene, path)} of the input"


def _odd_poses(scene: Scene, seconds: float) -> None:
    drive = scene.rng.choice(DRIVES)
    path = Path(paths.poses_file(scene.root, drive))
    lines = path.read_text().splitlines()
    place, other = scene.rng.randrange(len(lines)), scene.rng.randrange(len(lines))
    words = lines[place].split()
    column = scene.rng.randrange(len(words))
    value = scene.rng.choice(["nan", "inf", "1e400", "x", "", "-7", "99999999999", "0x10", "1,5", "٣"])
    changes: dict[str, Callable[[], list[str]]] = {
        f"{value!r} in a line": lambda: [
            *lines[:place],
            " ".join([*words[:column], value, *words[column + 1 :]]),
            *lines[place + 1 :],
        ],
        "a line twice": lambda: [*lines, lines[place]],
        "a line gone": lambda: [*lines[:place], *lines[place + 1 :]],
        "two lines exchanged": lambda: [
            lines[other] if n == place else lines[place] if n == other else line for n, line in enumerate(lines)
        ],
        "an empty line": lambda: [*lines[:place], "", *lines[place:]],
        "mirrored": lambda: [
            " ".join(word if n != 1 else str(-float(word)) for n, word in enumerate(line.split())) for line in lines
        ],
        "header": lambda: ["frame " + " ".join(f"t{n}" for n in range(16)), *lines],
    }
    scene.what = f"poses with {(name := scene.rng.choice(list(changes)))}"
    _replaced(scene, path, "\n".join(changes[name]()).encode())
    scene.spared = tuple(one for one in DRIVES if one != drive)


def _odd_mask(scene: Scene, seconds: float) -> None:
    drive = scene.rng.choice(DRIVES)
    path = scene.rng.choice(scene.files(Path(paths.mask_folder(scene.root, drive, CAMERA))))
    mask = np.array(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    rng = np.random.default_rng(scene.rng.randrange(2**32))
    masks = {
        "8 bits": mask.astype(np.uint8),
        "colours": np.repeat(mask.astype(np.uint8)[..., None], 3, axis=2),
        "another size": mask[:-1],
        "one pixel": mask[:1, :1],
        "nothing": np.zeros_like(mask),
        "noise": rng.integers(0, 2**16, mask.shape, dtype=np.uint16),
        "one instance": np.full_like(mask, 26001),
        "salt": np.where(rng.random(mask.shape) < 0.3, 26001, 7000).astype(np.uint16),
    }
    scene.what = f"a mask of {(name := scene.rng.choice(list(masks)))}"
    _replaced(scene, path, cv2.imencode(".png", masks[name])[1].tobytes())
    scene.spared = tuple(one for one in DRIVES if one != drive)


def _torn_output(scene: Scene, seconds: float) -> None:
    path = scene.rng.choice(scene.files(scene.output))
    scene.what = f"{_torn(scene, path, mended=False)} of the output"


def _full_disk(scene: Scene, seconds: float) -> None:
    limit = scene.rng.choice([0, 100, scene.rng.randrange(30_000)])
    scene.before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    scene.what = f"no file over {limit} bytes"


def _moved_clock(scene: Scene, seconds: float) -> None:
    shift = scene.rng.choice([-1, 1]) * scene.rng.choice([3600, 86400 * 400, 1.7e9])
    now, now_ns = time.time, time.time_ns

    def move() -> None:
        time.time = lambda: now() + shift
        time.time_ns = lambda: now_ns() + int(shift * 1e9)

    scene.before = move
    for path in scene.files(scene.output):
        moved = now() + scene.rng.uniform(-1, 1) * abs(shift)
        if scene.rng.random() < 0.5:
            os.utime(path, (moved, moved))
    scene.spared = DRIVES
    scene.what = f"clock {shift:+.0f} s"


def _denied(scene: Scene, seconds: float) -> None:
    scene.before = _without_privileges
    folder = scene.rng.choice([scene.root, scene.output])
    there = sorted(folder.rglob("*")) if folder.exists() else []
    path = scene.rng.choice([folder if folder.exists() else scene.root, *there])
    mode, denied = path.stat().st_mode, scene.rng.choice([0o000, 0o444, 0o555])
    path.chmod(denied)
    scene.mend.append(lambda: path.chmod(mode) if path.exists() else None)
    scene.what = f"mode {denied:o} of {path.relative_to(scene.root.parent)}"


def _torn(scene: Scene, path: Path, *, mended: bool = True) -> str:
    """Tear a file; what was done."""
    content = path.read_bytes()
    cut = scene.rng.randrange(len(content) + 1)
    contents = {
        "cut off": content[:cut],
        "emptied": b"",
        "replaced": scene.rng.randbytes(len(content)),
        "filled up": content + scene.rng.randbytes(20),
        "zeros": bytes(len(content)),
    }
    how = scene.rng.choice([*contents, "gone", "a folder", "a link to nowhere"])
    if how in contents:
        _replaced(scene, path, contents[how], mended=mended)
    else:
        if mended:
            _kept(scene, path)
        path.unlink()
        if how == "a folder":
            path.mkdir()
        elif how == "a link to nowhere":
            path.symlink_to("nowhere")
    return f"{path.relative_to(scene.root.parent)} {how}"


def _replaced(scene: Scene, path: Path, content: bytes, *, mended: bool = True) -> None:
    if mended:
        _kept(scene, path)
    path.unlink()
    path.write_bytes(content)


def _kept(scene: Scene, path: Path) -> None:
    """Keep a file, to be put back with its time."""
    kept = scene.root.parent / "kept"
    shutil.copy2(path, kept)

    def put_back() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        shutil.copy2(kept, path)

    scene.mend.append(put_back)


def _without_privileges() -> None:
    """Let modes of files count for root as well, where this is Linux."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    with suppress(AttributeError):
        ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())


KINDS: dict[str, Callable[[Scene, float], None]] = {
    "killed": _killed,
    "input": _torn_input,
    "poses": _odd_poses,
    "mask": _odd_mask,
    "output": _torn_output,
    "disk": _full_disk,
    "clock": _moved_clock,
    "permission": _denied,
}


if __name__ == "__main__":
    main()
