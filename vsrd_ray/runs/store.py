"""Labels and marks of the groups of one drive: a fragment for each at first, compacted files of many later.

A group's mark is its row in groups/, and is written after its labels: from then on the group is done. A compacted file
holds the groups of one stretch of the plan in their order, so that its bytes do not depend on the order in which they
ended. Each kind of label has a folder of its own, with files of the same names.

Files under a hidden name are no part of the dataset. A compacted file is written under one, its labels first; once its
marks are there as well, the fragments that it stands for are removed, and only then is it published under its own name.
So no row is ever there twice, and a run that was killed in between is finished, or undone, by the next. Hidden names do
not end with .parquet, since readers such as Polars and DuckDB take files with a dot in front for any others.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.reading import dataset_of
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import write_parquet

logger = logging.getLogger(__name__)

EMPTY = "empty.parquet"
_HIDDEN = ".hidden"  # ends hidden names

# Label rows that stay in memory, for the texts and the compacted file that they go into.
_CACHED_BYTES = 256 * 2**20


class GroupStore:
    """The groups of one drive in an output folder."""

    def __init__(self, paths: RunPaths, plan: DrivePlan, tables: Sequence[LabelTable], *, marks: Iterable[str]) -> None:
        """Find what is there, and finish or undo what a killed run was at.

        Args:
            paths: of the output folder.
            plan: the drive, with all groups in their order.
            tables: kinds of label that each group has rows of.
            marks: names of files in groups/; those of other drives are left alone.
        """
        self._marks = paths.groups
        self._folders = {table.name: paths.table(table.folder, plan.drive.name) for table in tables}
        self._tables = {table.name: table for table in tables}
        self._paths, self._drive, self._prefix = paths, plan.drive.name, plan.prefix
        self._groups = plan.groups
        self._groups_a_file = min(table.groups_a_file for table in tables)
        self._compacted_name = re.compile(rf"{re.escape(plan.prefix)}part\d{{5,}}")
        self._position = {group.group_id: position for position, group in enumerate(plan.groups)}
        self._cache: OrderedDict[tuple[str, str], pa.Table] = OrderedDict()
        self._cached_bytes = 0
        marks = list(marks)
        stems = [name.removesuffix(".parquet") for name in marks if name.endswith(".parquet")]
        self._compacted = {stem for stem in stems if self._compacted_name.fullmatch(stem)}
        self._loose = {stem for stem in stems if stem not in self._compacted and self._is_loose_mark(stem)}
        self._recover(marks)

    def records(self) -> dict[str, dict[str, Any]]:
        """Marks by group id: rows of `GROUP_SCHEMA`. A fragment counts before the compacted file of its group.

        Marks of labels that are gone go as well: their groups are labelled again.
        """
        loose = {row["group_id"]: row for row in self._read(self._marks, self._loose)}
        with_labels = self._compacted | {name for name, row in loose.items() if row["status"] == "ok"}
        lost: set[str] = set()
        for folder in self._folders.values():
            gone = sorted(with_labels - _stems(folder))
            if gone:
                logger.warning("%s.parquet is gone: its groups are labelled again.", folder / gone[0])
            lost.update(gone)
        storage.remove(self._marks / f"{name}.parquet" for name in sorted(lost))
        self._loose -= lost
        self._compacted -= lost
        rows = self._read(self._marks, self._compacted)
        return {row["group_id"]: row for row in rows} | {name: row for name, row in loose.items() if name not in lost}

    def clear(self, keep: Collection[str]) -> None:
        """Remove labels without a mark, as a killed run leaves them; without any group to keep, everything.

        Args:
            keep: ids of the groups whose marks count.
        """
        if not keep:
            storage.remove(self._marks / f"{name}.parquet" for name in self._loose | self._compacted)
            stale, self._loose, self._compacted = self._loose | self._compacted, set(), set()
        else:
            stale = set()
        for folder in self._folders.values():
            there = _stems(folder) - self._loose - self._compacted
            unmarked = {name for name in there if name in stale or self._is_ours(folder, name)}
            storage.remove(folder / f"{name}.parquet" for name in unmarked)

    def write(self, group: GroupPlan, tables: Mapping[str, pa.Table] | None, mark: dict[str, Any]) -> None:
        """Write what came of a group: labels of each kind unless it failed, and its mark."""
        name = group.group_id
        if tables is not None:
            for kind, folder in self._folders.items():
                write_parquet(tables[kind], folder / f"{name}.parquet")
                self._cache_rows(kind, name, tables[kind])
        write_parquet(pa.Table.from_pylist([mark], schema=GROUP_SCHEMA), self._marks / f"{name}.parquet")
        self._loose.add(name)
        if len(self._loose) == 1:
            storage.remove(folder / EMPTY for folder in (*self._folders.values(), self._marks))

    def loosen(self, group_ids: Set[str]) -> None:
        """Take the marks of some failed groups, which are to be tried again, out of their compacted files."""
        for number in sorted({self.file_of(group_id) for group_id in group_ids - self._loose}):
            file = self._marks / f"{self._compacted_file(number)}.parquet"
            rows = storage.open_dataset([file], schema=GROUP_SCHEMA).to_table().to_pylist()
            for row in rows:
                if row["group_id"] in group_ids:
                    fragment = pa.Table.from_pylist([row], schema=GROUP_SCHEMA)
                    write_parquet(fragment, self._marks / f"{row['group_id']}.parquet")
                    self._loose.add(row["group_id"])
            others = [row for row in rows if row["group_id"] not in group_ids]
            write_parquet(pa.Table.from_pylist(others, schema=GROUP_SCHEMA), file)

    def rows(self, kind: str, groups: Iterable[GroupPlan]) -> pa.Table:
        """The labels of one kind of groups that have their marks."""
        names = [group.group_id for group in groups]
        found = {name: self._cache[kind, name] for name in names if (kind, name) in self._cache}
        missing = [name for name in names if name not in found]
        found |= {name: self._read_labels(kind, name) for name in missing if name in self._loose}
        schema = self._tables[kind].schema
        for file, inside in self._by_compacted_file(missing):
            in_file = dict(_by_group(self._read_labels(kind, file)))
            found |= {name: in_file.get(name, schema.empty_table()) for name in inside}
        for name, rows in found.items():
            self._cache_rows(kind, name, rows)
        return pa.concat_tables([schema.empty_table(), *(found[name] for name in names)])

    def file_of(self, group_id: str) -> int:
        """The number of the compacted file that a group belongs to."""
        return self._position[group_id] // self._groups_a_file

    def _compacted_file(self, number: int) -> str:
        return f"{self._prefix}part{number:05d}"

    def files_with_fragments(self) -> list[int]:
        """Numbers of the compacted files to which some fragments belong."""
        return sorted({self.file_of(name) for name in self._loose})

    def files(self) -> list[str]:
        """Paths, below the output folder, of all files with labels and marks."""
        names = sorted(self._compacted | self._loose)
        folders = [self._paths.relative(folder) for folder in (self._marks, *self._folders.values())]
        return [f"{folder}/{name}.parquet" for folder in folders for name in names]

    def compact(self, number: int) -> None:
        """Put the fragments of a stretch of the plan into one file, together with what is in it already."""
        groups = self._groups[number * self._groups_a_file : (number + 1) * self._groups_a_file]
        loose = [group.group_id for group in groups if group.group_id in self._loose]
        file = self._compacted_file(number)
        records = {row["group_id"]: row for row in self._read(self._marks, {file} & self._compacted)}
        records |= {row["group_id"]: row for row in self._read(self._marks, loose)}
        marks = [records[group.group_id] for group in groups if group.group_id in records]
        labelled = [group for group in groups if records.get(group.group_id, {}).get("status") == "ok"]
        for kind, folder in self._folders.items():
            write_parquet(self.rows(kind, labelled), _hidden(folder, file))
        write_parquet(pa.Table.from_pylist(marks, schema=GROUP_SCHEMA), _hidden(self._marks, file))
        self._publish(file, loose)
        self._loose.difference_update(loose)
        self._compacted.add(file)

    def _recover(self, marks: Iterable[str]) -> None:
        """Publish the compacted files whose marks are there under their hidden names, and undo those without.

        Args:
            marks: names of files in groups/.
        """
        complete = self._begun(self._marks, marks)
        for folder in self._folders.values():
            undone = self._begun(folder, storage.names_in(folder)) - complete
            storage.remove(_hidden(folder, file) for file in undone)
        for file in sorted(complete):
            inside = {row["group_id"] for row in _rows([_hidden(self._marks, file)])}
            fragments = inside & self._loose
            self._publish(file, fragments)
            self._loose.difference_update(fragments)
            self._compacted.add(file)

    def _publish(self, file: str, fragments: Collection[str]) -> None:
        """Let a complete hidden file take the place of fragments; to do so again does no harm."""
        for folder in (*self._folders.values(), self._marks):
            storage.remove(folder / f"{name}.parquet" for name in fragments)
            if _hidden(folder, file).exists():
                storage.rename(_hidden(folder, file), folder / f"{file}.parquet")

    def _begun(self, folder: Location, names: Iterable[str]) -> set[str]:
        """The compacted files that a folder with files of some names has under hidden names.

        Earlier versions' hidden names, which end with .parquet, are made today's.
        """
        begun: set[str] = set()
        for name in names:
            file = name.removesuffix(_HIDDEN).removesuffix(".parquet").removeprefix(".")
            if name in (f".{file}{_HIDDEN}", f".{file}.parquet") and self._compacted_name.fullmatch(file):
                begun.add(file)
                if name.endswith(".parquet"):
                    storage.rename(folder / name, _hidden(folder, file))
        return begun

    def _is_loose_mark(self, stem: str) -> bool:
        """Whether a file in groups/ is the mark of one group of the drive, as planned now or by an earlier plan."""
        if stem in self._position:
            return True
        if not stem.startswith(f"{self._drive}-"):
            return False
        columns = _read_columns(self._marks / f"{stem}.parquet", ["group_id", "sequence"])
        return columns == [{"group_id": stem, "sequence": self._drive}]

    def _is_ours(self, folder: Location, stem: str) -> bool:
        """Whether a file in a folder of labels is one that a run wrote: users may keep files of their own beside."""
        if stem in self._position or self._compacted_name.fullmatch(stem):
            return True
        if not stem.startswith(f"{self._drive}-"):
            return False
        rows = _read_columns(folder / f"{stem}.parquet", ["group_id"])
        if rows is None:  # torn, and no reader of labels could pass it by; people give words to their files
            return stem.startswith(self._prefix) and stem.removeprefix(self._prefix).isdecimal()
        return bool(rows) and all(row["group_id"] == stem for row in rows)

    def _read(self, folder: Location, names: Collection[str]) -> list[dict[str, Any]]:
        return _rows([folder / f"{name}.parquet" for name in sorted(names)])

    def _by_compacted_file(self, names: Collection[str]) -> Iterator[tuple[str, set[str]]]:
        """Groups that are in compacted files, by these."""
        numbers: dict[int, set[str]] = {}
        for name in names:
            if name not in self._loose:
                numbers.setdefault(self.file_of(name), set()).add(name)
        for number, inside in numbers.items():
            yield self._compacted_file(number), inside

    def _cache_rows(self, kind: str, name: str, rows: pa.Table) -> None:
        before = self._cache.pop((kind, name), None)
        self._cache[kind, name] = rows
        self._cached_bytes += rows.nbytes - (before.nbytes if before is not None else 0)
        while self._cached_bytes > _CACHED_BYTES and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= oldest.nbytes

    def _read_labels(self, kind: str, name: str) -> pa.Table:
        with dataset_of([self._folders[kind] / f"{name}.parquet"], self._tables[kind].schema) as dataset:
            return dataset.to_table()


def is_record_of(row: dict[str, Any], plan: GroupPlan) -> bool:
    """Whether a row of `GROUP_SCHEMA` is of a group just as it is planned now: of the same frames and instances."""
    return tuple(row["frames"]) == plan.label_frames and tuple(row["instance_ids"]) == plan.instance_ids


def _stems(folder: Location) -> set[str]:
    """Names, without suffix, of the Parquet files in a folder that are not hidden."""
    names = (name for name in storage.names_in(folder) if name.endswith(".parquet") and not name.startswith("."))
    return {name.removesuffix(".parquet") for name in names}


def _hidden(folder: Location, file: str) -> Location:
    """Where a compacted file is until it is published."""
    return folder / f".{file}{_HIDDEN}"


def _rows(files: Sequence[Location]) -> list[dict[str, Any]]:
    """The marks in some files."""
    with dataset_of(files, GROUP_SCHEMA) as dataset:
        return dataset.to_table().to_pylist()


def _read_columns(file: Location, columns: list[str]) -> list[dict[str, Any]] | None:
    """The distinct rows of some columns of a file: empty where it lacks them, None where it cannot be read."""
    try:
        table = storage.read_table(file).select(columns)
    except KeyError:
        return []
    except (OSError, pa.ArrowException):
        return None
    return table.group_by(columns).aggregate([]).to_pylist()


def _by_group(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The stretches of rows of one group, in their order."""
    if not table.num_rows:
        return
    ids = table["group_id"].combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        yield ids.dictionary[int(codes[start])].as_py(), table.slice(start, end - start)
