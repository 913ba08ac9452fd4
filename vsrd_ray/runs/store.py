"""Labels and marks of the groups of one sequence: a piece for each group at first, parts of many groups later.

A group's mark is its row in groups/, and is written after its labels: from then on the group is done. A part holds the
groups of one stretch of the plan in their order, so that its bytes do not depend on the order in which they ended.

Files under a hidden name are no part of the dataset. A part is written under one, its labels first; once its marks are
there as well, the pieces that it stands for are removed, and only then it takes its place. So no row is ever there
twice, and a run that was killed in between is finished, or undone, by the next.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.errors import OutputError
from vsrd_ray.labels.boxes.parquet import LABEL_AGAIN, first_bad_file, write_piece
from vsrd_ray.labels.boxes.schema import GROUP_SCHEMA, LABEL_SCHEMA
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

GROUPS_A_PART = 512
EMPTY = "empty.parquet"

_CACHED = 2 * GROUPS_A_PART  # groups whose labels stay in memory, for the texts and the part that they go into
_GROUP = r"\d{10}|w\d{5,}"  # how groups are numbered: by target frame, or by window
_PART = r"part\d{5,}"


class GroupStore:
    """The groups of one sequence in an output folder."""

    def __init__(
        self, output: Location, sequence: str, camera: str, groups: tuple[GroupPlan, ...], *, marks: Iterable[str]
    ) -> None:
        """Find what is there, and finish or undo what a killed run was at.

        Args:
            output: the folder.
            sequence: its name.
            camera: its camera.
            groups: all that are planned, in their order.
            marks: names of the sequence's files in groups/.
        """
        self._labels, self._marks = output / "labels" / f"sequence={sequence}", output / "groups"
        self._prefix = f"{sequence}-{camera}-"
        self._groups = groups
        self._position = {group.group_id: position for position, group in enumerate(groups)}
        self._cache: OrderedDict[str, pa.Table] = OrderedDict()
        marks = list(marks)
        self._loose = set(self._names(marks, _GROUP))
        self._parts = set(self._names(marks, _PART))
        self._recover(self._names(marks, _PART, hidden=True))

    def records(self) -> dict[str, dict]:
        """Marks by group id: rows of `GROUP_SCHEMA`. A piece counts before the part of its group.

        Marks of labels that are gone go as well: their groups are labelled again.
        """
        loose = {row["group_id"]: row for row in self._read(self._marks, self._loose, GROUP_SCHEMA)}
        with_labels = self._parts | {name for name, row in loose.items() if row["status"] == "ok"}
        there = set(self._names(storage.names_in(self._labels), f"{_GROUP}|{_PART}"))
        if lost := sorted(with_labels - there):
            logger.warning("%s.parquet is gone: its groups are labelled again.", self._labels / lost[0])
            storage.remove(self._marks / f"{name}.parquet" for name in lost)
            self._loose.difference_update(lost)
            self._parts.difference_update(lost)
        rows = self._read(self._marks, self._parts, GROUP_SCHEMA)
        return {row["group_id"]: row for row in rows} | {name: row for name, row in loose.items() if name not in lost}

    def clear(self, keep: Collection[str]) -> None:
        """Remove labels without a mark, as a killed run leaves them; without any group to keep, everything.

        Args:
            keep: ids of the groups whose marks count.
        """
        if not keep:
            storage.remove(self._marks / f"{name}.parquet" for name in self._loose | self._parts)
            self._loose, self._parts = set(), set()
        labelled = set(self._names(storage.names_in(self._labels), f"{_GROUP}|{_PART}"))
        storage.remove(self._labels / f"{name}.parquet" for name in labelled - self._loose - self._parts)

    def write(self, group: GroupPlan, labels: pa.Table | None, mark: dict) -> None:
        """Write what came of a group: labels unless it failed, and its mark."""
        name = group.group_id
        if labels is not None:
            write_piece(labels, self._labels / f"{name}.parquet")
            self._cache_rows(name, labels)
        write_piece(pa.Table.from_pylist([mark], schema=GROUP_SCHEMA), self._marks / f"{name}.parquet")
        self._loose.add(name)
        if len(self._loose) == 1:
            storage.remove(folder / EMPTY for folder in (self._labels, self._marks))

    def loosen(self, group_ids: Set[str]) -> None:
        """Take the marks of some failed groups, which are to be tried again, out of their parts: as pieces."""
        for number in sorted({self.part_of(group_id) for group_id in group_ids - self._loose}):
            part = self._marks / f"{self._prefix}part{number:05d}.parquet"
            rows = storage.open_dataset([part], schema=GROUP_SCHEMA).to_table().to_pylist()
            for row in rows:
                if row["group_id"] in group_ids:
                    piece = pa.Table.from_pylist([row], schema=GROUP_SCHEMA)
                    write_piece(piece, self._marks / f"{row['group_id']}.parquet")
                    self._loose.add(row["group_id"])
            others = [row for row in rows if row["group_id"] not in group_ids]
            write_piece(pa.Table.from_pylist(others, schema=GROUP_SCHEMA), part)

    def rows(self, groups: Iterable[GroupPlan]) -> pa.Table:
        """The labels of groups that have their marks."""
        names = [group.group_id for group in groups]
        found = {name: self._cache[name] for name in names if name in self._cache}
        missing = [name for name in names if name not in found]
        found |= {name: self._read_labels(name) for name in missing if name in self._loose}
        for part, inside in self._by_part(missing):
            in_part = dict(_by_group(self._read_labels(part)))
            found |= {name: in_part.get(name, LABEL_SCHEMA.empty_table()) for name in inside}
        for name, rows in found.items():
            self._cache_rows(name, rows)
        return pa.concat_tables([LABEL_SCHEMA.empty_table(), *(found[name] for name in names)])

    def part_of(self, group_id: str) -> int:
        """The number of the part that a group belongs to."""
        return self._position[group_id] // GROUPS_A_PART

    def parts_with_pieces(self) -> list[int]:
        """Numbers of the parts to which some pieces belong."""
        return sorted({self.part_of(name) for name in self._loose})

    def files(self) -> list[str]:
        """Paths, below the output folder, of the parts and pieces with labels and marks."""
        names = sorted(self._parts | self._loose)
        folders = (self._marks.name, f"labels/{self._labels.name}")
        return [f"{folder}/{name}.parquet" for folder in folders for name in names]

    def compact(self, number: int) -> None:
        """Put the pieces of a stretch of the plan into its part, together with what is in it already."""
        groups = self._groups[number * GROUPS_A_PART : (number + 1) * GROUPS_A_PART]
        loose = [group.group_id for group in groups if group.group_id in self._loose]
        part = f"{self._prefix}part{number:05d}"
        records = {row["group_id"]: row for row in self._read(self._marks, {part} & self._parts, GROUP_SCHEMA)}
        records |= {row["group_id"]: row for row in self._read(self._marks, loose, GROUP_SCHEMA)}
        marks = [records[group.group_id] for group in groups if group.group_id in records]
        labelled = [group for group in groups if records.get(group.group_id, {}).get("status") == "ok"]
        write_piece(self.rows(labelled), self._labels / f".{part}.parquet")
        write_piece(pa.Table.from_pylist(marks, schema=GROUP_SCHEMA), self._marks / f".{part}.parquet")
        self._put_in_place(part, loose)
        self._loose.difference_update(loose)
        self._parts.add(part)

    def _recover(self, complete: list[str]) -> None:
        """Finish the parts whose marks are there under their hidden names, and undo those without."""
        begun = self._names(storage.names_in(self._labels), _PART, hidden=True)
        storage.remove(self._labels / f".{part}.parquet" for part in begun if part not in complete)
        for part in complete:
            inside = {row["group_id"] for row in self._read(self._marks, [f".{part}"], GROUP_SCHEMA)}
            pieces = inside & self._loose
            self._put_in_place(part, pieces)
            self._loose.difference_update(pieces)
            self._parts.add(part)

    def _put_in_place(self, part: str, pieces: Collection[str]) -> None:
        """Let a complete hidden part take the place of pieces; to do so again does no harm."""
        for folder in (self._labels, self._marks):
            storage.remove(folder / f"{name}.parquet" for name in pieces)
            if (folder / f".{part}.parquet").exists():
                storage.rename(folder / f".{part}.parquet", folder / f"{part}.parquet")

    def _names(self, files: Iterable[str], kind: str, *, hidden: bool = False) -> list[str]:
        """Names, without dot and suffix, of the sequence's files of some kind; others in a folder are not ours."""
        dot = re.escape("." if hidden else "")
        pattern = re.compile(rf"{dot}({re.escape(self._prefix)}(?:{kind}))\.parquet")
        return [match[1] for name in files if (match := pattern.fullmatch(name))]

    def _read(self, folder: Location, names: Collection[str], schema: pa.Schema) -> list[dict]:
        files = [folder / f"{name}.parquet" for name in sorted(names)]
        with dataset_of(files, schema) as dataset:
            return dataset.to_table().to_pylist()

    def _by_part(self, names: Collection[str]) -> Iterator[tuple[str, set[str]]]:
        """Groups that are in parts, by these."""
        numbers: dict[int, set[str]] = {}
        for name in names:
            if name not in self._loose:
                numbers.setdefault(self.part_of(name), set()).add(name)
        for number, inside in numbers.items():
            yield f"{self._prefix}part{number:05d}", inside

    def _cache_rows(self, name: str, rows: pa.Table) -> None:
        self._cache[name] = rows
        self._cache.move_to_end(name)
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)

    def _read_labels(self, name: str) -> pa.Table:
        with dataset_of([self._labels / f"{name}.parquet"], LABEL_SCHEMA) as dataset:
            return dataset.to_table()


@contextmanager
def dataset_of(files: Sequence[Location], schema: pa.Schema) -> Iterator[ds.Dataset]:
    """Files of labels or marks, to be read in the block.

    Raises:
        OutputError: one cannot be read; it is named with the mend.
    """
    dataset = storage.open_dataset(files, schema=schema)
    try:
        yield dataset
    except (pa.ArrowException, OSError) as error:
        file, reason = first_bad_file(dataset) or (files[0], str(error).splitlines()[0])
        raise OutputError(f"{file}: cannot be read as Parquet ({reason}); {LABEL_AGAIN}") from error


def _by_group(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The stretches of rows of one group, in their order."""
    if not table.num_rows:
        return
    ids = table["group_id"].combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        yield ids.dictionary[int(codes[start])].as_py(), table.slice(start, end - start)
