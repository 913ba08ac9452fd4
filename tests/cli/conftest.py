"""Runs commands in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_labeler
import pytest
from click.testing import CliRunner, Result

from vsrd_ray.cli import main
from vsrd_ray.pipeline.work import LabelerFactory

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Options of the demo's configuration with few steps and rays, and groups for a drive as short as the street.

    Its labelers are set up at once: to teach residual fields a body takes seconds of every worker.
    """
    settings = (
        "schedule.steps=12",
        "rendering.num_rays=32",
        "field.start=random",
        "start.extent_steps=8",
        "start.contour_steps=4",
        "start.headings=4",
    )
    settings += ("grouping.num_sources=4", "grouping.min_area=32", "grouping.min_box_side=4")
    return ["--config", "demo", *(word for setting in settings for word in ("--set", setting))]


@pytest.fixture(scope="session")
def label_street(street: Path, quick: list[str]) -> Callable[..., Result]:
    """Runs `vsrd-ray label` on the street, with VSRD and one actor unless the options say otherwise."""

    def run(output: Path, *options: object, root: Path = street) -> Result:
        arguments = ["label", "--root", root, "--sequence", SEQUENCE, "--output", output, *quick]
        arguments += ["--num-actors", "1", *options]
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="session")
def labelled(
    label_street: Callable[..., Result], local_ray: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Result, Path]:
    """What an undisturbed `vsrd-ray label --trace` said, and its OUTPUT; read it, do not change it."""
    output = tmp_path_factory.mktemp("labelled") / "output"
    result = label_street(output, "--trace")
    assert result.exit_code == 0, result.output
    return result, output


@pytest.fixture(scope="session")
def broken_labeler() -> LabelerFactory:
    """Makes labelers that fail for every group; on workers as well, which cannot import them."""

    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(plain_labeler)

    class Broken(plain_labeler.PlainLabeler):
        def fits_of(self, prepared: Any, **options: Any) -> Any:
            raise ZeroDivisionError("of all\n  things")

    return Broken


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `vsrd-ray` with arguments, in an empty working folder and without KITTI360_DATASET."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("KITTI360_DATASET", raising=False)
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])
