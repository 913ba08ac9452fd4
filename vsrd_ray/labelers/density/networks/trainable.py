"""Training of the density networks, for the loop of `vsrd_ray.training`.

A group of posed images is encoded; patches of the views that are compared are rendered, coloured by the views that
give colours, and held against what was photographed. A student may learn from a teacher network or from fitted scenes
beside that. Shapes: B groups, V views, N patches, P points, H x W pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.networks.checkpoints import take
from vsrd_ray.labelers.density.networks.config import Role
from vsrd_ray.labelers.density.networks.fitted import FittedScenes, occupancy_targets, read_scenes
from vsrd_ray.labelers.density.networks.infer import depth_maps, profile
from vsrd_ray.labelers.density.networks.inputs import GroupSamples, groups_of, pieces_of
from vsrd_ray.labelers.density.networks.jitter import jittered
from vsrd_ray.labelers.density.networks.losses import color_errors, distillation, photometric, smoothness
from vsrd_ray.labelers.density.networks.model import DensityNetwork, EncodedViews, PointDensity
from vsrd_ray.labelers.density.networks.render import Rays, RenderViews, cast, points_of, render
from vsrd_ray.labelers.density.training import DensityTraining, StudentTraining, TeacherTraining
from vsrd_ray.rendering.images import pixel_grid
from vsrd_ray.rendering.sampling import disparity_distances
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location
from vsrd_ray.training.backbone import load_backbone
from vsrd_ray.training.base import Batch, Part, Piece, Sample, Term, Trainable, TrainedModel
from vsrd_ray.training.draws import Draws
from vsrd_ray.training.pieces import PieceStore, make_image

# The logit of the density from which on a point counts as occupied, .5: ln(e^.5 - 1).
_OCCUPIED_LOGIT = -0.4327521295671885
_STEREO_VIEWS = 3  # that follow the key view in a group
_FIELD_REACH = 30.0  # metres ahead, within which points are drawn for a fitted scene

S = TypeVar("S", bound=DensityTraining)


class _DensityTrainable(Trainable[S], Generic[S]):
    """What the teacher's and the student's training share."""

    role: Role = "teacher"

    def pieces(self, drives: Sequence[Drive]) -> Sequence[Piece]:
        """See `Trainable`."""
        return pieces_of(drives, self.settings)

    def make(self, piece: Piece) -> np.ndarray:
        """See `Trainable`."""
        return make_image(piece)

    def samples(self, drives: Sequence[Drive], part: Part, store: PieceStore) -> GroupSamples:
        """See `Trainable`."""
        return GroupSamples(groups_of(drives, part, self.settings), store)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Tensors stacked; the names of key frames as they are."""
        return super().collate([{k: v for k, v in one.items() if k != "key"} for one in samples]) | {
            "keys": [one["key"] for one in samples]
        }

    def compile(self, model: nn.Module) -> None:
        """The encoder: what follows it depends on how many points are drawn."""
        assert isinstance(model, DensityNetwork)
        model.backbone.compile()
        model.decoder.compile()

    def loss(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, Term]:
        """Photometric loss and smoothness of what is rendered of each group."""
        assert isinstance(model, DensityNetwork)
        views = self._encoded(model, batch, draws)
        plans = self._rendering(batch, draws)
        parts = zip(views, plans, _each(draws), strict=True)
        return _summed([self._rendered(model, seen, plan, draws=one) for seen, plan, one in parts])

    def pictures(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, np.ndarray]:
        """Depth of the key view, and the profile in front of it."""
        assert isinstance(model, DensityNetwork)
        images = _colors(batch)[0]
        num_views = 1 if self.role == "student" else min(self.settings.rendering.encoded_views, len(images))
        maps = model.encode(images[:num_views] * 2 - 1)
        views = EncodedViews(maps, batch["T_key_cam"][0, :num_views], batch["K_norm"][0, :num_views])

        def field(points: Tensor) -> tuple[Tensor, Tensor]:
            found = [model.density(some, views, self.role) for some in points.split(65_536)]
            return torch.cat([one.density for one in found]), torch.cat([one.unseen.all(dim=1) for one in found])

        near, far = self.settings.network.near, self.settings.network.far
        pose = views.T_world_cam[0]
        depth, _ = depth_maps(field, pose, views.K_norm[0], self.settings.groups.image_size, near=near, far=far)
        inverse = (1 / depth - 1 / far) / (1 / near - 1 / far)
        free = profile(field, pose, shape=(48, 48), num_heights=16)
        return {"depth": _painted(inverse), "profile": _painted(free)}

    def _encoded(self, model: DensityNetwork, batch: Batch, draws: Draws) -> list[EncodedViews]:
        """The views that the network looks at, of each group."""
        how = self.settings.rendering
        colors = _colors(batch)
        chosen = self._chosen(colors.shape[1], draws).to(colors.device)  # [B, E]
        flipped = (draws.rand(1) < how.flip)[:, 0]
        seen = jittered(colors, draws.rand(4), strength=how.jitter) if how.jitter and model.training else colors
        some = _taken(seen, chosen)
        per_view = flipped.repeat_interleave(chosen.shape[1]) & model.training
        maps = model.encode(some.flatten(0, 1) * 2 - 1, flipped=per_view).unflatten(0, chosen.shape)
        poses, intrinsics = _taken(batch["T_key_cam"], chosen), _taken(batch["K_norm"], chosen)
        return [EncodedViews(*group) for group in zip(maps, poses, intrinsics, strict=True)]

    def _chosen(self, num_views: int, draws: Draws) -> Tensor:
        """Numbers [B, E] of the views that are encoded: the key view first."""
        how = self.settings.rendering
        pool = min(num_views - 1, _STEREO_VIEWS if how.encoded_from == "stereo" else num_views - 1)
        others = draws.randperm(pool)[:, : how.encoded_views - 1] + 1
        return torch.nn.functional.pad(others, (1, 0))

    def _rendering(self, batch: Batch, draws: Draws) -> list[tuple[Rays, Tensor, RenderViews, Tensor]]:
        """Of each group: rays, distances [R, S], the views that give colours, and true colours [N, h, w, 3]."""
        colors = _colors(batch)
        how, quirks = self.settings.rendering, self.settings.quirks
        height, width = colors.shape[-2:]
        compared, coloring = self._roles(colors.shape[1], draws)
        grid = pixel_grid((width, height), corners=quirks.corner_rays, like=colors)
        view = compared.gather(1, draws.randint(compared.shape[1], how.patches))
        corners = [draws.randint(size - how.patch_size + 1, how.patches) for size in (height, width)]
        steps = torch.arange(how.patch_size, device=colors.device)
        rows, columns = (corner[..., None] + steps for corner in corners)  # [B, N, h]
        found: list[tuple[Rays, Tensor, RenderViews, Tensor]] = []
        for group in range(len(colors)):
            row, column = rows[group][:, :, None], columns[group][:, None, :]
            of = view[group]
            uv = grid[row, column].reshape(-1, 2)
            each = of.repeat_interleave(how.patch_size**2)
            poses, intrinsics = batch["T_key_cam"][group], batch["K_norm"][group]
            rays = cast(uv, poses[each], intrinsics[each])
            true = colors[group][of[:, None, None], :, row, column]
            some = coloring[group]
            views = RenderViews(colors[group][some], poses[some], intrinsics[some])
            found.append((rays, self._distances(len(uv), draws.generators[group]).to(colors), views, true))
        return found

    def _roles(self, num_views: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Numbers of the views that are compared, [B, C], and of those that give colours, [B, C']."""
        wanted = self.settings.rendering.view_sets
        if wanted is None:
            shuffled = draws.randperm(num_views)
            return shuffled[:, num_views // 2 :], shuffled[:, : num_views // 2]
        sets = _crossed(num_views, len(self.settings.groups.offsets)) if wanted == "crossed" else wanted
        if len(sets[0]) != len(sets[1]) or max(map(max, sets)) >= num_views:
            raise InputError(f"rendering.view_sets {wanted}: expected two equal sets of a group's {num_views} views")
        pair = torch.tensor(sets, device=draws.device)
        swapped = draws.randint(2, 1)[:, 0]
        return pair[swapped], pair[1 - swapped]

    def _distances(self, num_rays: int, generator: torch.Generator) -> Tensor:
        ends = torch.full((num_rays,), self.settings.network.near), torch.full((num_rays,), self.settings.network.far)
        return disparity_distances(*ends, num_samples=self.settings.rendering.samples, generator=generator)

    def _rendered(
        self,
        model: DensityNetwork,
        views: EncodedViews,
        plan: tuple[Rays, Tensor, RenderViews, Tensor],
        *,
        draws: Draws,
    ) -> dict[str, Term]:
        """The terms of one group."""
        rays, distances, coloring, true = plan
        weights, shape = self.settings.losses, true.shape[:-1]
        found: list[PointDensity] = []

        def field(points: Tensor) -> tuple[Tensor, Tensor]:
            found.append(self._density(model, points, views, draws))
            return found[0].density, found[0].unseen.all(dim=1)

        rendered = render(field, rays, distances, coloring)
        invalid, depth = rendered.invalid.reshape(shape), rendered.depth.reshape(shape)
        errors = color_errors(rendered.colors.reshape(*shape, -1, 3), true)
        count = invalid.numel()
        twice = 2.0 if self.settings.quirks.photometric_twice else 1.0
        terms = {
            "photometric": Term(photometric(errors, invalid) * count, count, weights.photometric * twice),
            "smoothness": Term(smoothness(depth, true, invalid) * count, count, weights.smoothness),
            "invalid": Term(invalid.float().sum(), count, 0.0),
        }
        return terms | self._beside(model, points_of(rays, distances).reshape(-1, 3), views, found[0])

    def _density(self, model: DensityNetwork, points: Tensor, views: EncodedViews, draws: Draws) -> PointDensity:
        """The density that is rendered."""
        chance = self.settings.rendering.view_dropout
        dropped = None
        if chance and model.training and len(views.feature_maps) > 1:
            drawn = draws.rand(len(points), len(views.feature_maps) - 1)[0]
            dropped = nn.functional.pad(drawn < chance, (1, 0))
        return model.density(points, views, "teacher", dropped=dropped)

    def _beside(
        self, model: DensityNetwork, points: Tensor, views: EncodedViews, rendered: PointDensity
    ) -> dict[str, Term]:
        """Further terms of one group."""
        del model, points, views, rendered
        return {}

    def _started(self, network: DensityNetwork) -> DensityNetwork:
        if self.settings.backbone_weights:
            load_backbone(network.backbone, Path(self.settings.backbone_weights))
        return network


class TeacherTrainable(_DensityTrainable[TeacherTraining]):
    """The multi-view teacher, from posed images alone."""

    role = "teacher"

    def model(self, teacher: Any) -> nn.Module:
        """See `Trainable`.

        Raises:
            InputError: a teacher is given.
        """
        if teacher is not None:
            raise InputError("--teacher: the teacher learns from images alone: leave it out, or train density_student")
        return self._started(DensityNetwork(self.settings.network, roles=("teacher",)))


class StudentTrainable(_DensityTrainable[StudentTraining]):
    """The single-view student: from colours, from a teacher network, or from fitted scenes."""

    role = "student"

    def __init__(self, settings: StudentTraining) -> None:
        super().__init__(settings)
        self.scenes: FittedScenes | None = None
        self.has_teacher = False

    def teacher(self, location: Location) -> Any:
        """Fitted scenes, where the folder is of a labelling run; else a trained network."""
        return read_scenes(location) if RunPaths(location).manifest.exists() else super().teacher(location)

    def model(self, teacher: Any) -> nn.Module:
        """See `Trainable`; with a teacher network the student shares its encoder."""
        if isinstance(teacher, FittedScenes):
            self.scenes = teacher
        if not isinstance(teacher, TrainedModel):
            return self._started(DensityNetwork(self.settings.network, roles=("student",)))
        self.has_teacher = True
        network = DensityNetwork(self.settings.network, roles=("teacher", "student"))
        own = {name: value for name, value in network.state_dict().items() if name.startswith("student.")}
        take(network, {**own, **teacher.state}, source="--teacher")
        if self.settings.trained == "head":
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(name.startswith("student."))
        return network

    def loss(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, Term]:
        """As the teacher's, with distillation; or, where there are fitted scenes, agreement with these alone."""
        if self.scenes is None:
            return super().loss(model, batch, draws)
        assert isinstance(model, DensityNetwork)
        views = self._encoded(model, batch, draws)
        drawn = draws.rand(self.settings.losses.field_points, 3)
        parts = zip(views, batch["keys"], batch["T_world_key"], drawn, strict=True)
        return _summed([self._agreement(model, *part) for part in parts])

    def _agreement(
        self, model: DensityNetwork, views: EncodedViews, key: tuple[str, int], T_world_key: Tensor, drawn: Tensor
    ) -> dict[str, Term]:
        """Cross-entropy of points in the key view's frustum, half of them even in depth, half in inverse depth."""
        assert self.scenes is not None
        near, far = self.settings.network.near, _FIELD_REACH
        even = near + (far - near) * drawn[:, 2]
        inverse = 1 / (1 / near + (1 / far - 1 / near) * drawn[:, 2])
        depth = torch.where(torch.arange(len(drawn), device=drawn.device) % 2 == 0, even, inverse)
        uv = 2 * drawn[:, :2] - 1
        rays = nn.functional.pad(uv, (0, 1), value=1.0) @ torch.inverse(views.K_norm[0]).T
        points = rays * depth[:, None]
        target, weight = occupancy_targets(
            self.scenes.of(*key).states_at(points, T_world_key), unseen_weight=self.settings.losses.unseen
        )
        logit = model.density(points, views, "student").logit - _OCCUPIED_LOGIT
        each = nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
        known = (weight == 1).to(weight)
        right = ((logit > 0) == (target > 0)).to(weight)
        return {
            "field": Term((each * weight).sum(), weight.sum(), self.settings.losses.field),
            "accuracy": Term((right * known).sum(), known.sum(), 0.0),
        }

    def _chosen(self, num_views: int, draws: Draws) -> Tensor:
        if self.has_teacher:
            return super()._chosen(num_views, draws)
        return torch.zeros(len(draws), 1, dtype=torch.int64)

    def _density(self, model: DensityNetwork, points: Tensor, views: EncodedViews, draws: Draws) -> PointDensity:
        if self.settings.quirks.teacher_renders and model.teacher is not None:
            return super()._density(model, points, views, draws)
        return model.density(points, views, "student")

    def _beside(
        self, model: DensityNetwork, points: Tensor, views: EncodedViews, rendered: PointDensity
    ) -> dict[str, Term]:
        if model.teacher is None:
            return {}
        student, teacher = (model.density(points, views, role) for role in ("student", "teacher"))
        visible = ~student.unseen[:, 0]
        count = visible.sum()
        if not count:
            return {"distillation": Term(student.logit.sum() * 0, 0.0, self.settings.losses.distillation)}
        mean = distillation(student.logit[visible], teacher.logit[visible])
        return {"distillation": Term(mean * count, count, self.settings.losses.distillation)}


def _crossed(num_views: int, num_frames: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Views of cameras, each in so many frames, as two sets, like the fields of a chessboard."""
    odd = [(view // num_frames + view % num_frames) % 2 for view in range(num_views)]
    one, other = (tuple(view for view in range(num_views) if odd[view] == color) for color in (0, 1))
    return one, other


def _colors(batch: Batch) -> Tensor:
    """Images [B, V, 3, H, W] in [0, 1]."""
    return batch["images"].float() / 255


def _taken(values: Tensor, chosen: Tensor) -> Tensor:
    """Values [B, E, ...] of the chosen [B, E] of values [B, V, ...]."""
    return values[torch.arange(len(values), device=values.device)[:, None], chosen.to(values.device)]


def _each(draws: Draws) -> list[Draws]:
    return [Draws([one], draws.device) for one in draws.generators]


def _summed(groups: Sequence[dict[str, Term]]) -> dict[str, Term]:
    """Terms of several groups as those of one batch."""
    return {
        name: Term(
            torch.stack([group[name].sum for group in groups]).sum(),
            sum(torch.as_tensor(group[name].count, dtype=torch.float32) for group in groups),
            groups[0][name].weight,
        )
        for name in groups[0]
    }


def _painted(values: Tensor) -> np.ndarray:
    """An image [H, W, 3] uint8, BGR, of values from 0 to 1."""
    return cv2.applyColorMap((255 * values.clamp(0, 1)).byte().cpu().numpy(), cv2.COLORMAP_MAGMA)
