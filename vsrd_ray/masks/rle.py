"""COCO's run-length encoding, checked before it is decoded: a broken one is an error and never a wrong mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Part:
    """A mask where it is not empty."""

    left: int  # px, of the first column in the image
    top: int  # px, of the first row
    pixels: np.ndarray  # [h, w] bool


NOWHERE = Part(0, 0, np.zeros((0, 0), dtype=bool))


@dataclass(frozen=True)
class BoxRuns:
    """Runs row by row through a box of the image, zeros first, as CVAT has them."""

    runs: list[int]
    left: int  # px
    top: int
    width: int
    height: int

    def decoded(self) -> Part:
        """The mask.

        Raises:
            ValueError: the runs do not fill the box.
        """
        runs = checked(np.array(self.runs), (self.height, self.width))
        values = np.arange(len(runs)) % 2 == 1
        return Part(self.left, self.top, np.repeat(values, runs).reshape(self.height, self.width))


def decode(
    counts: bytes | str | list[int],
    size: tuple[int, int],  # (height, width) px
) -> Part:
    """The mask of runs down the columns of an image, zeros first; in the columns that it touches alone.

    Args:
        counts: the runs, as a list or in COCO's compressed text.
        size: of the image.

    Raises:
        ValueError: the text is broken, or the runs do not fill the image.
    """
    height, _ = size
    is_list = isinstance(counts, list)
    runs = np.array(counts) if is_list else parse_counts(counts.encode() if isinstance(counts, str) else counts)
    runs = checked(runs, size)
    ends = runs.cumsum()
    seen = np.flatnonzero(runs[1::2])
    if not len(seen):
        return Part(0, 0, np.zeros((0, 0), dtype=bool))
    first, last = 2 * seen[0] + 1, 2 * seen[-1] + 1
    left, right = ends[first - 1] // height, (ends[last] - 1) // height
    inner = runs[first : last + 1]
    before, after = ends[first - 1] - left * height, (right + 1) * height - ends[last]
    values = np.arange(len(inner) + 2) % 2 == 1
    pixels = np.repeat(values, np.concatenate([[before], inner, [after]])).reshape(-1, height).T
    rows = np.flatnonzero(pixels.any(axis=1))
    return Part(int(left), int(rows[0]), np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1]))


def checked(runs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The runs [R] int64, if they fill an image.

    Raises:
        ValueError: they do not.
    """
    height, width = size
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise ValueError("runs that are no whole numbers")
    if runs.min() < 0:
        raise ValueError("a run of negative length")
    if (total := int(runs.sum())) != height * width:
        raise ValueError(f"runs of {total} px in all for {width} x {height} px")
    return runs.astype(np.int64)


def parse_counts(text: bytes) -> np.ndarray:
    """The runs [R] int64 of COCO's compressed text: five bits a letter.

    From the fourth on, a number says what a run has more than the run two before.

    Raises:
        ValueError: a letter that is none of the text's, or a number without its end.
    """
    letters = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    if not letters.size or letters.min() < 0 or letters.max() > 63:
        raise ValueError("letters that COCO's text does not have")
    goes_on = letters & 0x20 > 0
    if goes_on[-1]:
        raise ValueError("a text that is cut off")
    last = np.flatnonzero(~goes_on)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 7:
        raise ValueError("a run longer than any image")
    place = np.arange(len(letters)) - np.repeat(first, length)
    runs = np.add.reduceat((letters & 0x1F) << (5 * place), first)
    runs -= np.where(letters[last] & 0x10, np.left_shift(1, 5 * length), 0)
    for parity in (1, 2):  # the first run stands by itself
        runs[parity::2] = runs[parity::2].cumsum()
    return runs


def rle_of(value: Any) -> tuple[bytes | str | list[int], tuple[int, int]]:
    """Counts and (height, width) of COCO's {"size": [H, W], "counts": ...}.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict) or not {"size", "counts"} <= value.keys():
        raise ValueError("no run-length encoding with size and counts")
    counts, size = value["counts"], value["size"]
    if not isinstance(counts, (bytes, str, list)) or not _is_size(size):
        raise ValueError("a run-length encoding with another size or counts than COCO's")
    return counts, (size[0], size[1])


def _is_size(size: Any) -> bool:
    return isinstance(size, list) and len(size) == 2 and all(isinstance(one, int) and one > 0 for one in size)
