import math
from types import SimpleNamespace

import numpy as np
import pytest
import slow_losses
import torch
from hand_made import Thing, camera_pose, ious_3d, make_group

from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.config import (
    BoxSettings,
    FieldSettings,
    LossSettings,
    MaskSettings,
    RenderingSettings,
    ScheduleSettings,
    VSRDConfig,
)
from vsrd_ray.labelers.vsrd.optimise import (
    Annealed,
    Start,
    instance_field,
    match_boxes,
    optimise,
    project,
    render_silhouettes,
)
from vsrd_ray.labelers.vsrd.parameters import Boxes, BoxParameters, BoxRanges, rotations_about_y
from vsrd_ray.labelers.vsrd.residual import layer_shapes, random_start, residual_distances
from vsrd_ray.labelers.vsrd.targets import build_targets, draw_rays
from vsrd_ray.rendering.sdf import box_distance, soft_union

SMALL_FIELD = FieldSettings(embedding_size=8, hyper_width=8, hyper_layers=1, hidden_sizes=(8, 8), frequencies=3)
QUICK = VSRDConfig(
    box=BoxSettings.model_validate(
        {"sizes": {"car": {"half_extents_min": (0.6, 0.6, 1.4), "half_extents_max": (1.2, 1.2, 2.8)}}}
    ),
    field=SMALL_FIELD,
    rendering=RenderingSettings(num_rays=150, coarse_samples=24, fine_samples=16, bounds_margin=1.0),
    losses=LossSettings(matching="identity"),
    schedule=ScheduleSettings(steps=60, residual_from=60, sigma=(0.3, 0.1), temperature=(0.3, 0.1)),
)
SIZE_LWH = (4.2, 1.74, 1.6)
THINGS = (Thing(26001, (14.0, 2.6, 0.8), 0.3, SIZE_LWH), Thing(26002, (12.0, -3.2, 0.8), 2.0, SIZE_LWH))
POSES = [
    camera_pose(2, 0, pitch=0.02),
    camera_pose(3, 7, heading=-0.6),
    camera_pose(3, -8, heading=0.6, roll=0.02),
]
STEP = Annealed(sigma=0.1, temperature=0.1, cosine_ratio=1.0)


def with_schedule(config, **changes):
    return config.model_copy(update={"schedule": config.schedule.model_copy(update=changes)})


def targets_on(device):
    group, settings = make_group(THINGS, POSES), MaskSettings(softness=2.0)  # the images are small
    return build_targets(group, settings, dtype=torch.float32).to(device)


@pytest.fixture(scope="module")
def targets():
    return targets_on("cpu")


def rays_of(targets, config):
    schedule, rendering = config.schedule, config.rendering
    return draw_rays(targets, num_steps=schedule.steps, num_rays=rendering.num_rays, generator=np.random.default_rng(0))


def true_boxes(targets):
    """What stands there, in the reference frame, as keyword arguments of `BoxParameters.encode`."""
    centers, sizes = (np.array([getattr(t, name) for t in THINGS]) for name in ("center_world", "dimensions_lwh"))
    locations = (centers - targets.T_world_ref[:3, 3]) @ targets.T_world_ref[:3, :3]
    forward = (
        np.array([[math.cos(t.yaw_world), math.sin(t.yaw_world), 0] for t in THINGS]) @ targets.T_world_ref[:3, :3]
    )
    values = {
        "locations": locations,
        "half_extents": sizes[:, [1, 2, 0]] / 2,
        "yaws": np.arctan2(forward[:, 0], forward[:, 2]),
    }
    return {name: torch.as_tensor(value).to(targets.K) for name, value in values.items()}


def ranges_of(config, targets):
    return BoxRanges.of(config.box, targets.class_names, like=targets.K)


def start_near(targets, config, *, off=1.0, order=(0, 1)):
    """The truth, moved and turned by `off` times 0.7 m sideways and in depth, and 0.15 rad."""
    true = true_boxes(targets)
    boxes = BoxParameters.encode(
        ranges_of(config, targets),
        locations=true["locations"][list(order)] + off * true["locations"].new_tensor([0.4, 0, 0.6]),
        half_extents=true["half_extents"][list(order)],
        yaws=true["yaws"][list(order)] + 0.15 * off,
    )
    fields = random_start(config.field, seed=0)
    return Start(boxes, fields.hypernetwork, fields.embeddings[torch.zeros(2, dtype=torch.int64)])


