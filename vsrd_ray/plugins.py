"""The one loader of labelers, datasets and kinds of label: nothing else in the package names any of them.

Each is a folder with a module `spec` that holds `SPEC`: in this package below `vsrd_ray.labelers`, `vsrd_ray.datasets`
or `vsrd_ray.labels`, and elsewhere an entry point of the group with that name, which refers to such an object:

    [project.entry-points."vsrd_ray.labelers"]
    toy = "my_package.labeler.spec:SPEC"
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Any, Literal

from vsrd_ray.errors import InputError, nearest_name, one_line

Floor = Literal["labelers", "datasets", "labels"]
_NOUNS = {"labelers": "labeler", "datasets": "dataset", "labels": "kind of label"}


@cache
def installed(floor: Floor) -> tuple[str, ...]:
    """Names of all that is installed on a floor, sorted."""
    return tuple(sorted({*_folders(floor), *_entry_points(floor)}))


@cache
def load(floor: Floor, name: str) -> Any:
    """The `SPEC` of a labeler, a dataset or a kind of label.

    Raises:
        InputError: nothing of that name is installed, which is told with the nearest name, or it cannot be imported.
    """
    noun = _NOUNS[floor]
    if name in _folders(floor):
        return import_module(f"vsrd_ray.{floor}.{name}.spec").SPEC
    if (entry := _entry_points(floor).get(name)) is None:
        nearest = nearest_name(name, installed(floor))
        hint = "." if nearest is None else f"; did you mean {nearest!r}?"
        raise InputError(f"no {noun} {name!r} is installed{hint} There are {', '.join(installed(floor))}")
    try:
        spec = entry.load()
    except Exception as error:  # whatever a package outside does when it is imported
        raise InputError(f"{noun} {name!r} ({entry.value}) cannot be imported: {one_line(error)}") from error
    if spec.name != name:
        raise InputError(f"{noun} {name!r} ({entry.value}) calls itself {spec.name!r}: give both the same name")
    return spec


@cache
def _folders(floor: Floor) -> frozenset[str]:
    package = import_module(f"vsrd_ray.{floor}")
    return frozenset(module.name for module in iter_modules(package.__path__) if module.ispkg)


@cache
def _entry_points(floor: Floor) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"vsrd_ray.{floor}")}
