"""Record the files of the golden tests with the code as it is: python tests/golden/make_golden.py

The recorded files are those of the commit after which `fast` fits what moves. Until then they were those of 65ecb1a.
Record them again only where bytes are meant to change, and say in the commit why. The half-finished folders stand for
runs that were begun by an older version. To record them again is to give up that such runs go on, so they are left
alone unless --halves asks for them, all or those that are named. They fit the recorded street alone. `killed` and
`failed` are of a version whose rows had no times, and whose columns did not say what they hold.

A half-finished folder comes from a process that ends itself, as if it were killed, before a certain file gets its name.
"""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in tests/conftest.py; read when torch is imported

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from golden_runs import (
    EVALUATIONS,
    FORMATS,
    HALVES,
    IMAGES,
    RECORDED,
    ROOT,
    RUNS,
    SEQUENCE,
    STREET,
    arithmetic,
    command,
    files_in,
    label,
    pack,
    packed,
    set_times,
    unpack_street,
    values_of,
    versions,
)

KILLED = 9
# Runs a command up to the point where the Nth file, whose new path matches a pattern, is to be renamed.
KILLER = """
import os, re, sys
count, pattern = int(sys.argv.pop(1)), re.compile(sys.argv.pop(1))
def look(event, arguments):
    global count
    if event == "os.rename" and pattern.search(os.fspath(arguments[1])):
        count -= 1
        if not count:
            os._exit(9)
sys.addaudithook(look)
from vsrd_ray.cli import main
main()
"""


def make_street(home: Path) -> dict[str, str]:
    """Make a built-in street whose images are gray, since theirs would be a megabyte.

    Returns:
        What the images really showed: digests of their pixels by name.
    """
    options = [word for option in STREET.items() for word in option]
    result = command(home, "synthesize", "street", *options)
    assert result.exit_code == 0, result.output
    paths = sorted((home / "street" / IMAGES).iterdir())
    shown = {path.name: values_of(path.name, path.read_bytes())[-1] for path in paths}
    width, height = map(int, STREET["--image-size"].split("x"))
    gray = cv2.imencode(".png", np.full((height, width, 3), 128, np.uint8))[1].tobytes()
    for path in paths:
        path.write_bytes(gray)
    return shown


def make_runs(home: Path) -> None:
    """Write runs.tar.xz: the folders of finished runs."""
    files = {}
    for run in RUNS:
        result = label(home, run, run)
        assert result.exit_code == 0, result.output
        files |= {f"{run}/{name}": content for name, content in neutral(files_in(home / run), home).items()}
        print(f"{run}: {[(mark['group_id'][-6:], mark['frames']) for mark in marks(home / run)]}")
    pack(files, RECORDED / "runs.tar.xz")


def make_exports(home: Path) -> None:
    """Write exports.tar.xz: `scene` in every format."""
    for name in FORMATS:
        result = command(home, "export", "scene", "--root", "street", "--format", name, "--output", f"exports/{name}")
        assert result.exit_code == 0, result.output
    pack(files_in(home / "exports"), RECORDED / "exports.tar.xz")


def make_halves(home: Path, wanted: list[str]) -> None:
    """Write halves.tar.xz: folders of runs that did not end, or in which a group failed; others stay as they are."""
    killed_label(home, "killed", "groups", before=4, name=r"groups/[^/]+\.parquet$")
    killed_label(home, "waiting", "scene", before=3, name=r"groups/[^/]+\.parquet$")
    killed_label(home, "compacting", "scene", before=1, name=r"labels/[^/]+/[^./][^/]*-part\d+\.parquet$")
    assert label(home, "failed", "groups", "--limit", 2).exit_code == 0
    third = marks(home / "groups")[2]["frames"]
    masks = [home / f"street/data_2d_semantics/train/{SEQUENCE}/image_00/instance/{frame:010d}.png" for frame in third]
    whole = {mask: mask.read_bytes() for mask in masks}
    for mask, content in whole.items():
        mask.write_bytes(bytes(len(content)))
    set_times(home / "street")
    result = label(home, "failed", "groups", "--limit", 3, "--max-attempts", 1)
    assert result.exit_code == 3, result.output
    for mask, content in whole.items():
        mask.write_bytes(content)
    set_times(home / "street")
    files = {}
    for name, (_, num_ok, _) in HALVES.items():
        if name not in wanted:
            files |= {f"{name}/{file}": content for file, content in packed("halves", below=f"{name}/").items()}
            continue
        assert sum(mark["status"] == "ok" for mark in marks(home / name)) == num_ok, name
        files |= {f"{name}/{file}": content for file, content in neutral(files_in(home / name), home).items()}
    pack(files, RECORDED / "halves.tar.xz")