def ious_of(boxes, targets):
    return ious_3d(boxes, THINGS, targets.T_world_ref)


def same(one, other):
    return all(torch.equal(getattr(one.boxes, name), getattr(other.boxes, name)) for name in vars(one.boxes))


def test_annealing_by_hand():
    settings = ScheduleSettings(steps=100, sigma=(1.0, 0.2), temperature=(2.0, 1.0), cosine_ratio=(0.0, 0.8))
    assert Annealed.at(0, settings) == Annealed(sigma=1.0, temperature=2.0, cosine_ratio=0.0)
    middle, last = Annealed.at(50, settings), Annealed.at(100, settings)
    assert (middle.sigma, middle.temperature, middle.cosine_ratio) == pytest.approx((0.6, 1.5, 0.4))
    assert (last.sigma, last.temperature, last.cosine_ratio) == pytest.approx((0.2, 1.0, 0.8))
    quarter = (1 - math.sqrt(0.5)) / 2
    assert Annealed.at(25, settings).sigma == pytest.approx(1 - 0.8 * quarter)
    assert Annealed.at(25, settings).cosine_ratio == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(6))
def test_matching_equals_trying_every_permutation(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 100, (2, 4, 2))
    boxes, mask_boxes = torch.as_tensor(np.concatenate([low, low + rng.uniform(5, 60, (2, 4, 2))], axis=-1))
    assert tuple(match_boxes(boxes, mask_boxes).tolist()) == slow_losses.best_assignment(boxes, mask_boxes)


@pytest.fixture
def carved():
    """Three boxes with random residual fields, and points around them, some farther off than a margin of 0.5 m."""
    rng = np.random.default_rng(1)
    boxes = Boxes(
        torch.as_tensor(rng.uniform(-2, 2, (3, 3))) + torch.tensor([0, 0, 9]),
        torch.as_tensor(rng.uniform(0.6, 1.5, (3, 3))),
        rotations_about_y(torch.as_tensor(rng.normal(size=(3, 2)))),
    )
    count = sum(outputs * inputs for outputs, inputs in layer_shapes(SMALL_FIELD))
    weights = torch.as_tensor(rng.normal(size=(3, count))).requires_grad_()
    points = torch.as_tensor(rng.uniform(-4, 4, (200, 3))) + torch.tensor([0, 0, 9])
    return SimpleNamespace(boxes=boxes, weights=weights, points=points)


def field_of(carved, margin, temperature=0.3):
    return instance_field(
        carved.boxes, hyper_weights=carved.weights, settings=SMALL_FIELD, temperature=temperature, margin=margin
    )


def test_a_margin_leaves_out_residuals_beyond_it_and_nothing_else(carved):
    margin = 0.5
    local = carved.boxes.to_local(carved.points)
    distances = box_distance(local, carved.boxes.half_extents)
    residuals = residual_distances(carved.weights, local, SMALL_FIELD, half_extents=carved.boxes.half_extents)
    expected = soft_union(distances + torch.where(distances < margin, residuals, 0), 0.3)
    actual = field_of(carved, margin)(carved.points)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    (ours,), (theirs,) = (torch.autograd.grad(d.sum(), carved.weights) for d, _ in (actual, expected))
    torch.testing.assert_close(ours, theirs)

    everywhere = field_of(carved, None)(carved.points)[0]
    near_all = (distances < margin).all(dim=0)
    assert near_all.any() and not near_all.all()
    torch.testing.assert_close(actual[0][near_all], everywhere[near_all])
    assert not torch.allclose(actual[0], everywhere)


def test_a_margin_that_no_point_is_within_leaves_plain_boxes(carved):
    far = carved.points + torch.tensor([0, 0, 50])
    plain = instance_field(carved.boxes, hyper_weights=None, settings=SMALL_FIELD, temperature=0.3)
    torch.testing.assert_close(field_of(carved, 0.5)(far)[0], plain(far)[0])


def rendered(carved, *, bounds_margin, coarse_samples, field_margin=None):
    """Labels [R, N] along rays that look at the boxes, and past them."""
    u, v = np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(-0.6, 0.6, 9))
    directions = torch.nn.functional.normalize(torch.as_tensor(np.stack([u, v, np.ones_like(u)], axis=-1)), dim=-1)
    directions = directions.reshape(-1, 3)
    return render_silhouettes(
        field_of(carved, field_margin, temperature=0.1),
        torch.zeros_like(directions),
        directions,
        boxes=carved.boxes,
        settings=RenderingSettings(
            coarse_samples=coarse_samples, fine_samples=100, bounds_margin=bounds_margin, far=30
        ),
        annealed=STEP,
        generator=None,
    )


