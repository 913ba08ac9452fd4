"""What the house knows of the labeler of masks: nothing here imports torch."""

from pathlib import Path

import pyarrow as pa

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.data.index import readable_frames
from vsrd_ray.errors import ConfigError
from vsrd_ray.labelers.base import Labeler, LabelerSpec, Needs, Resources, Wanted
from vsrd_ray.labelers.masks.config import MasksConfig
from vsrd_ray.labelers.masks.names import ImageGroupPlan, names_of_model
from vsrd_ray.perception.weights import FILES

_IMAGE_BYTES = 2**21  # of one image, decoded, about


def _plan(drive: Drive, index: pa.Table, config: MasksConfig, wanted: Wanted) -> list[ImageGroupPlan]:
    frames, size = readable_frames(index), config.frames_a_group
    return [
        ImageGroupPlan(
            group_id=f"{drive.name}-{drive.camera.name}-{some[0]:010d}",
            sequence=drive.name,
            camera=drive.camera.name,
            target_frame=some[0],
            source_frames=tuple(some[1:]),
            label_frames=tuple(some),
            classes=wanted.classes,
        )
        for some in (frames[start : start + size] for start in range(0, len(frames), size))
    ]


def _check(config: MasksConfig, wanted: Wanted, classes: ClassTable) -> None:
    from vsrd_ray.perception.models import check_models  # noqa: PLC0415 - torch takes two seconds

    if not config.model:
        raise ConfigError("masks are made by a model of yours: --set model=FOLDER names the folder of its weights")
    if Path(config.model).suffix in FILES and config.detector:
        raise ConfigError(f"model={config.model} finds objects itself: leave detector out")
    names_of_model(config, wanted.classes, check_models(config.model, config.detector or None))


def _build(config: MasksConfig, device: str) -> Labeler:
    from vsrd_ray.labelers.masks.labeler import MaskLabeler  # noqa: PLC0415 - torch takes two seconds

    return MaskLabeler(config, device)


SPEC = LabelerSpec(
    name="masks",
    summary="instance masks of images, by a detector or segmenter of yours",
    config=MasksConfig,
    writes=("masks",),
    needs=lambda config: Needs(layers=(IMAGES,)),
    plan=_plan,
    build=_build,
    classes=("car", "truck", "bus"),
    check=_check,
    resources=lambda config: Resources(payload_bytes=_IMAGE_BYTES * config.frames_a_group),
)
