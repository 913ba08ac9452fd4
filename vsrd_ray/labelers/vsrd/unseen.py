"""Where an object ought to be visible although it has no mask: what the pixels of its frame leave open.

A detector misses objects that are there. One that is fitted must be visible where its box lies in the image and nothing
is known to hide it: another's mask, or a surface that may stand in front. Ground and sky never do.

Shapes: H x W pixels.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, IS_INSTANCE, ClassTable
from vsrd_ray.data.drive import MASKS, View
from vsrd_ray.data.groups import FrameGroup, GroupFrames, of_instances
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.geometry.cameras import clip_boxes, project_boxes
from vsrd_ray.geometry.outlines import outline_areas
from vsrd_ray.labels.boxes.fits import BoxFit

# One of so many pixels is kept, in both directions.
_STRIDE = 4
# Values of sights beside feet: nothing is known to hide an object at the pixel, or something else does.
_OPEN, _TAKEN = -1, np.iinfo(np.int16).max
# A mask of a class that is easily taken for the object's is its own unless its foot is lower than the box's by more
# than these px and share of the box's height in the image.
_FOOT_PX, _FOOT_SHARE = 4.0, 0.1
# The least share of a box in the image that has to be open.
_LEAST_OPEN = 0.25
# What is seen in a few frames is doubted where it has no mask in so many of all frames that should show it, most of it
# open: no detector misses an object so often. Its confidence is no more than this.
_CLEARLY_OPEN, _MOST_MISSING, _DOUBTFUL = 0.5, 0.7, 0.15


@dataclass(frozen=True)
class Sight:
    """What a frame leaves open, sampled and packed."""

    packed: bytes  # int16: open, taken, or the foot of a mask that may be of a wanted class, px
    shape: tuple[int, int]

    @staticmethod
    def of(
        instance_map: np.ndarray,  # [H, W] uint16
        classes: ClassTable,
        wanted: Collection[str],
    ) -> "Sight":
        """The sight of a frame for objects of some classes."""
        sampled = instance_map[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE]
        numbers = {classes.by_name[name].number for name in wanted}
        alike = {
            one.number
            for one in classes
            for name in wanted
            if one.name in classes.by_name[name].easily_taken_for or name in one.easily_taken_for
        }
        values = np.full(sampled.shape, _TAKEN, dtype=np.int16)
        of_class = sampled // IDS_PER_CLASS
        is_instance = IS_INSTANCE[sampled]
        values[~is_instance & np.isin(of_class, [*classes.never_in_front, *numbers])] = _OPEN
        for instance_id in np.unique(sampled[is_instance & np.isin(of_class, list(alike - numbers))]).tolist():
            rows = np.flatnonzero((instance_map == instance_id).any(axis=1))
            values[sampled == instance_id] = rows[-1]
        return Sight(zlib.compress(values.tobytes(), level=1), (len(sampled), len(sampled[0])))

    def areas(self, box: UprightBoxes, view: View) -> tuple[float, float]:
        """Px of the outline of a box, without batch axes, in the view, and of what may show it there."""
        T_cam_world = rigid.inverse(view.T_world_cam)
        corners = rigid.apply(T_cam_world, box.corners())
        width, height = view.image_size
        left, top, right, bottom = clip_boxes(project_boxes(corners, view.K), view.image_size)
        u, v = np.arange(_STRIDE // 2, width, _STRIDE), np.arange(_STRIDE // 2, height, _STRIDE)
        columns, rows = np.flatnonzero((u >= left) & (u <= right)), np.flatnonzero((v >= top) & (v <= bottom))
        if not len(columns) or not len(rows):
            return 0.0, 0.0
        pixels = np.stack(np.meshgrid(u[columns], v[rows]), axis=-1).astype(np.float64)
        hits = _hits(pixels, box, view)
        values = np.frombuffer(zlib.decompress(self.packed), dtype=np.int16).reshape(self.shape)
        foot = bottom + _FOOT_PX + _FOOT_SHARE * (bottom - top)
        is_open = hits & (values[np.ix_(rows, columns)] <= foot)
        return float(np.count_nonzero(hits)) * _STRIDE**2, float(np.count_nonzero(is_open)) * _STRIDE**2


def look(group: FrameGroup) -> dict[int, Sight]:
    """What each frame in which an instance of the group may be visible without a mask leaves open."""
    plan = of_instances(group.plan)
    frames = {frame for some in (*plan.gap_frames, *plan.watched_frames) for frame in some}
    wanted = set(group.class_names)
    return {
        frame: Sight.of(group.read(MASKS, plan.camera, frame), group.drive.classes, wanted) for frame in sorted(frames)
    }


def ought_to_show(
    fits: Sequence[BoxFit], group: GroupFrames, sights: Mapping[int, Sight], *, min_area: float
) -> list[BoxFit]:
    """Boxes with the frames in which they have no mask, but ought to be visible; and less confidence if these are many.

    Args:
        fits: of a group.
        group: where they were fitted.
        sights: of the frames that the group's plan asks about.
        min_area: px of a mask that counts.
    """
    plan = of_instances(group.plan)
    scene = _Scene(sights, {one.view.frame: one.view for one in group.label_frames}, min_area)
    tracks: dict[int | None, list[BoxFit]] = {}
    for fit in fits:
        tracks.setdefault(fit.track_id, []).append(fit)
    shown = {track_id: _seen_shares(pieces, group) for track_id, pieces in tracks.items()}
    found = []
    for fit in fits:
        row, shares = plan.instance_ids.index(fit.instance_id), shown[fit.track_id]
        gaps, watched = (
            [frame for frame in some[row] if fit.covers(frame) and frame not in shares]
            for some in (plan.gap_frames, plan.watched_frames)
        )
        if not shares or (fit.is_moving and fit.motion is None):
            found.append(fit)
        elif watched and not fit.is_moving and scene.is_doubtful(fit, {*gaps, *watched}, num_masks=len(shares)):
            found.append(replace(fit, confidence=min(fit.confidence, _DOUBTFUL)))
        else:
            unseen = tuple(frame for frame in gaps if scene.shows(fit, frame, shares))
            found.append(replace(fit, unseen_frames=unseen))
    return found


@dataclass(frozen=True)
class _Scene:
    """Frames that are asked about."""

    sights: Mapping[int, Sight]
    views: Mapping[int, View]
    min_area: float  # px of a mask that counts

    def is_doubtful(self, fit: BoxFit, frames: Collection[int], *, num_masks: int) -> bool:
        """Whether what stands there has no mask in most frames that should show it: then there is nothing."""
        areas = [self.sights[frame].areas(fit.box, self.views[frame]) for frame in frames]
        missing = sum(open_ >= max(self.min_area, _CLEARLY_OPEN * whole) for whole, open_ in areas)
        return missing >= _MOST_MISSING * (num_masks + missing)

    def shows(self, fit: BoxFit, frame: int, shares: Mapping[int, float]) -> bool:
        """Whether an object ought to be visible in a frame without a mask of it.

        Args:
            fit: its box.
            frame: the frame.
            shares: of the box's outline that masks cover, by the frames that have one.
        """
        seen = np.array(sorted(shares))
        if fit.motion is not None and not seen[0] < frame < seen[-1]:
            return False  # where it was before and after is not known
        place = int(np.searchsorted(seen, frame))
        share = float(np.mean([shares[one] for one in seen[max(place - 1, 0) : place + 1].tolist()]))
        whole, open_ = self.sights[frame].areas(fit.at(frame)[0], self.views[frame])
        return open_ >= max(self.min_area, _LEAST_OPEN * whole) and share * whole >= self.min_area


def _seen_shares(pieces: Sequence[BoxFit], group: GroupFrames) -> dict[int, float]:
    """Of a track the shares of its box's outline that masks cover, by the frames that have one."""
    shares: dict[int, float] = {}
    for fit in pieces:
        row = group.plan.instance_ids.index(fit.instance_id)
        for one in group.label_frames:
            if one.mask_areas[row] > 0 and fit.covers(one.view.frame):
                corners = rigid.apply(rigid.inverse(one.view.T_world_cam), fit.at(one.view.frame)[0].corners())
                area = outline_areas(corners, one.view.K, one.view.image_size)
                shares[one.view.frame] = float(one.mask_areas[row] / max(area, 1.0))
    return shares


def _hits(pixels: np.ndarray, box: UprightBoxes, view: View) -> np.ndarray:
    """Whether the rays of pixels [..., 2] meet a box in front of the camera."""
    rays = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1) @ np.linalg.inv(view.K).T
    cos, sin = np.cos(box.yaws), np.sin(box.yaws)
    R_box_world = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    ahead = rays @ (R_box_world @ view.T_world_cam[:3, :3]).T
    start = R_box_world @ (view.T_world_cam[:3, 3] - box.centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (np.array([[-1.0], [1.0]]) * box.dimensions_lwh / 2 - start) / ahead[..., None, :]
    near, far = np.nanmax(ends.min(axis=-2), axis=-1), np.nanmin(ends.max(axis=-2), axis=-1)
    return far >= np.maximum(near, 0.0)
