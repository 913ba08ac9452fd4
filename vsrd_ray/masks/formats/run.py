"""The OUTPUT of a run that made masks (`label --config masks`): rows of `masks/sequence=<sequence>`, as Parquet."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.classes import MANIFEST
from vsrd_ray.masks.rows import Annotation, RowFile, row_file
from vsrd_ray.storage import Location, is_folder, names_in, read_table

_COLUMNS = {"frame", "camera", "class_name", "score", "height", "width", "rle"}


def _recognises(content: Content) -> bool:
    return MANIFEST in content.names


def _open(content: Content, drive: Drive) -> RowFile:
    """The masks of one drive and camera; frames of groups without any are frames without objects."""
    output = content.location
    _check_complete(output)
    annotations: list[Annotation] = []
    sizes: dict[int, tuple[int, int]] = {}
    files: dict[int, Location] = {}
    parts = list(_tables(output / "masks" / f"sequence={drive.name}", _COLUMNS))
    for file, table in parts:
        for row in table.filter(pc.field("camera") == drive.camera).to_pylist():
            frame, size = row["frame"], (row["width"], row["height"])
            place = f"{drive.name}, frame {frame}"
            if sizes.setdefault(frame, size) != size:
                raise InputError(f"{file}, {place}: masks of two sizes in one frame: make the masks again")
            runs = {"size": [row["height"], row["width"]], "counts": row["rle"]}
            annotations.append(Annotation(frame, row["class_name"], None, runs, row["score"], place))
            files[frame] = file
    size = next(iter(sizes.values()), (0, 0))
    marks = list(_tables(output / "groups", {"sequence", "frames", "status"}))
    sizes = dict.fromkeys(_labelled([table for _, table in marks], drive.name), size) | sizes
    files = dict.fromkeys(sizes, (parts or marks or [(output / MANIFEST,)])[0][0]) | files
    return replace(row_file(output, annotations, sizes, drive.classes), files=files)


def _check_complete(output: Location) -> None:
    path = output / MANIFEST
    try:
        status = json.loads(path.read_text())["status"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{path}: not the manifest of a run ({one_line(error)}): make the masks again") from error
    if not is_folder(output / "masks"):
        raise InputError(f"--masks {output}: the output folder of a run that made no masks: give one that did")
    if not f"{status}".startswith("complete"):
        raise InputError(f"--masks {output}: a run that is {status}: let it end first, so that no frame is missing")


def _labelled(marks: Iterable[pa.Table], name: str) -> set[int]:
    """Frames of all groups of a drive that have not failed."""
    frames: set[int] = set()
    for table in marks:
        rows = table.filter((pc.field("sequence") == name) & (pc.field("status") == "ok"))
        frames.update(frame for several in rows["frames"].to_pylist() for frame in several)
    return frames


def _tables(folder: Location, columns: set[str]) -> Iterator[tuple[Location, pa.Table]]:
    """The Parquet files of a folder, each with these columns at least."""
    for name in names_in(folder):
        if name.endswith(".parquet") and not name.startswith("."):
            try:
                table = read_table(folder / name)
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"{folder / name}: cannot be read ({one_line(error)}): make the masks again"
                ) from error
            if missing := columns - set(table.column_names):
                raise InputError(f"{folder / name}: without columns {', '.join(sorted(missing))}: make the masks again")
            yield folder / name, table


SPEC = MaskFormat("run", "OUTPUT of `vsrd-ray label --config masks`", _recognises, _open)
