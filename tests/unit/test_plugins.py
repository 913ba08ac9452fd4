"""What is installed outside the package is found by entry points, and told of where it cannot be used."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vsrd_ray import plugins
from vsrd_ray.errors import InputError


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a labeler of a name: a module with some text, and the entry point that refers to its `SPEC`."""
    entries: dict[str, EntryPoint] = {}
    cached: tuple[Callable, ...] = (plugins.load, plugins.installed)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_entry_points", lambda floor: entries if floor == "labelers" else {})

    def make(name: str, text: str, *, module: str = "toy_labeler") -> None:
        (tmp_path / f"{module}.py").write_text(text)
        monkeypatch.delitem(sys.modules, module, raising=False)
        entries[name] = EntryPoint(name, f"{module}:SPEC", "vsrd_ray.labelers")
        for function in cached:
            function.cache_clear()

    yield make
    for function in cached:
        function.cache_clear()


SPEC = "from types import SimpleNamespace\nSPEC = SimpleNamespace(name={name!r})\n"


def test_what_ships_is_there_and_found_once() -> None:
    assert "vsrd" in plugins.installed("labelers")
    assert {"kitti360", "nuscenes"} <= set(plugins.installed("datasets"))
    assert "boxes" in plugins.installed("labels")
    for floor in ("labelers", "datasets", "labels"):
        for name in plugins.installed(floor):
            assert plugins.load(floor, name).name == name
            assert plugins.load(floor, name) is plugins.load(floor, name)


def test_what_is_installed_outside_is_found_by_its_entry_point(install) -> None:
    install("toy", SPEC.format(name="toy"))
    assert {"toy", "vsrd"} <= set(plugins.installed("labelers"))
    assert plugins.load("labelers", "toy").name == "toy"
    assert "toy" not in plugins.installed("datasets")


def test_what_ships_comes_before_an_entry_point_of_its_name(install) -> None:
    install("vsrd", "raise AssertionError('not asked for')")
    assert plugins.installed("labelers").count("vsrd") == 1
    assert plugins.load("labelers", "vsrd").summary.startswith("3D boxes from 2D instance masks")


@pytest.mark.parametrize(
    ("floor", "name", "message"),
    [
        ("labelers", "vrsd", "no labeler 'vrsd' is installed; did you mean 'vsrd'? There are "),
        ("datasets", "kitti", "no dataset 'kitti' is installed; did you mean 'kitti360'? There are "),
        ("labels", "box", "no kind of label 'box' is installed; did you mean 'boxes'? There are boxes"),
        ("labels", "../boxes", "no kind of label '../boxes' is installed; did you mean 'boxes'? There are boxes"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(install, floor, name: str, message: str) -> None:
    install("toy", SPEC.format(name="toy"))
    with pytest.raises(InputError) as raised:
        plugins.load(floor, name)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ZeroDivisionError('of all\\n  things')", "cannot be imported: ZeroDivisionError: of all things"),
        ("import no_such_package", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
        ("", "cannot be imported: AttributeError: module 'toy_labeler' has no attribute 'SPEC'"),
        (SPEC.format(name="game"), "calls itself 'game': give both the same name"),
    ],
    ids=["error", "missing package", "no spec", "another name"],
)
def test_what_cannot_be_used_is_named_with_its_place(install, text: str, message: str) -> None:
    install("toy", text)
    with pytest.raises(InputError) as raised:
        plugins.load("labelers", "toy")
    assert str(raised.value) == f"labeler 'toy' (toy_labeler:SPEC) {message}"
