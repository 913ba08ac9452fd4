"""Settings of the density networks' training, and how it is found. Imports no torch."""

from typing import Any, Literal

from pydantic import model_validator

from vsrd_ray.labelers.density.networks.config import NetworkSettings
from vsrd_ray.settings import Count, NonNegative, PositiveCount, Settings, Share
from vsrd_ray.training.base import Trainable, TrainableSpec, TrainingNeeds
from vsrd_ray.training.settings import TrainingSettings

_COARSEST = 32  # px of the image that make one of the smallest feature map


class GroupSettings(Settings):
    """Which images are seen together."""

    image_size: tuple[PositiveCount, PositiveCount] = (640, 192)  # (width, height), px
    # Frames beside the key frame, counted among those that have an image and a pose, of each camera.
    offsets: tuple[int, ...] = (0, 1)
    # The same of cameras that look to the sides, such as KITTI-360's fisheyes; none leaves these out.
    side_offsets: tuple[int, ...] = ()
    key_frames: str = ""  # file of lines '<drive> <position> <l or r>'; every frame of every camera without one
    validation_key_frames: str = ""  # the same for validation; held-out blocks of frames without one
    held_out: Share = 0.1
    held_out_block: PositiveCount = 20  # frames that are held out together

    @model_validator(mode="after")
    def _is_large_enough(self) -> "GroupSettings":
        if min(self.image_size) <= _COARSEST:
            raise ValueError(f"images need more than {_COARSEST} pixels a side, which the network makes one of")
        return self

    @model_validator(mode="after")
    def _begins_with_the_key_frame(self) -> "GroupSettings":
        if self.offsets[:1] != (0,) or len(set(self.offsets)) < len(self.offsets):
            raise ValueError("offsets begin with 0, the key frame's own, and name each frame once")
        if self.side_offsets and not len(set(self.side_offsets)) == len(self.side_offsets) == len(self.offsets):
            raise ValueError("side_offsets name as many frames as offsets, each once, or none")
        return self


class RenderSettings(Settings):
    """What is rendered of a group, and by whom."""

    encoded_views: PositiveCount = 3  # by the teacher: the key view and so many less one others
    encoded_from: Literal["stereo", "all"] = "stereo"  # the others are drawn from the next three views, or from all
    # Views of a group whose pixels are compared, and views that give the colours; which is which is drawn. "crossed":
    # frames of a camera, and cameras of a frame, alternate, as published for KITTI-360. Without them a random half of
    # the views gives colours.
    view_sets: tuple[tuple[Count, ...], tuple[Count, ...]] | Literal["crossed"] | None = None
    patches: PositiveCount = 32  # of a group
    patch_size: PositiveCount = 8  # px
    samples: PositiveCount = 64  # of a ray
    view_dropout: Share = 0.5  # chance that the teacher's point loses a view other than the key view
    jitter: Share = 0.2  # of brightness, contrast and saturation; half of it of the hue
    flip: Share = 0.5  # chance that the encoder sees mirrored images


class LossSettings(Settings):
    """Weights of losses."""

    photometric: NonNegative = 1.0
    smoothness: NonNegative = 1e-3
    distillation: NonNegative = 1e-2  # from a teacher network
    field: NonNegative = 1.0  # from a fitted scene
    unseen: Share = 0.2  # weight of a point that the fitted scene leaves open, which is taken for occupied
    field_points: PositiveCount = 8192  # of a group


class Quirks(Settings):
    """What the published code does otherwise than it says, each by name; all are mended where this is left alone."""

    corner_rays: bool = False  # rays through a grid whose ends are the image's edges: half a pixel off
    shifted_intrinsics: bool = False  # principal points half a pixel to the left and up
    photometric_twice: bool = False  # the photometric loss is counted twice, as "coarse" and "fine"
    teacher_renders: bool = False  # while the student is distilled, the teacher's density is rendered


class DensityTraining(TrainingSettings):
    """Everything that decides what a density network learns."""

    network: NetworkSettings = NetworkSettings()
    # File of a classifier's weights under torchvision's names, to start the backbone from.
    backbone_weights: str = ""
    groups: GroupSettings = GroupSettings()
    rendering: RenderSettings = RenderSettings()
    losses: LossSettings = LossSettings()
    quirks: Quirks = Quirks()


class TeacherTraining(DensityTraining):
    """Settings of the teacher."""

    trainable: Literal["density_teacher"] = "density_teacher"  # pyright: ignore[reportIncompatibleVariableOverride]


class StudentTraining(DensityTraining):
    """Settings of the student."""

    trainable: Literal["density_student"] = "density_student"  # pyright: ignore[reportIncompatibleVariableOverride]
    trained: Literal["all", "head"] = "all"  # with a teacher network: all of it and the student, or the student's head


def _build_teacher(settings: TeacherTraining) -> Trainable[Any]:
    from vsrd_ray.labelers.density.networks.trainable import TeacherTrainable  # noqa: PLC0415 - imports torch

    return TeacherTrainable(settings)


def _build_student(settings: StudentTraining) -> Trainable[Any]:
    from vsrd_ray.labelers.density.networks.trainable import StudentTrainable  # noqa: PLC0415 - imports torch

    return StudentTrainable(settings)


def _needs(settings: DensityTraining) -> TrainingNeeds:
    return TrainingNeeds(all_cameras=True, side_cameras=bool(settings.groups.side_offsets))


TRAINABLES = (
    TrainableSpec(
        name="density_teacher",
        summary="density from several posed images, by colours alone",
        settings=TeacherTraining,
        build=_build_teacher,
        needs=_needs,
    ),
    TrainableSpec(
        name="density_student",
        summary="density from one image, by colours, a teacher or a fitted scene",
        settings=StudentTraining,
        build=_build_student,
        needs=_needs,
    ),
)
