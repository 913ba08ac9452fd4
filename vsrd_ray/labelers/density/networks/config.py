"""Settings of the density networks: their sizes, what they are trained with, and the published quirks."""

from typing import Literal

from vsrd_ray.settings import Positive, PositiveCount, Settings
from vsrd_ray.training.settings import Backbone, Norm

Role = Literal["teacher", "student"]


class NetworkSettings(Settings):
    """How large a network is."""

    backbone: Backbone = "resnet50"
    width: Literal[8, 16, 32, 64] = 64  # channels of the backbone's first stage; torchvision's are 64
    # How the backbone's features are normalised: by their batch (as published), by statistics that stay as they were
    # loaded, or in groups of channels. With the latter two an image's features do not depend on those beside it.
    norm: Norm = "batch"
    decoder_channels: tuple[PositiveCount, PositiveCount, PositiveCount, PositiveCount, PositiveCount] = (
        64,
        64,
        64,
        128,
        256,
    )  # of levels 0 (the image's resolution) to 4
    num_features: PositiveCount = 64
    teacher_hidden: PositiveCount = 128
    teacher_fused: PositiveCount = 16
    student_hidden: PositiveCount = 64
    near: Positive = 3.0  # metres; the code of a point's depth goes from near to far
    far: Positive = 80.0
