"""What the golden tests and the script that records their files have in common.

Both go through what users see: the command line, and the files of an output folder. So modules may move.
"""

import hashlib
import io
import json
import math
import os
import pickle
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import chdir
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pyarrow.parquet as pq
import torch
from click.testing import CliRunner, Result

from vsrd_ray.cli import main

RECORDED = Path(__file__).with_name("recorded")
SEQUENCE = "2013_05_28_drive_0000_sync"
FORMATS = ("kitti", "kitti-tracking", "mmdet3d", "openpcdet", "nuscenes", "kitti360", "coco", "csv", "rerun", "cvat")
PINNED = ("labels/", "kitti/", "index/")  # folders of a run; groups/ holds seconds, manifest.json dates
ROOT = "/data/street"  # that recorded files name, in place of a folder of the machine that made them
LINK = b"link to "  # stands for a link, before its target
TIME = 1_700_000_000_000_000_000  # ns; of every input file, since an index carries the times of its inputs

STREET = {"--frames": 16, "--cars": 5, "--moving": 2, "--image-size": "352x96", "--seed": 2, "--sequence": SEQUENCE}
IMAGES = f"data_2d_raw/{SEQUENCE}/image_00/data_rect"

_QUICK = (
    "start.headings=4",
    *("grouping.num_sources=4", "grouping.min_area=32", "grouping.min_box_side=4", "grouping.window_instances=2"),
)
_FIELD = ("schedule.steps=4", "rendering.num_rays=16", "field.start=random")


def _set(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


# Options of `label`, by the name of the run. In `scene` several groups label a frame. Five views of a body that moves,
# as in `groups`, may leave two answers, between which last bits decide.
RUNS = {
    "scene": _set(*_QUICK),
    "groups": ["--grouping", "vsrd", *_set(*_QUICK, "motion.fit=false")],
    "field": ["--config", "demo", "--limit", "1", *_set(*_QUICK, *_FIELD)],
}
EVALUATIONS = {"plain": (), "official": ("--official",)}  # options of `evaluate`
# Half-finished folders: the run that each of them belongs to, and how many groups it has labelled and how many not.
HALVES = {
    "killed": ("groups", 3, 2),
    "waiting": ("scene", 2, 2),
    "compacting": ("scene", 4, 0),
    "failed": ("groups", 2, 3),
}


def command(home: Path, *arguments: object) -> Result:
    """Run `vsrd-ray` in a folder, so that paths are short and the same everywhere."""
    with chdir(home):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])


def label(home: Path, output: str, run: str, *options: object) -> Result:
    """Label the street in a folder, as one of the runs."""
    where = ("--root", "street", "--sequence", SEQUENCE, "--output", output)
    return command(home, "label", *where, "--serial", *RUNS[run], *options)


def pack(files: dict[str, bytes], path: Path) -> None:
    """Write files into an archive whose bytes depend on nothing else."""
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@cache
def _packed(name: str) -> dict[str, bytes]:
    with tarfile.open(RECORDED / f"{name}.tar.xz") as archive:
        return {entry.name: cast("Any", archive.extractfile(entry)).read() for entry in archive}


def packed(name: str, *, below: str = "") -> dict[str, bytes]:
    """The files in a recorded archive; those of one folder in it, such as "killed/", without the folder's name."""
    return {file.removeprefix(below): content for file, content in _packed(name).items() if file.startswith(below)}


def unpack(files: dict[str, bytes], folder: Path) -> Path:
    """Write files below a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def unpack_street(home: Path) -> Path:
    """Write the recorded street, whose files get the recorded time."""
    street = unpack(packed("street"), home / "street")
    set_times(street)
    return street


def set_times(street: Path) -> None:
    """Give every file of a dataset the same time."""
    for path in street.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(TIME, TIME))


def files_in(folder: Path, *parts: str) -> dict[str, bytes]:
    """Relative path -> bytes of every file; of a link, where it leads to; of others, what is stable in them."""
    files: dict[str, bytes] = {}
    for path in sorted(path for part in parts or (".",) for path in (folder / part).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            files[name] = LINK + str(path.readlink()).encode()
        elif path.suffix == ".rrd":
            files[f"{name}.json"] = json.dumps(_recording(path), indent=1).encode()
        elif path.name == "export.json":
            files[name] = json.dumps(_note(path), indent=2).encode()
        elif path.is_file():
            files[name] = path.read_bytes()
    return files


def _note(path: Path) -> dict[str, Any]:
    """What an export says of itself, without what tells of the bytes of its files and of the street's."""
    note = json.loads(path.read_text())
    return {key: value for key, value in note.items() if key not in ("digests", "fingerprints")}


def _recording(path: Path) -> dict[str, Any]:
    """Values by entity and component of a Rerun recording.

    Two exports differ in the ids of rows, in times of the clock, and in how rows are put together into chunks.
    """
    from rerun.chunk import RrdReader

    found: dict[str, list[tuple[int, Any]]] = {}
    for chunk in RrdReader(path).stream():
        if str(chunk.entity_path).startswith("/__properties"):  # when it was made
            continue
        columns = chunk.to_record_batch().to_pydict()
        frames = columns.get("frame")
        for name, values in columns.items():
            if name == "frame" or name.startswith(("rerun.controls", "log_")):
                continue
            entity = f"{chunk.entity_path}:{name}"
            for row, value in enumerate(values):
                if value is not None:
                    found.setdefault(entity, []).append((-1 if frames is None else frames[row], _shortened(value)))
    rows = {name: sorted(values, key=lambda row: row[0]) for name, values in sorted(found.items())}
    return {name: [{"frame": frame, "value": value} for frame, value in values] for name, values in rows.items()}