def test_wide_bounds_change_nothing(carved):
    unbounded, bounded = (rendered(carved, bounds_margin=margin, coarse_samples=100) for margin in (None, 1000.0))
    torch.testing.assert_close(bounded.labels, unbounded.labels, rtol=0, atol=1e-9)


def test_narrow_bounds_give_the_same_silhouettes(carved):
    """Within 0.02 of a dense rendering without bounds, with an eighth of its coarse samples."""
    dense = rendered(carved, bounds_margin=None, coarse_samples=800).labels
    narrow = rendered(carved, bounds_margin=1.0, coarse_samples=100, field_margin=1.0).labels
    assert dense.amax(dim=0).min() > 0.3
    assert (narrow - dense).abs().mean() < 0.005
    assert (narrow - dense).abs().max() < 0.06


def test_rays_past_every_box_are_empty_and_carry_no_gradient(carved):
    everything = rendered(carved, bounds_margin=0.2, coarse_samples=50, field_margin=0.2)
    hits = everything.labels.sum(dim=-1) > 0
    assert 0 < hits.sum() < len(hits)
    assert len(everything.weights) < len(everything.labels)


def test_projected_boxes_are_clipped_mask_boxes_of_what_is_there(targets):
    ranges = ranges_of(QUICK, targets)
    boxes = BoxParameters.encode(ranges, **true_boxes(targets)).decode(ranges)
    projected = project(boxes, targets)
    assert projected.shape == (3, 2, 4)
    # Masks end at pixel centres; in the last view the second car hides a part of the first.
    torch.testing.assert_close(projected[:2], targets.mask_boxes[:2], rtol=0, atol=1.0)
    torch.testing.assert_close(projected[2, 1], targets.mask_boxes[2, 1], rtol=0, atol=1.0)


def test_boxes_move_towards_the_truth(targets):
    start = start_near(targets, QUICK)
    before = ious_of(start.boxes.decode(ranges_of(QUICK, targets)), targets)
    fit = optimise(targets, rays_of(targets, QUICK), start, QUICK, seed=0)
    after = ious_of(fit.boxes, targets)
    assert (before < 0.6).all()
    assert (after > before + 0.15).all() and (after > 0.7).all()
    assert fit.silhouette_losses.shape == (2,)


def test_silhouettes_alone_move_boxes_towards_the_truth(targets):
    config = QUICK.model_copy(update={"losses": LossSettings(matching="identity", projection=0, diou=0)})
    start = start_near(targets, config)
    fit = optimise(targets, rays_of(targets, config), start, config, seed=0)
    assert (ious_of(fit.boxes, targets) > ious_of(start.boxes.decode(ranges_of(config, targets)), targets) + 0.05).all()


def test_fits_hang_on_the_seed_alone(targets):
    config = with_schedule(QUICK, steps=4, residual_from=2)
    start, rays = start_near(targets, config), rays_of(targets, config)
    first = optimise(targets, rays, start, config, seed=1)
    torch.rand(11)
    optimise(targets, rays, start_near(targets, config, off=2.0), config, seed=5)
    again = optimise(targets, rays, start, config, seed=1)
    assert same(first, again) and torch.equal(first.silhouette_losses, again.silhouette_losses)
    assert not same(first, optimise(targets, rays, start, config, seed=2))


def test_the_start_is_left_as_it_was(targets):
    config = with_schedule(QUICK, steps=3, residual_from=0)
    start = start_near(targets, config)
    copies = [tensor.clone() for tensor in (*start.boxes.tensors(), start.embeddings, *start.hypernetwork.values())]
    optimise(targets, rays_of(targets, config), start, config, seed=0)
    now = (*start.boxes.tensors(), start.embeddings, *start.hypernetwork.values())
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(now, copies, strict=True))


