"""KITTI label text: one object a line, camera frame, metres and radians, pixels counted from 0."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.labels.boxes.columns import ALPHA, BOTTOM_CAM, BOX_2D, ROTATION_Y, SIZE_LWH
from vsrd_ray.storage import Location, names_in
from vsrd_ray.storage.atomic import atomic_write

# The largest angle of four decimals below pi: rounding must not leave [-pi, pi).
_LARGEST_ANGLE = 3.1415
IGNORED = "DontCare"  # KITTI's type of regions that are not labelled
# Classes that KITTI calls by another name than KITTI-360.
_TYPES = {"person": "Pedestrian", "rider": "Cyclist", "train": "Tram"}
_LABEL_FILE = re.compile(r"\d{10}\.txt")
_COLUMNS_WITHOUT_SCORE, _COLUMNS_WITH_SCORE = 15, 16


@dataclass(frozen=True)
class KittiObject:
    """One line of a KITTI label file."""

    type: str
    truncated: float  # share of the projected box outside the image
    occluded: int  # 0 visible, 1 partly, 2 largely occluded, 3 unknown
    alpha: float  # radians
    box_xyxy: tuple[float, float, float, float]  # pixels
    dimensions_hwl: tuple[float, float, float]  # metres
    bottom_cam: tuple[float, float, float]  # metres
    rotation_y: float  # radians, 0 facing +x
    score: float | None = None  # absent in ground truth


@dataclass(frozen=True)
class Difficulty:
    """What an object has to show so that it ought to be found."""

    name: str
    min_height: float  # px of the 2D box; more than that
    max_occlusion: int
    max_truncation: float


DIFFICULTIES = (
    Difficulty("easy", min_height=40, max_occlusion=0, max_truncation=0.15),
    Difficulty("moderate", min_height=25, max_occlusion=1, max_truncation=0.3),
    Difficulty("hard", min_height=25, max_occlusion=2, max_truncation=0.5),
)


def kitti_type(class_name: str) -> str:
    """KITTI's name of a class, `Pedestrian` of `person`; where it has none, one word: `TrashBin` of `trash bin`."""
    return _TYPES.get(class_name) or "".join(word.capitalize() for word in class_name.split())


def label_path(folder: Location, *, sequence: str, camera: str, frame: int) -> Location:
    """Where the KITTI text of one frame lies in a folder of sequences."""
    return folder / sequence / camera / "label_2" / f"{frame:010d}.txt"


def is_label_file(name: str) -> bool:
    """Whether a file is named as the KITTI text of a frame is."""
    return _LABEL_FILE.fullmatch(name) is not None


def frames_of_texts(names: Iterable[str]) -> list[int]:
    """Frames, ascending, whose KITTI text is among the files of some names."""
    return sorted(int(name.removesuffix(".txt")) for name in names if is_label_file(name))


def label_lines(rows: pa.Table) -> list[str]:
    """KITTI lines `type truncated occluded alpha x1 y1 x2 y2 h w l x y z rotation_y [score]`, in the order of the rows.

    Args:
        rows: label rows in `LABEL_SCHEMA`, or its class, size and camera columns; the score is left out where there is
            no column `confidence`.
    """
    return [_line(row) for row in rows.to_pylist()]


def ignored_lines(rows: pa.Table) -> list[str]:
    """KITTI lines of regions where something is that nobody labels, in the order of the rows."""
    boxes = ((_fixed(row[name], 2) for name in BOX_2D) for row in rows.select(BOX_2D).to_pylist())
    return [" ".join((IGNORED, "-1 -1 -10", *box, "-1 -1 -1 -1000 -1000 -1000 -10")) for box in boxes]


def write_frame(path: Location, rows: pa.Table) -> None:
    """Write the label file of one frame, whole or not at all; no rows give an empty file."""
    with atomic_write(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in label_lines(rows)))


def check_unedited(texts: Mapping[Location, pa.Table]) -> None:
    """Refuse to write rows over label files that hold other lines.

    Raises:
        OutputError: such a file; somebody may have corrected it.
    """
    there = {folder: set(names_in(folder)) for folder in {path.parent for path in texts}}
    for path, rows in texts.items():
        if path.name in there[path.parent] and read_lines(path) != label_lines(rows):
            raise OutputError(
                f"{path} holds other labels than would be written, and they would be lost: import what was corrected, "
                "and give another --to"
            )


def read_frame(path: Location) -> list[KittiObject]:
    """The objects of one label file, with or without scores; blank lines say nothing.

    Raises:
        InputError: the file is no text, a line has another number of columns, or a column is no number.
    """
    lines = read_lines(path)
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]


def read_lines(path: Location) -> list[str]:
    """The lines of a text file.

    Raises:
        InputError: it is no text.
    """
    try:
        return path.read_text().removeprefix("\ufeff").splitlines()  # a byte order mark, as some editors write it
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text ({error}): restore the file") from None


def _line(row: dict) -> str:
    columns = [kitti_type(row["class_name"]), f"{row['truncation']:.2f}", str(row["occlusion"]), _angle(row[ALPHA])]
    columns += [_fixed(row[name], 2) for name in BOX_2D]
    columns += [_fixed(row[name], 4) for name in (*reversed(SIZE_LWH), *BOTTOM_CAM)]
    columns.append(_angle(row[ROTATION_Y]))
    if "confidence" in row:
        columns.append(_fixed(row["confidence"], 4))
    return " ".join(columns)


def _fixed(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # adding 0 turns -0.0 into 0.0


def _angle(value: float) -> str:
    return _fixed(min(max(value, -_LARGEST_ANGLE), _LARGEST_ANGLE), 4)


def _parse(line: str, where: str) -> KittiObject:
    name, *texts = line.split() or [""]
    if len(texts) + 1 not in (_COLUMNS_WITHOUT_SCORE, _COLUMNS_WITH_SCORE):
        raise InputError(
            f"{where}: expected 15 or 16 columns of KITTI label text, got {len(texts) + 1}: restore the line"
        )
    try:
        values = [float(text) for text in texts]
    except ValueError as error:
        raise InputError(f"{where}: {error}; every column after the type must be a number") from error
    if not all(math.isfinite(value) for value in values):
        raise InputError(f"{where}: every column after the type must be finite, got {line!r}: correct it")
    x1, y1, x2, y2, height, width, length, x, y, z, rotation_y, *score = values[3:]
    return KittiObject(
        type=name,
        truncated=values[0],
        occluded=int(values[1]),
        alpha=values[2],
        box_xyxy=(x1, y1, x2, y2),
        dimensions_hwl=(height, width, length),
        bottom_cam=(x, y, z),
        rotation_y=rotation_y,
        score=score[0] if score else None,
    )