def _shortened(value: Any) -> Any:
    """The same with digests in place of pixels."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, list | tuple):
        if len(value) > 256 and all(isinstance(entry, int) for entry in value):
            return hashlib.sha256(bytes(value)).hexdigest()
        return [_shortened(entry) for entry in value]
    return value


def values_of(name: str, content: bytes) -> list[Any]:
    """What a file says, as a flat list: numbers with a point as floats, all else as it is."""
    read = _text if content.startswith(LINK) else _READERS.get(Path(name).suffix, _text)
    return list(_flat(read(content)))


def _table(content: bytes) -> list[Any]:
    table = pq.read_table(io.BytesIO(content))
    return [table.schema.to_string(show_schema_metadata=True), table.to_pylist()]


def _picture(content: bytes) -> list[Any]:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return [str(pixels.dtype), pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest()]


def _archive(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {part: values_of(part, archive.read(part)) for part in archive.namelist()}


def _text(content: bytes) -> list[Any]:
    words = re.split(r"([-+]?\d+\.\d*(?:[eE][-+]?\d+)?)", content.decode())
    return [float(word) if number % 2 else word for number, word in enumerate(words)]


_READERS = {
    ".parquet": _table,
    ".hidden": _table,
    ".json": json.loads,
    ".npy": lambda content: np.load(io.BytesIO(content)).tolist(),
    ".pkl": pickle.loads,
    ".png": _picture,
    ".zip": _archive,
}


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from _flat(entry)
    elif isinstance(value, list | tuple | np.ndarray):
        yield len(value)
        for entry in value:
            yield from _flat(entry)
    else:
        yield value.item() if isinstance(value, np.generic) else value


def difference(expected: list[Any], found: list[Any], *, tolerance: float) -> str | None:
    """Where two lists of values differ first; floats may differ by a share, or close to 0 by as much."""
    for number, (a, b) in enumerate(zip(expected, found, strict=False)):
        both_float = isinstance(a, float) and isinstance(b, float)
        is_close = both_float and math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
        is_nan = both_float and math.isnan(a) and math.isnan(b)
        if not (a == b or is_close or is_nan):
            return f"value {number}: expected {a!r}, got {b!r}"
    return None if len(expected) == len(found) else f"expected {len(expected)} values, got {len(found)}"


def key_paths(value: Any, path: str = "") -> set[str]:
    """The paths of all keys of a JSON value; entries of lists, and sequences, are not told apart."""
    if isinstance(value, list):
        return {key for entry in value for key in key_paths(entry, f"{path}[]")}
    if not isinstance(value, dict):
        return {path}
    names = {key: key.replace(SEQUENCE, "<sequence>") for key in value}
    return {path} | {key for name, entry in value.items() for key in key_paths(entry, f"{path}.{names[name]}")}


def settings_of(config: dict[str, Any], path: str = "") -> Iterator[str]:
    """A configuration as texts such as "schedule.steps=40", one for each value that is no group of others."""
    for key, value in config.items():
        name = f"{path}{key}"
        if isinstance(value, dict):
            yield from settings_of(value, f"{name}.")
        else:
            yield f"{name}={json.dumps(value)}"


def versions() -> dict[str, str]:
    """Versions of what bytes depend on beside the code."""
    packages = ("torch", "numpy", "scipy", "opencv-python", "pyarrow")
    found = {name: version(name).partition("+")[0] for name in packages}
    return found | {"zlib": zlib.ZLIB_RUNTIME_VERSION}


def arithmetic() -> str:
    """A digest of what this processor's floating-point arithmetic gives: of the kinds that a fit uses, on fixed inputs.

    Libraries choose other kernels on other processors, whose results differ in the last bits. A fit carries these
    differences on. Torch must run with one thread, as tests/conftest.py asks it to.
    """
    random = np.random.default_rng(0)
    digest = hashlib.sha256()
    for size in (3, 8, 37, 129):
        for dtype in (np.float32, np.float64):
            a = random.standard_normal((size, size)).astype(dtype)
            b = random.standard_normal((size, 5)).astype(dtype)
            digest.update(b"".join(np.ascontiguousarray(result).tobytes() for result in _results(a, b)))
    return digest.hexdigest()


def _results(a: np.ndarray, b: np.ndarray) -> Iterable[np.ndarray]:
    positive = np.abs(a) + a.dtype.type(0.1)
    square = a @ a.T + 2 * np.eye(len(a), dtype=a.dtype)
    yield from (square, a @ b, np.linalg.solve(square, b), np.linalg.cholesky(square), np.linalg.svd(a)[1])
    yield from (np.sin(a), np.cos(a), np.exp(a), np.log(positive), np.sqrt(positive), np.tanh(a), positive**0.3)
    yield from (np.arctan2(a, positive), a.sum(0), a.mean(1), np.linalg.norm(a, axis=1), np.einsum("ij,kj->ik", a, a))
    A, B, P, S = (torch.from_numpy(array.copy()) for array in (a, b, positive, square))
    results = [
        A @ B,
        torch.linalg.solve(S, B),
        torch.linalg.cholesky(S),
        torch.linalg.inv(S),
        torch.bmm(A[None], S[None]),
    ]
    results += [A.sin(), A.cos(), A.exp(), P.log(), P.sqrt(), A.tanh(), A.sigmoid(), P**0.3, torch.atan2(A, P)]
    results += [A.sum(), A.sum(0), A.mean(1), A.norm(dim=1), A.softmax(1), A.cumsum(1), A.logsumexp(0)]
    results += [torch.nn.functional.softplus(A), torch.nn.functional.linear(B.T, A), A.std(0)]
    yield from (result.numpy() for result in results)
