"""Into train, val and test: as VSRD splits KITTI-360, by a file, or at random."""

import logging
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.kitti import read_lines
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
VSRD = "vsrd"
_RANDOM = "random:"
_LINE = re.compile(rf"\s*(\S.*?)[\s,;]+({'|'.join(SPLITS)})\s*(?:#.*)?")  # names may have spaces
_FRAMES_A_VAL = 5  # one frame of so many is drawn for val

_Split = Callable[[LabelledSequence], tuple[str, ...]]  # of each frame


def with_splits(sequences: Sequence[LabelledSequence], split: str) -> list[LabelledSequence]:
    """The sequences with the part that each frame belongs to; a warning names parts that are empty.

    Args:
        sequences: what is to be split.
        split: `vsrd`; `random:SEED`, which draws one stretch of a fifth of each sequence's frames for val; or a file
            with a line `SEQUENCE train|val|test` for each.

    Raises:
        InputError: a seed that is no number, or a file that is not there, is no such list, or lacks a sequence.
    """
    part_of = _split_named(split)
    chosen = [replace(labelled, splits=part_of(labelled)) for labelled in sequences]
    there = {part for labelled in chosen for part in labelled.splits}
    for part in ("train", "val"):
        if there and part not in there:
            logger.warning(
                "%s is empty: no frame of this run is of it. --split random:0 draws some, and --split FILE names them.",
                part,
            )
    return chosen


def split_of(sequence: Drive) -> str:
    """train, val or test, as VSRD splits KITTI-360; other sequences are for training, with a warning."""
    split = sequence.split
    if split is None:
        logger.warning("%s is in no part of VSRD's split of KITTI-360: it goes to training.", sequence.name)
    return split or "train"


def _split_named(split: str) -> _Split:
    if split == VSRD:
        return lambda labelled: (split_of(labelled.sequence),) * len(labelled.frames)
    if split.startswith(_RANDOM):
        seed = split.removeprefix(_RANDOM)
        if not (seed.isascii() and seed.isdigit()):
            raise InputError(f"--split {split}: the seed must be a whole number, such as {_RANDOM}0")
        return lambda labelled: _drawn(labelled, seed)
    parts = _read_split(Path(split))
    return lambda labelled: (_listed(labelled.sequence.name, parts, split),) * len(labelled.frames)


def _drawn(labelled: LabelledSequence, seed: str) -> tuple[str, ...]:
    """One stretch of frames for val, since frames beside each other show the same objects."""
    count = len(labelled.frames)
    length = -(-count // _FRAMES_A_VAL) if count > 1 else 0
    start = random.Random(f"{seed} {labelled.sequence.name}").randint(0, count - length)
    return tuple("val" if start <= n < start + length else "train" for n in range(count))


def _read_split(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise InputError(f"--split {path}: no such file: give vsrd, random:SEED, or a file of sequences and parts")
    parts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (match := _LINE.fullmatch(line)) is None:
            raise InputError(f"{path}, line {number}: expected SEQUENCE and train, val or test, got {line.strip()!r}")
        name, part = match.groups()
        if parts.setdefault(name, part) != part:
            raise InputError(f"{path}, line {number}: {name} is in {parts[name]} already: keep one of the lines")
    return parts


def _listed(name: str, parts: dict[str, str], split: str) -> str:
    if name not in parts:
        raise InputError(f"{split}: no line for {name}: add one, such as {name} train")
    return parts[name]
