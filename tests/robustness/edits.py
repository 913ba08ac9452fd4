"""Corrections of the run in `out` as a user makes them: edited texts and archives, and what they come to."""

from collections.abc import Callable
from pathlib import Path

from vsrd_ray.labels.boxes.parquet import read_labels

SEQUENCE = "2013_05_28_drive_0000_sync"
TEXTS = Path("kitti/training/label_2")
ARCHIVE = Path("cvat") / f"{SEQUENCE}.zip"
HUMAN = Path("out/labels") / f"sequence={SEQUENCE}" / "human-image_00.parquet"
LIST = Path("out/corrections") / f"{SEQUENCE}.parquet"


def edit(frame: int, change: Callable[[list[str]], list[str]], folder: Path = TEXTS) -> Path:
    path = folder / f"{frame:06d}.txt"
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
    return path


def without_first(lines: list[str]) -> list[str]:
    return lines[1:]


def with_words(words: dict[int, str], line: int = 0) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        parts = lines[line].split()
        for column, word in words.items():
            parts[column] = word
        return [*lines[:line], " ".join(parts), *lines[line + 1 :]]

    return change


def boxes(frame: int) -> int:
    return read_labels(Path("out"))["frame"].to_pylist().count(frame)


def state() -> dict[str, bytes]:
    """Everything in OUTPUT but what an import can be undone with."""
    paths = (path for path in Path("out").rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in paths if ".before-import" not in path.parts}