def test_every_step_is_traced(targets):
    config = with_schedule(QUICK, steps=5, residual_from=3)
    steps, values = [], []
    fit = optimise(
        targets,
        rays_of(targets, config),
        start_near(targets, config),
        config,
        seed=0,
        trace=lambda step, traced: (steps.append(step), values.append(traced)),
    )
    assert steps == [0, 1, 2, 3, 4]
    always = {"loss/silhouette", "loss/projection", "loss/diou", "loss/total", "locations", "half_extents", "R_ref_obj"}
    for step, traced in zip(steps, values, strict=True):
        assert traced.keys() == (always | {"loss/eikonal"} if step >= 3 else always)
        weights = {"silhouette": 1.0, "projection": 1.0, "diou": 0.1, "eikonal": 0.01}
        total = sum(weight * traced.get(f"loss/{name}", 0) for name, weight in weights.items())
        assert traced["loss/total"] == pytest.approx(total, rel=1e-5)
        assert traced["locations"].shape == (2, 3) and traced["R_ref_obj"].shape == (2, 3, 3)
    assert not np.array_equal(values[-1]["locations"], fit.boxes.locations)  # traced before the step


def test_matching_finds_the_instances_of_boxes_in_another_order(targets):
    config = with_schedule(QUICK, steps=2, residual_from=2)
    matched = config.model_copy(update={"losses": LossSettings(matching="hungarian")})
    swapped = start_near(targets, config, off=0.0, order=(1, 0))
    rays = rays_of(targets, config)
    assert ious_of(optimise(targets, rays, swapped, matched, seed=0).boxes, targets).min() > 0.6
    assert ious_of(optimise(targets, rays, swapped, config, seed=0).boxes, targets).max() < 0.1


def test_silhouettes_follow_the_matching(targets):
    """Boxes in another order, once matched, are held against the same masks as in order."""
    config = with_schedule(QUICK, steps=1, residual_from=1)
    matched = config.model_copy(update={"losses": LossSettings(matching="hungarian")})
    rays = rays_of(targets, config)
    as_started, as_matched = (
        optimise(targets, rays, start_near(targets, config, order=order), settings, seed=0).silhouette_losses
        for settings, order in ((config, (0, 1)), (matched, (1, 0)))
    )
    torch.testing.assert_close(as_matched, as_started, rtol=1e-4, atol=0)
    assert as_started[0].item() != pytest.approx(as_started[1].item(), rel=0.01)  # they can be told apart by it


def test_the_published_settings_work_from_the_flat_start(targets):
    config = load_config("kitti360_vsrd", ["schedule.steps=6", "schedule.residual_from=4", "rendering.num_rays=60"])
    fields = random_start(config.field, num_bodies=2, seed=0)
    start = Start(BoxParameters.flat(2, like=targets.K), fields.hypernetwork, fields.embeddings)
    losses = []
    fit = optimise(
        targets,
        rays_of(targets, config),
        start,
        config,
        seed=0,
        trace=lambda step, values: losses.append(values["loss/projection"]),
    )
    assert losses[-1] < losses[0]
    locations = fit.boxes.locations
    assert torch.isfinite(locations).all() and torch.isfinite(fit.silhouette_losses).all()
    assert locations[0, 0] < locations[1, 0]  # each box goes to its own side: 26001 stands on the left
    assert (locations[:, 2] < 50).all()  # and nearer than the flat start


def test_rays_that_all_miss_leave_boxes_where_they_are(targets):
    """With bounds and silhouettes alone a bad start can miss every ray: no loss may turn into a mean of nothing."""
    losses = LossSettings(matching="identity", projection=0, diou=0)
    config = with_schedule(QUICK.model_copy(update={"losses": losses}), steps=2, residual_from=0)
    start, true = start_near(targets, config), true_boxes(targets)
    out_of_view = torch.tensor([[-45.0, 0, 6], [45.0, 0, 6]])
    boxes = BoxParameters.encode(ranges_of(config, targets), **true | {"locations": out_of_view})
    totals = []
    fit = optimise(
        targets,
        rays_of(targets, config),
        Start(boxes, start.hypernetwork, start.embeddings),
        config,
        seed=0,
        trace=lambda step, values: totals.append(values["loss/total"]),
    )
    torch.testing.assert_close(fit.boxes.locations, out_of_view, rtol=0, atol=1e-4)
    assert np.isfinite(totals).all() and min(totals) > 1  # everything is missed


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_boxes_move_towards_the_truth_on_a_gpu():
    targets = targets_on("cuda")
    start = start_near(targets, QUICK)
    before = ious_of(start.boxes.decode(ranges_of(QUICK, targets)), targets)
    fit = optimise(targets, rays_of(targets, QUICK), start, QUICK, seed=0)
    assert fit.boxes.locations.is_cuda
    assert (ious_of(fit.boxes, targets) > before + 0.15).all()
