"""What the house knows of VSRD: nothing here imports torch."""

from typing import TYPE_CHECKING

import pyarrow as pa

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.groups import InstanceGroupPlan
from vsrd_ray.data.index import empty_frames, readable_frames
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.labelers.base import Labeler, LabelerSpec, Needs, Resources, Solids, Wanted
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.grouping import plan_groups
from vsrd_ray.labelers.vsrd.scene import plan_scene

if TYPE_CHECKING:
    import click

_SECONDS, _SECONDS_WITH_STEPS = 600.0, 86400.0
_GPU_BATCH = 16  # fitted together


def _needs(config: VSRDConfig) -> Needs:
    return Needs(layers=(MASKS,))


def _plan(drive: Drive, index: pa.Table, config: VSRDConfig, wanted: Wanted) -> list[InstanceGroupPlan]:
    plan = {"vsrd": plan_groups, "scene": plan_scene}[config.grouping.kind]
    return plan(index, sequence=drive.name, camera=drive.camera.name, settings=config.grouping, classes=wanted.classes)


def _check(config: VSRDConfig, wanted: Wanted, classes: ClassTable) -> None:
    from vsrd_ray.labelers.vsrd.priors import load_prior  # noqa: PLC0415 - with scipy's hulls

    for name in wanted.classes:
        if name not in config.box.sizes:
            known = ", ".join(config.box.sizes)
            raise InputError(
                f"--classes: nothing says how large a {name} is: give a configuration with box.sizes.{name} "
                f"(there are sizes for {known})"
            )
    for name, size in config.box.sizes.items():
        try:
            load_prior(size.body)
        except ConfigError as error:
            raise ConfigError(f"box.sizes.{name}.body: {error}") from error


def _why_no_group(index: pa.Table, config: VSRDConfig, wanted: Wanted) -> str:
    settings, classes = config.grouping, " or ".join(wanted.classes)
    if len(empty_frames(index, wanted.classes)) == len(readable_frames(index)):
        return f"no frame shows a {classes}; --classes chooses others"
    size = f"a {classes} of at least {settings.min_area} px and {settings.min_box_side} px across"
    if settings.kind == "scene":
        return f"no frame shows {size}; --set grouping.min_area=N asks for less"
    return (
        f"no frame with {size} has {settings.num_sources} frames around it that share its instances; "
        "--set grouping.num_sources=N asks for fewer"
    )


def _build(config: VSRDConfig, device: str) -> Labeler:
    from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler  # noqa: PLC0415 - torch takes two seconds

    return VSRDLabeler(config, device)


def _resources(config: VSRDConfig) -> Resources:
    """A day for a batch where there are volumetric steps."""
    seconds = _SECONDS_WITH_STEPS if config.schedule.steps else _SECONDS
    return Resources(seconds_a_batch=seconds, gpu_batch=_GPU_BATCH)


def _commands() -> "tuple[click.Command, ...]":
    from vsrd_ray.labelers.vsrd.commands import annotate, sample, train_prior, visualize  # noqa: PLC0415 - click

    return annotate, sample, train_prior, visualize


def _solids(config: VSRDConfig) -> Solids:
    from vsrd_ray.labelers.vsrd.shapes import LabelBodies  # noqa: PLC0415 - with torch

    return LabelBodies(config).solids


SPEC = LabelerSpec(
    name="vsrd",
    summary="3D boxes from 2D instance masks: shape bodies or volumetric silhouettes fitted to outlines (VSRD)",
    config=VSRDConfig,
    writes=("boxes",),
    needs=_needs,
    plan=_plan,
    build=_build,
    classes=("car",),
    check=_check,
    why_no_group=_why_no_group,
    resources=_resources,
    commands=_commands,
    solids=_solids,
)