def killed_label(home: Path, output: str, run: str, *, before: int, name: str) -> None:
    """Label in a process that ends before so-and-so-many files of some name have it."""
    where = ["label", "--root", "street", "--sequence", SEQUENCE, "--output", output, "--serial"]
    command = [sys.executable, "-c", KILLER, str(before), name, *where, *RUNS[run]]
    assert subprocess.run(command, cwd=home, check=False).returncode == KILLED


def neutral(files: dict[str, bytes], home: Path) -> dict[str, bytes]:
    """The same without what tells of this machine: the dataset's folder, and numbers of processes."""
    place = str(home / "street")
    changed = {}
    for name, content in files.items():
        neutral_name = re.sub(r"\.\d+\.tmp", ".4242.tmp", name)
        if not name.endswith((".parquet", ".hidden")):
            changed[neutral_name] = content.replace(place.encode(), ROOT.encode())
        elif name.startswith("groups/") and ".tmp" not in name:  # errors name files
            changed[neutral_name] = with_errors(content, lambda error: error.replace(place, ROOT))
        else:
            changed[neutral_name] = content
    for name, content in changed.items():
        assert ".tmp" in name or not any(str(home) in str(value) for value in values_of(name, content)), name
    return changed


def with_errors(content: bytes, change: Callable[[str], str]) -> bytes:
    """A file of groups/ with other texts of errors; the same bytes where none changes."""
    table = pq.read_table(io.BytesIO(content))
    errors = table["error"].to_pylist()
    changed = [None if error is None else change(error) for error in errors]
    if changed == errors:
        return content
    number = table.schema.get_field_index("error")
    file = io.BytesIO()
    pq.write_table(table.set_column(number, "error", pa.array(changed, pa.string())), file, compression="zstd")
    return file.getvalue()


def marks(output: Path) -> list[dict]:
    """The rows of groups/, in the order of groups."""
    return ds.dataset(output / "groups").to_table().sort_by("group_id").to_pylist()


def make_evaluations(home: Path) -> None:
    """Write evaluations.tar.xz: what evaluation.json of `scene` says, by the options of the command."""
    files = {}
    for name, options in EVALUATIONS.items():
        result = command(home, "evaluate", "scene", "--root", "street", *options)
        assert result.exit_code == 0, result.output
        files[f"{name}.json"] = (home / "scene" / "evaluation.json").read_bytes()
    pack(neutral(files, home), RECORDED / "evaluations.tar.xz")


def main() -> None:
    """Record everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halves", nargs="*", choices=HALVES, help="record the half-finished folders, or some, too")
    halves = parser.parse_args().halves
    RECORDED.mkdir(exist_ok=True)
    before = packed("street") if (RECORDED / "street.tar.xz").exists() else None
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        images = make_street(home)
        if halves is None and files_in(home / "street") != before:
            sys.exit("the street has changed: the half-finished folders have to be recorded again too, with --halves")
        pack(files_in(home / "street"), RECORDED / "street.tar.xz")
        shutil.rmtree(home / "street")
        unpack_street(home)
        make_runs(home)
        make_exports(home)
        if halves is not None:
            make_halves(home, halves or list(HALVES))
        make_evaluations(home)
    facts = {"versions": versions(), "arithmetic": arithmetic(), "images": images}
    (RECORDED / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    for path in sorted(RECORDED.iterdir()):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
