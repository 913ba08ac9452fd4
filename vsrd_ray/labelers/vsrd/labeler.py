"""The VSRD labeler: frame groups in, one box an instance out; outlines on the CPU, fits on the device."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from vsrd_ray.data.groups import FrameGroup, GroupFrames, of_instances
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.geometry.cameras import box_iou, clip_boxes, project_boxes
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.vsrd.bodyfit import BodyFit, fit_bodies
from vsrd_ray.labelers.vsrd.confidence import body_confidences
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.fitted import Fitted, Known, by_suggestion, places_of, rows_of
from vsrd_ray.labelers.vsrd.groupbodies import Evidence, Found, GroupBodies, evidence
from vsrd_ray.labelers.vsrd.joins import Piece, Suggestion, TrackViews, believed, suggestions, whole
from vsrd_ray.labelers.vsrd.movers import Motions, common_inset, find_road, fit_motions
from vsrd_ray.labelers.vsrd.observations import (
    Expectations,
    Observations,
    observe,
    stacked,
)
from vsrd_ray.labelers.vsrd.optimise import Start, optimise
from vsrd_ray.labelers.vsrd.parameters import BoxParameters, BoxRanges
from vsrd_ray.labelers.vsrd.priors import load_prior
from vsrd_ray.labelers.vsrd.residual import FieldStart, body_start, random_start
from vsrd_ray.labelers.vsrd.sizes import are_too_small
from vsrd_ray.labelers.vsrd.targets import Targets, build_targets, draw_rays
from vsrd_ray.labelers.vsrd.unseen import look, ought_to_show
from vsrd_ray.labelers.vsrd.way import Way, with_confidences
from vsrd_ray.labels.boxes.fits import BoxFit, Motion
from vsrd_ray.labels.boxes.rows import label_rows

T = TypeVar("T")

# What a fit of bodies takes at most for each start, instance and view, bytes, and the share of free GPU memory to use.
_BYTES_A_VIEW = 120_000
_MEMORY_SHARE = 0.5
# Bodies that are believed so much tell how high the camera is over the road.
_TRUSTED = 0.8


class VSRDLabeler:
    """Fits boxes to instance masks: bodies to their outlines, and on that or alone volumetric silhouettes (VSRD)."""

    def __init__(self, config: VSRDConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)
        self._priors = {size.body: load_prior(size.body) for size in config.box.sizes.values()}
        self._fields: FieldStart | None = None

    def setup(self) -> None:
        """Make sure of the device, and train the start of the residual fields where there are any; once.

        Raises:
            RuntimeError: there is no such device; an AssertionError from a torch without CUDA.
        """
        torch.empty(0, device=self.device)
        if self.config.schedule.steps and self._fields is None:
            self._fields = self._field_start()

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """Outlines of the group's instances and, for volumetric steps, their refined masks."""
        T_world_ref = rigid.levelled_at(group.views[0].T_world_cam)
        observations = observe(group, group.plan.instance_ids, self.config.start, T_world_ref=T_world_ref)
        targets = build_targets(group, self.config.masks, dtype=torch.float32) if self.config.schedule.steps else None
        may_move = self.config.motion.fit and not self.config.schedule.steps
        way = Way.of(group, T_world_ref) if may_move else None
        suggested = suggestions(group) if way is not None and self.config.grouping.kind == "scene" else []
        return PreparedGroup.of(group, Evidence(observations, targets, way, suggested, look(group)))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        """Fit the group's instances; those that no view shows well enough get no box.

        Args:
            prepared: of `prepare`.
            seed: of the run; together with the group's id it decides every random number.
            trace: called with losses and boxes at each volumetric step or, without such steps, with costs and bodies
                at each step of their fit.

        Raises:
            FloatingPointError: if the optimisation ended in numbers that are not finite.
        """
        bodies = self.bodies(prepared, trace=None if self.config.schedule.steps else trace)
        return self.label_bodies(prepared, bodies, seed=seed, trace=trace)

    def output(self, found: list[BoxFit], prepared: PreparedGroup, provenance: Provenance) -> Output:
        """The boxes as rows of the kind `boxes`: one for each box and frame in which its mask is seen."""
        rows = label_rows(
            found,
            prepared,
            labeler=provenance.labeler,
            config_hash=provenance.config_hash,
            seed=provenance.seed,
        )
        return {"boxes": rows}

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[list[BoxFit] | Exception]:
        """What `label` makes of each group, but with the bodies of all groups fitted at once where that is faster.

        On a GPU, with as many instances at a time as its free memory takes; on the CPU group by group, so that not even
        rounding depends on a group's company. Of a group that fails, the error.
        """
        if self.device.type == "cpu":
            return [_outcome(self.label, group, seed=seed) for group in prepared]
        fits = self._fit_together([self._on_device(group) for group in prepared])
        return [_outcome(self._label, group, fit, seed=seed) for group, fit in zip(prepared, fits, strict=True)]

    def _label(self, prepared: PreparedGroup, fit: BodyFit, *, seed: int) -> list[BoxFit]:
        own, found = self._whole(prepared, fit), evidence(prepared).suggestions
        bodies = self._with_motions(prepared, own, self._suggested(prepared, found) if found else None, found)
        return self.label_bodies(prepared, bodies, seed=seed)

    def bodies(self, prepared: PreparedGroup, *, trace: TraceSink | None = None) -> GroupBodies:
        """The bodies of a group's tracks; the first step of `label`."""
        found = evidence(prepared).suggestions
        if not found:
            return self._with_motions(prepared, self._whole(prepared, self._fit(*self._on_device(prepared), trace)))
        suggested = self._suggested(prepared, found)
        sure = believed(found, by_suggestion(found, suggested.standing.misfits.tolist()))
        rows = [row for row in range(len(prepared.plan.instance_ids)) if row not in rows_of(sure)]
        fitted = suggested.part(places_of(sure, found))
        if rows:
            observations, expectations = self._on_device(prepared)
            others = torch.tensor(rows)
            standing = self._fit(observations.part(others), expectations.part(others), trace)
            fitted = self._whole(prepared, standing, rows=rows).with_others(fitted)
        unsure = [suggestion for suggestion in found if rows_of(sure).isdisjoint(suggestion.rows)]
        return self._with_motions(prepared, fitted, suggested.part(places_of(unsure, found)), unsure)

    def _with_motions(
        self,
        prepared: PreparedGroup,
        fitted: Fitted,
        suggested: Fitted | None = None,
        found: Sequence[Suggestion] = (),
    ) -> GroupBodies:
        """Bodies that stand, and the motions of those that do not; and of ids that are one object, one body.

        Args:
            prepared: the group.
            fitted: its tracks.
            suggested: those of suggestions.
            found: the suggestions.
        """
        way, standing = evidence(prepared).way, fitted.standing
        if way is None:
            return GroupBodies.of(standing, fitted.tracks, fitted.views)
        stands = (body_confidences(standing) > _TRUSTED) & (standing.misfits < self.config.motion.min_misfit)
        positions = torch.as_tensor(way.positions_ref).to(standing.locations)
        known = Known(find_road(standing, trusted=stands, way=positions), common_inset(standing, trusted=stands))
        motions = self._motions_of(fitted, known)
        if found and suggested is not None:
            misfits = by_suggestion(found, self._motions_of(suggested, known).misfits(suggested.standing).tolist())
            own = dict(zip((track[0].row for track in fitted.tracks), motions.misfits(standing).tolist(), strict=True))
            limit = self.config.labels.moving_misfit * motions.roughness
            if kept := believed(found, misfits, own, limit=limit):
                replaced = rows_of(kept)
                others = [n for n, track in enumerate(fitted.tracks) if track[0].row not in replaced]
                places = [len(fitted.tracks) + place for place in places_of(kept, found)]
                fitted = fitted.with_others(suggested).part([*others, *places])
                motions = self._motions_of(fitted, known)
        return GroupBodies.of(fitted.standing, fitted.tracks, fitted.views, motions)

    def _whole(self, prepared: PreparedGroup, standing: BodyFit, rows: list[int] | None = None) -> Fitted:
        """The tracks of all instances, or of those in some rows, as their ids have them."""
        observations, expectations = self._on_device(prepared)
        tracks, seen = whole(prepared), evidence(prepared).observations.seen.numpy()
        if rows is not None:
            chosen = torch.tensor(rows)
            observations, expectations = observations.part(chosen), expectations.part(chosen)
            tracks = [tracks[row] for row in rows]
        views = TrackViews.of(prepared, tracks, seen, count=seen.shape[1])
        return Fitted(tracks, views, observations, expectations, standing)

    def _suggested(self, prepared: PreparedGroup, found: Sequence[Suggestion]) -> Fitted:
        """The tracks of suggestions, one after the other."""
        tracks, observed = [track for one in found for track in one.tracks], evidence(prepared).observations
        views = TrackViews.of(prepared, tracks, observed.seen.numpy(), count=self.config.grouping.num_views)
        observations = views.gather(observed).to(self.device)
        expectations = self._on_device(prepared)[1].part(torch.tensor([track[0].row for track in tracks]))
        return Fitted(tracks, views, observations, expectations, self._fit(observations, expectations))

    def _motions_of(self, fitted: Fitted, known: Known) -> Motions:
        return fit_motions(
            fitted.observations,
            fitted.expectations,
            fitted.standing,
            ground=known.road,
            inset=known.inset,
            start=self.config.start,
            settings=self.config.motion,
            softness=self.config.masks.softness,
        )

    def _on_device(self, prepared: PreparedGroup) -> tuple[Observations, Expectations]:
        """What the group's instances look like, and what is known of their classes."""
        sizes = [self.config.box.sizes[name] for name in prepared.class_names]
        priors = [self._priors[size.body] for size in sizes]
        observations = evidence(prepared).observations.to(self.device)
        return observations, Expectations.of(sizes, priors, device=self.device)

    def _fit(self, observations: Observations, expectations: Expectations, trace: TraceSink | None = None) -> BodyFit:
        softness = self.config.masks.softness
        return fit_bodies(observations, expectations, self.config.start, softness=softness, trace=trace)

    def _fit_together(self, observed: list[tuple[Observations, Expectations]]) -> list[BodyFit]:
        if not observed:
            return []
        most = max(observations.seen.shape[1] for observations, _ in observed)
        observations = stacked([one.with_views(most) for one, _ in observed])
        expectations = stacked([one for _, one in observed])
        at_once = max(self._free_bytes() // (_BYTES_A_VIEW * self.config.start.headings * most), 1)
        parts = [slice(start, start + at_once) for start in range(0, len(observations.seen), at_once)]
        fit = stacked([self._fit(observations.part(part), expectations.part(part)) for part in parts])
        ends = np.cumsum([len(one.seen) for one, _ in observed]).tolist()
        return [fit.part(slice(start, end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _free_bytes(self) -> int:
        """Memory that a fit may take."""
        return int(_MEMORY_SHARE * torch.cuda.mem_get_info(self.device)[0])

    def label_bodies(
        self, prepared: PreparedGroup, bodies: GroupBodies, *, seed: int, trace: TraceSink | None = None
    ) -> list[BoxFit]:
        """The second step of `label`: boxes from the bodies of a group, after volumetric steps if there are any."""
        targets = evidence(prepared).targets
        if targets is None:
            return self._fits(prepared, bodies, bodies.found())
        group_seed = zlib.crc32(f"{seed}/{prepared.plan.group_id}".encode())
        rows = [prepared.plan.instance_ids.index(instance_id) for instance_id in targets.instance_ids]
        found = self._optimise(targets.to(self.device), bodies, rows=rows, seed=group_seed, trace=trace)
        return self._fits(prepared, bodies, found)

    def _optimise(
        self, targets: Targets, bodies: GroupBodies, *, rows: list[int], seed: int, trace: TraceSink | None
    ) -> Found:
        """Boxes after volumetric optimisation, of the instances that the target view shows well enough."""
        if not rows:
            return Found(rows, *(np.empty(shape) for shape in ((0, 3), (0, 3), (0, 3, 3), 0)))
        schedule, rendering = self.config.schedule, self.config.rendering
        rays = draw_rays(
            targets,
            num_steps=schedule.steps,
            num_rays=rendering.num_rays,
            generator=np.random.default_rng(seed),
        )
        start = self._start(targets, bodies.fit, rows)
        fit = optimise(targets, rays, start, self.config, seed=seed, trace=trace)
        return Found.of(rows, fit.boxes, fit.silhouette_losses)

    def _field_start(self) -> FieldStart:
        settings, bodies = self.config.field, [prior.body for prior in self._priors.values()]
        if settings.start == "body":
            return body_start(settings, bodies, seed=self.config.seed)
        return random_start(settings, num_bodies=len(bodies), seed=self.config.seed)

    def _start(self, targets: Targets, bodies: BodyFit, rows: list[int]) -> Start:
        if self._fields is None:
            raise RuntimeError("the residual fields have no start: call setup() before the first label()")
        if self.config.start.kind == "flat":
            boxes = BoxParameters.flat(len(rows), like=targets.K)
        else:
            ranges = BoxRanges.of(self.config.box, targets.class_names, like=targets.K)
            values = {name: getattr(bodies, name)[rows].to(targets.K) for name in ("locations", "half_extents", "yaws")}
            boxes = BoxParameters.encode(ranges, **values)
        kinds = list(self._priors)
        which = [kinds.index(self.config.box.sizes[name].body) for name in targets.class_names]
        return Start(boxes, self._fields.hypernetwork, self._fields.embeddings[which])

    def _fits(self, group: PreparedGroup, bodies: GroupBodies, found: Found) -> list[BoxFit]:
        if not all(np.isfinite(values).all() for values in found.arrays()):
            raise FloatingPointError("the optimisation ended in numbers that are not finite")
        T_world_ref = rigid.levelled_at(group.views[0].T_world_cam)
        motions = self._motions(group, bodies, T_world_ref)
        pieces = [(place, piece) for place, row in enumerate(found.rows) for piece in bodies.tracks[row]]
        boxes = found.in_world(T_world_ref)[[place for place, _ in pieces]]
        corners = np.repeat(boxes.corners()[None], len(group.label_frames), axis=0)  # [F, N, 8, 3]
        for n, (place, _) in enumerate(pieces):
            if (motion := motions.get(found.rows[place])) is not None:
                corners[:, n] = motion.boxes.corners()
        ious, order = self._match(group, [piece for _, piece in pieces], corners)
        standing, moving = (body_confidences(bodies.fit, moves=moves).numpy() for moves in (False, True))
        too_small = self._too_small(group, bodies)
        cameras = {view.frame: view.T_world_cam[:3, 3] for view in group.views}
        plan, fits = of_instances(group.plan), []
        limit = self.config.labels.moving_misfit * (1.0 if bodies.motions is None else bodies.motions.roughness)
        for (place, piece), iou, box in zip(pieces, ious, order, strict=True):
            row, track = found.rows[place], bodies.tracks[found.rows[place]]
            views = np.stack([cameras[frame] for frame in bodies.views.frames[row]])
            motion = motions.get(row)
            is_unclear = motion is None and bool(bodies.fit.misfits[row] > limit)
            is_doubtful = is_unclear or bool(too_small[row])
            if motion is not None and not is_doubtful:
                motion = with_confidences(motion, float(moving[row]), group, [part.row for part in track])
            fits.append(
                BoxFit(
                    instance_id=group.plan.instance_ids[piece.row],
                    class_name=group.class_names[piece.row],
                    box=boxes[box] if motion is None else motion.at(plan.best_frames[piece.row])[0],
                    confidence=self._confidence(
                        iou, standing[row] if motion is None else moving[row], is_doubtful=is_doubtful
                    ),
                    mean_iou_2d=float(iou),
                    num_views=int(bodies.fit.num_views[row]),
                    bearing_spread_deg=bearing_spread_deg(boxes.centers[box], views),
                    silhouette_loss=float(found.silhouette_losses[pieces[box][0]]),
                    is_moving=is_unclear or motion is not None,
                    shape=self._shape(bodies.fit, row),
                    motion=motion,
                    track_id=group.plan.instance_ids[track[0].row],
                    span=None if len(track) == 1 else (piece.first, piece.last),
                )
            )
        return self._shown(group, bodies, fits)

    def _shown(self, group: PreparedGroup, bodies: GroupBodies, fits: list[BoxFit]) -> list[BoxFit]:
        """The same, with the frames in which they have no mask but ought to be visible."""
        sights = evidence(group).sights
        if not sights:
            return fits
        return ought_to_show(fits, group, sights, min_area=self.config.grouping.min_area)

    def _motions(self, group: PreparedGroup, bodies: GroupBodies, T_world_ref: np.ndarray) -> dict[int, Motion]:
        """Motions over all labelled frames of those instances that move, by their rows."""
        if bodies.motions is None:
            return {}
        way = evidence(group).way
        assert way is not None
        return {
            row: way.motion(bodies.motions, place, T_world_ref)
            for place, row in enumerate(bodies.motions.places.tolist())
        }

    def _shape(self, fit: BodyFit, row: int) -> tuple[float, ...] | None:
        """The latents of a body; none of a box that volumetric steps have moved on from it."""
        return None if self.config.schedule.steps else tuple(fit.latents[row].tolist())

    def _too_small(self, group: GroupFrames, bodies: GroupBodies) -> np.ndarray:
        """Whether the bodies of tracks [N] bool are smaller than vehicles of their classes are."""
        sizes = [self.config.box.sizes[group.class_names[track[0].row]] for track in bodies.tracks]
        return are_too_small(bodies.fit.half_extents.numpy(), sizes)

    def _confidence(self, iou: float, confidence: float, *, is_doubtful: bool) -> float:
        """The mean 2D IoU as published where boxes start flat, else what the fit says; little where that is doubtful.

        Doubtful are silhouettes off their masks, and bodies smaller than vehicles are.
        """
        if self.config.start.kind == "flat":
            return float(iou)
        return float(min(confidence, self.config.labels.moving_confidence) if is_doubtful else confidence)

    def _match(self, group: GroupFrames, pieces: list[Piece], corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each piece's mean 2D IoU [N] over the labelled frames that show it, and the box [N] that reaches it.

        A Hungarian assignment on that mean, unless boxes keep their instances throughout (VSRD, label export).
        """
        T_cam_world = np.stack([rigid.inverse(frame.view.T_world_cam) for frame in group.label_frames])
        corners_cam = rigid.apply(T_cam_world[:, None], corners)  # [F, N, 8, 3]
        K = np.stack([frame.view.K for frame in group.label_frames])
        boxes = clip_boxes(project_boxes(corners_cam, K[:, None]), group.views[0].image_size)
        rows = [piece.row for piece in pieces]
        mask_boxes = np.stack([frame.mask_boxes_xyxy[rows] for frame in group.label_frames])
        mask_boxes[[[not piece.has(frame.view.frame) for piece in pieces] for frame in group.label_frames]] = np.nan
        ious = box_iou(boxes[:, None], mask_boxes[:, :, None])  # [F, instances, boxes]
        seen = ~np.isnan(ious)
        mean = np.where(seen, ious, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        order = np.arange(len(pieces))
        if self.config.losses.matching == "hungarian":
            _, order = linear_sum_assignment(mean, maximize=True)
        return mean[np.arange(len(pieces)), order], order


def _outcome(function: Callable[..., T], *arguments: Any, **options: Any) -> T | Exception:
    """What a function returns, or the error that it raises."""
    try:
        return function(*arguments, **options)
    except Exception as error:  # whatever it is, it concerns one group alone
        return error


def bearing_spread_deg(
    center: np.ndarray,  # [3] metres, world
    cameras: np.ndarray,  # [V, 3] metres, world
) -> float:
    """Largest angle, in degrees, between the directions in which a box sees two cameras, in the ground plane."""
    bearings = np.arctan2(*(cameras - center)[:, [1, 0]].T)
    return float(np.rad2deg(np.abs(wrap_angle(bearings[:, None] - bearings)).max()))
