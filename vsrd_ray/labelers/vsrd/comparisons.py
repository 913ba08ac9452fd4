"""Bodies held against the outlines of masks: comparisons, and their derivatives with respect to what is unknown.

The silhouette of a convex solid is the convex hull of its projected vertices, that of a body the union of its solids'.
Its signed distance to a contour point, and the derivative of that, need no rays. Two kinds: `extents` holds the hull of
all vertices against the extents of the masks in a few directions, which is robust where a body is far off; `contours`
holds the silhouette against points of the masks' contours.

Shapes: S starts, N instances, V views, K directions, C contour points, P body vertices, L latents, M comparisons in a
view, D unknowns (location 3, half extents 3, latents L, inset, yaw). Box axes: x right, y down, z forward.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vsrd_ray.labelers.vsrd.bodies import SOLID_SIZES
from vsrd_ray.labelers.vsrd.config import StartSettings
from vsrd_ray.labelers.vsrd.ground import Ground
from vsrd_ray.labelers.vsrd.observations import Expectations, Observations
from vsrd_ray.labelers.vsrd.outlines import directions
from vsrd_ray.labelers.vsrd.parameters import rotations_about_y

# Points nearer to the camera's plane than this, or behind it, are seen as if they were here, metres.
_MIN_DEPTH = 0.5
# Latents stay within this many standard deviations.
_MAX_LATENT = 3.0
# Edges of masks lie inside or outside their object by no more than this, px.
_MAX_INSET = 5.0
# Largest moves of one step: metres, and radians.
_MAX_SHIFT, _MAX_TURN = 5.0, 0.5
# Contour points of a view weigh as much as this many, however many there are.
_POINTS_OF_A_VIEW = 16.0
# Of the box's heading nothing is known beforehand but this, 1 / rad^2: it keeps the equations solvable.
_YAW_PRECISION = 1e-4
# Scores lower than this are taken for it.
_LEAST_SCORE = 0.01


def usable_views(observations: Observations, settings: StartSettings) -> Tensor:
    """Views [N, V] that show enough of an instance to measure it, or the largest of those that do not."""
    boxes = observations.mask_boxes
    sides = torch.where(observations.seen, (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1), -1)
    return observations.seen & (sides >= sides.amax(dim=1, keepdim=True).clamp(max=settings.min_side))


def view_weights(observations: Observations, usable: Tensor) -> Tensor:
    """What each usable view counts [N, V]: its mask's score by that of the instance's surest mask; others 0."""
    scores = observations.scores * usable
    return scores / scores.amax(dim=1, keepdim=True).clamp(min=_LEAST_SCORE)


class Comparisons(NamedTuple):
    """M comparisons of each body with each view."""

    residuals: Tensor  # [S, N, V, M] in units of noise
    weights: Tensor  # [S, N, V, M]
    vertices: Tensor  # [S, N, V, M] int64, the vertex that makes each
    pulls: Tensor  # [S, N, V, M, 2] the residual's change with that vertex's pixel
    by_inset: Tensor  # [S, N, V, M] the residual's change with the inset of the masks' edges


class Posed(NamedTuple):
    """Bodies where they are in each view; bodies that stand still are in one place for all (V = 1)."""

    rotations: Tensor  # [S, N, V, 3, 3] R_ref_obj
    unit: Tensor  # [S, N, P, 3] in the unit box
    turned: Tensor  # [S, N, V, P, 3] metres, about the centre along the reference frame's axes
    points_cam: Tensor  # [S, N, V, P, 3] metres
    pixels: Tensor  # [S, N, V, P, 2]


class Terms(NamedTuple):
    """Bodies, and all their comparisons."""

    posed: Posed
    comparisons: Comparisons


@dataclass(frozen=True)
class Problem:
    """Outlines, and what is known beforehand, as a robust least-squares problem."""

    observations: Observations
    expectations: Expectations
    units: Tensor  # [K, 2]
    solids: tuple[slice, ...]  # of the vertices
    usable: Tensor  # [N, V] bool
    view_weights: Tensor  # [N, V] 0..1; 0 where a view is not usable
    extent_noise: Tensor  # [N, V] px
    contour_noise: Tensor  # [N, V] px
    point_weights: Tensor  # [N, V, C]
    hidden_weight: float
    clearance_weight: float
    outlier: float  # in units of noise
    mean: Tensor  # [N, D - 1] of everything but the yaw
    spread: Tensor  # [N, D - 1]
    ground: Ground | None  # what bodies stand on, where it is known

    @staticmethod
    def of(
        observations: Observations,
        expectations: Expectations,
        locations: Tensor,
        settings: StartSettings,
        *,
        ground: Ground | None = None,
    ) -> "Problem":
        """The problem of instances near some locations [N, 3], on the ground if it is given."""
        usable = usable_views(observations, settings)
        weights = view_weights(observations, usable)
        boxes = observations.mask_boxes
        sizes = (boxes[..., 2:] - boxes[..., :2]).amax(dim=-1)
        # Views of one body share its misfit: many of them count less than as many independent ones.
        repetition = observations.seen.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        num_points = observations.sampled.sum(dim=-1, keepdim=True).clamp(min=1)
        location_spread = settings.location_spread + settings.location_share * locations.norm(dim=-1, keepdim=True)
        latents = locations.new_zeros(len(locations), expectations.shapes.shape[1])
        inset = locations.new_zeros(len(locations), 1)
        ends = torch.tensor(SOLID_SIZES).cumsum(dim=0).tolist()
        return Problem(
            observations=observations,
            expectations=expectations,
            units=torch.as_tensor(directions(observations.supports.shape[-1])).to(locations),
            solids=tuple(slice(end - size, end) for end, size in zip(ends, SOLID_SIZES, strict=True)),
            usable=usable,
            view_weights=weights,
            extent_noise=(settings.extent_noise + settings.extent_noise_share * sizes) * repetition,
            contour_noise=(settings.contour_noise + settings.contour_noise_share * sizes) * repetition,
            point_weights=_POINTS_OF_A_VIEW / num_points * (observations.sampled * weights[..., None]),
            hidden_weight=settings.hidden_weight,
            clearance_weight=settings.clearance_weight,
            outlier=settings.outlier,
            mean=torch.cat([locations, expectations.half_extents_mean, latents, inset], dim=-1),
            spread=torch.cat(
                [
                    location_spread.expand_as(locations),
                    expectations.half_extents_spread,
                    torch.ones_like(latents),
                    torch.full_like(inset, settings.inset_spread),
                ],
                dim=-1,
            ),
            ground=ground,
        )

    def extents(self, x: Tensor) -> Terms:
        """Extents of the hulls of bodies `x` [S, N, D] against those of the masks, and their clearances."""
        posed = self._posed(x)
        observations, noise = self.observations, self.extent_noise[..., None]
        extents, outermost = (posed.pixels @ self.units.T).max(dim=-2)  # [S, N, V, K]
        # Masks end at pixel centres, objects half a pixel beyond.
        insets = x[..., self.num_body - 2, None, None]
        residuals = (extents - observations.supports - 0.5 - insets) / noise
        # Where the extent is not the object's own, the object reaches at least that far.
        counts = (observations.trusted | (residuals < 0)) * self.view_weights[..., None]
        pulls = (self.units / noise[..., None]).expand(*residuals.shape, 2)
        by_inset = (-1 / noise).expand_as(residuals)
        return self._with_clearances(posed, Comparisons(residuals, counts, outermost, pulls, by_inset))

    def contours(self, x: Tensor) -> Terms:
        """Silhouettes of bodies `x` [S, N, D] against points of the masks' contours, and their clearances."""
        posed = self._posed(x)
        noise = self.contour_noise[..., None]
        distances, nearest, outward = self.silhouette_distances(posed.pixels)
        distances = distances + x[..., self.num_body - 2, None, None]  # by which edges of masks lie inside
        # Where something hides the object, it may reach beyond the mask's edge.
        hidden = self.observations.hidden
        weights = torch.where(hidden, self.hidden_weight * (distances > 0), 1.0) * self.point_weights
        pulls = -outward / noise[..., None]
        by_inset = (1 / noise).expand_as(distances)
        return self._with_clearances(posed, Comparisons(distances / noise, weights, nearest, pulls, by_inset))

    def silhouette_distances(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Signed distances [S, N, V, C] px of contour points from silhouettes, positive outside.

        And which vertex each hangs on, and the direction [S, N, V, C, 2] of its growth. The distance to a convex
        polygon is the largest over all directions of the point's extent less the polygon's; a contour's own normal
        and some fixed directions stand for all. That to a union is the smallest.
        """
        points, normals = self.observations.points, self.observations.normals
        along_units, along_normals = points @ self.units.T, (points * normals).sum(dim=-1)
        best: tuple[Tensor, Tensor, Tensor] | None = None
        for solid in self.solids:
            vertices = pixels[..., solid, :]  # [S, N, V, Q, 2]
            extents, outermost = (vertices @ self.units.T).max(dim=-2)  # [S, N, V, K]
            distances, direction = (along_units - extents[..., None, :]).max(dim=-1)  # [S, N, V, C]
            own_extents, own_outermost = (vertices @ normals.transpose(-1, -2)).max(dim=-2)
            own_distances = along_normals - own_extents
            own = own_distances > distances
            distances = torch.where(own, own_distances, distances)
            nearest = solid.start + torch.where(own, own_outermost, outermost.gather(-1, direction))
            outward = torch.where(own[..., None], normals, self.units[direction])
            if best is None:
                best = distances, nearest, outward
            else:
                closer = distances < best[0]
                best = (
                    torch.where(closer, distances, best[0]),
                    torch.where(closer, nearest, best[1]),
                    torch.where(closer[..., None], outward, best[2]),
                )
        assert best is not None  # a body has solids
        return best

    @property
    def num_body(self) -> int:
        """Unknowns of a body that stands still; those of its motion come after them."""
        return self.mean.shape[1] + 1

    def cost(self, x: Tensor, terms: Terms, *, outlier: float) -> Tensor:
        """Robust costs [S, N]: of the comparisons (Geman-McClure), and of departures from what is expected."""
        residuals, weights = terms.comparisons[:2]
        ratio = (residuals / outlier).square()
        compared = (weights * outlier**2 * ratio / (1 + ratio)).sum(dim=(2, 3))
        expected = self._departures(x).square().sum(dim=-1)
        if self.ground is not None:
            residuals, weights, _ = self._feet(x)
            expected = expected + (weights * residuals.square()).sum(dim=-1)
        return compared + expected

    def linearise(self, x: Tensor, terms: Terms, *, outlier: float) -> tuple[Tensor, Tensor]:
        """Gradients [S, N, D] and Gauss-Newton matrices [S, N, D, D] of half the cost."""
        residuals, weights = terms.comparisons[:2]
        jacobian = self._jacobian(x, terms).flatten(2, 3)  # [S, N, V M, D]
        weights = weights / (1 + (residuals / outlier).square()).square()
        weighted = (jacobian * weights.flatten(2)[..., None]).transpose(-1, -2)
        gradient = (weighted @ residuals.flatten(2)[..., None])[..., 0]
        hessian = weighted @ jacobian
        if self.ground is not None:
            residuals, weights, down = self._feet(x)
            jacobian = self._of_places(x, down)
            jacobian[..., 4] += down[..., 1]  # as the centre, so the foot below it
            weighted = (jacobian * weights[..., None]).transpose(-1, -2)
            gradient = gradient + (weighted @ residuals[..., None])[..., 0]
            hessian = hessian + weighted @ jacobian
        known, beyond = self.num_body - 1, x.shape[-1] - self.num_body
        gradient[..., :known] += self._departures(x) / self.spread
        precision = torch.nn.functional.pad(self.spread.square().reciprocal(), (0, 1), value=_YAW_PRECISION)
        return gradient, hessian + torch.diag_embed(torch.nn.functional.pad(precision, (0, beyond)))

    def _feet(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far [S, N, V] bodies are below the road, in units of noise; weights; derivatives by place [..., 3]."""
        assert self.ground is not None
        centers, _ = self._placed(x)
        heights, slopes, spreads = self.ground.at(centers[..., [0, 2]])
        residuals = (centers[..., 1] + x[..., 4:5] - heights) / spreads
        down = torch.stack([-slopes[..., 0], torch.ones_like(heights), -slopes[..., 1]], dim=-1) / spreads[..., None]
        return residuals, torch.ones_like(residuals), down

    def _of_places(self, x: Tensor, by_location: Tensor) -> Tensor:
        """Derivatives [S, N, V, D] with respect to the unknowns of what hangs on centres, by those [S, N, V, 3]."""
        return torch.nn.functional.pad(by_location, (0, x.shape[-1] - 3))

    def moved(self, x: Tensor, step: Tensor) -> Tensor:
        """Unknowns after a step, both [S, N, D], neither too far nor out of their ranges."""
        low, high = self.expectations.half_extents_min, self.expectations.half_extents_max
        return torch.cat(
            [
                x[..., :3] + step[..., :3].clamp(-_MAX_SHIFT, _MAX_SHIFT),
                (x[..., 3:6] + step[..., 3:6]).clamp(low, high),
                (x[..., 6:-2] + step[..., 6:-2]).clamp(-_MAX_LATENT, _MAX_LATENT),
                (x[..., -2:-1] + step[..., -2:-1]).clamp(-_MAX_INSET, _MAX_INSET),
                x[..., -1:] + step[..., -1:].clamp(-_MAX_TURN, _MAX_TURN),
            ],
            dim=-1,
        )

    def _departures(self, x: Tensor) -> Tensor:
        return (x[..., : self.num_body - 1] - self.mean) / self.spread

    def _placed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Centres [S, N, V, 3] metres and headings [S, N, V] radians in each view, or in all of them (V = 1)."""
        return x[..., None, :3], x[..., -1:]

    def _posed(self, x: Tensor) -> Posed:
        centers, yaws = self._placed(x)
        rotations = rotations_about_y(torch.stack([yaws.cos(), yaws.sin()], dim=-1))
        latents = x[..., 6 : 6 + self.expectations.shapes.shape[1]]
        unit = self.expectations.mean_body + torch.einsum("snl,nlpi->snpi", latents, self.expectations.shapes)
        unit = unit.clamp(-1, 1)  # a body stays in its box, which it touches on all sides
        turned = (unit * x[..., None, 3:6])[:, :, None] @ rotations.transpose(-1, -2)
        T_cam_ref = self.observations.T_cam_ref
        points_ref = (turned + centers[..., None, :]).expand(-1, -1, T_cam_ref.shape[1], -1, -1)
        points_cam = torch.einsum("nvij,snvpj->snvpi", T_cam_ref[..., :3, :3], points_ref)
        points_cam = points_cam + T_cam_ref[..., None, :3, 3]
        depths = points_cam[..., 2:].clamp(min=_MIN_DEPTH)
        rays = torch.cat([points_cam[..., :2] / depths, torch.ones_like(depths)], dim=-1)
        pixels = rays @ self.observations.K[..., :2, :].transpose(-1, -2)
        return Posed(rotations, unit, turned, torch.cat([points_cam[..., :2], depths], dim=-1), pixels)

    def _with_clearances(self, posed: Posed, comparisons: Comparisons) -> Terms:
        """Terms of comparisons and of how far vertices lie from where the object can be."""
        distances, slopes = self._clearances(posed.pixels)  # [S, N, V, P], [S, N, V, P, 2]
        share = self.clearance_weight / self.extent_noise[..., None]
        every = torch.arange(distances.shape[-1], device=distances.device).expand(distances.shape)
        weights = self.view_weights[..., None].expand(distances.shape)
        clearances = Comparisons(
            distances * share, weights, every, slopes * share[..., None], torch.zeros_like(distances)
        )
        joined = (torch.cat(pair, dim=3) for pair in zip(comparisons, clearances, strict=True))
        return Terms(posed, Comparisons(*joined))

    def _clearances(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Bilinear samples [S, N, V, P] px of the clearances at pixels, and their slopes [S, N, V, P, 2]."""
        maps = self.observations.clearances.flatten(start_dim=2)  # [N, V, G G]
        size = self.observations.clearances.shape[-1]
        low, high = self.observations.crops[..., None, :2], self.observations.crops[..., None, 2:]
        scale = (size - 1) / (high - low)
        position = (pixels - low) * scale
        within = (position >= 0) & (position <= size - 1)
        position = position.clamp(0, size - 1)
        cell = position.floor().clamp(max=size - 2)
        u, v = (position - cell).unbind(dim=-1)
        first = (cell[..., 1] * size + cell[..., 0]).long()
        maps = maps.expand(len(pixels), *maps.shape)
        a, b, c, d = (maps.gather(-1, first + offset) for offset in (0, 1, size, size + 1))
        distances = torch.lerp(torch.lerp(a, b, u), torch.lerp(c, d, u), v)
        slopes = torch.stack([torch.lerp(b - a, d - c, v), torch.lerp(c - a, d - b, u)], dim=-1)
        return distances, slopes * scale * within

    def _jacobian(self, x: Tensor, terms: Terms) -> Tensor:
        """Derivatives [S, N, V, M, D] of the residuals with respect to the unknowns."""
        posed, (_, _, vertices, pulls, by_inset) = terms
        index = vertices[..., None].expand(*vertices.shape, 3)

        def of_vertices(values: Tensor) -> Tensor:  # [S, N, V or 1, P, 3] -> [S, N, V, M, 3]
            return values.expand(-1, -1, index.shape[2], -1, -1).gather(3, index)

        X, Y, Z = posed.points_cam.gather(3, index).unbind(dim=-1)
        du = pulls[..., 0] * self.observations.K[..., 0, 0, None] / Z
        dv = pulls[..., 1] * self.observations.K[..., 1, 1, None] / Z
        by_cam = torch.stack([du, dv, -(du * X + dv * Y) / Z], dim=-1)
        by_location = torch.einsum("snvmi,nvij->snvmj", by_cam, self.observations.T_cam_ref[..., :3, :3])
        by_obj = by_location @ posed.rotations
        count = len(self.expectations.shapes)
        shapes = self.expectations.shapes.transpose(1, 2)  # [N, P, L, 3]
        each = torch.arange(count, device=vertices.device)[:, None, None]
        unit = of_vertices(posed.unit[:, :, None])
        by_unit = by_obj * x[:, :, None, None, 3:6] * (unit.abs() < 1)
        by_latents = (shapes[each, vertices] @ by_unit[..., None])[..., 0]
        by_extents = by_obj * unit
        turned = of_vertices(posed.turned)
        by_yaw = by_location[..., :1] * turned[..., 2:] - by_location[..., 2:] * turned[..., :1]
        return torch.cat([by_location, by_extents, by_latents, by_inset[..., None], by_yaw], dim=-1)
