"""The density networks: images to feature maps, and points with them to densities.

Shapes: V views, P points, C channels, H x W pixels. Frames: `world` any in which all views are posed. Metres.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrd_ray.labelers.density.networks.config import NetworkSettings, Role
from vsrd_ray.labelers.density.networks.decoder import Decoder
from vsrd_ray.labelers.density.networks.features import NUM_CODES, point_features
from vsrd_ray.labelers.density.networks.heads import StudentHead, TeacherHead
from vsrd_ray.training.backbone import ResNet


@dataclass(frozen=True)
class EncodedViews:
    """Posed images as the network sees them; the first one is the student's."""

    feature_maps: Tensor  # [V, C, H, W]
    T_world_cam: Tensor  # [V, 4, 4]
    K_norm: Tensor  # [V, 3, 3], image edges at -1 and 1


@dataclass(frozen=True)
class PointDensity:
    """What a head says of points."""

    logit: Tensor  # [P]; density is its softplus
    unseen: Tensor  # [P, V] bool: the view does not see the point
    weights: Tensor | None = None  # [P, V], of the views, by the teacher

    @property
    def density(self) -> Tensor:
        """Density [P], per metre."""
        return nn.functional.softplus(self.logit)


class DensityNetwork(nn.Module):
    """An encoder with a student's head, a teacher's or both."""

    def __init__(self, settings: NetworkSettings, *, roles: tuple[Role, ...]) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = ResNet(settings.backbone, settings.norm, settings.width)
        self.decoder = Decoder(self.backbone.channels, settings.decoder_channels, settings.num_features)
        inputs = settings.num_features + NUM_CODES
        self.student = StudentHead(inputs, settings.student_hidden) if "student" in roles else None
        self.teacher = (
            TeacherHead(inputs, settings.teacher_hidden, settings.teacher_fused) if "teacher" in roles else None
        )

    def encode(
        self,
        images: Tensor,  # [V, 3, H, W], colours in [-1, 1]
        *,
        flipped: Tensor | None = None,  # [V] bool
    ) -> Tensor:
        """Feature maps [V, C, H, W]; flipped ones are of the mirrored image, mirrored back."""
        levels = self.decoder(self.backbone(_flip(images, flipped)))
        features = self.decoder.output(levels[0])[..., : images.shape[-2], : images.shape[-1]]
        return _flip(features, flipped)

    def density(
        self,
        points: Tensor,  # [P, 3] in `world`
        views: EncodedViews,
        role: Role,
        *,
        dropped: Tensor | None = None,  # [P, V] bool
    ) -> PointDensity:
        """The density at points by one of the heads.

        Args:
            points: in `world`.
            views: those whose features are looked up; the student looks at the first one alone.
            role: whose head.
            dropped: views that the teacher must not use for a point, though they see it; none by default.

        Raises:
            ValueError: the network has no such head.
        """
        head = self.student if role == "student" else self.teacher
        if head is None:
            raise ValueError(f"this network has no {role}'s head")
        features, unseen = point_features(
            points,
            views.feature_maps,
            views.T_world_cam,
            views.K_norm,
            near=self.settings.near,
            far=self.settings.far,
        )
        if isinstance(head, StudentHead):
            return PointDensity(head(features), unseen)
        logit, weights = head(features, unseen if dropped is None else unseen | dropped)
        return PointDensity(logit, unseen, weights)


def _flip(images: Tensor, flipped: Tensor | None) -> Tensor:
    return images if flipped is None else torch.where(flipped[:, None, None, None], images.flip(-1), images)
