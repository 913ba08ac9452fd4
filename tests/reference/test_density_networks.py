"""The density networks, their rendering, losses and gradients: figures of `density_golden.npz`, to 1e-9 in float64."""

import numpy as np
import pytest
import torch
from density_formula import TINY, golden_state

from vsrd_ray.labelers.density.networks import losses
from vsrd_ray.labelers.density.networks.checkpoints import own_name, published_names, take
from vsrd_ray.labelers.density.networks.config import NetworkSettings
from vsrd_ray.labelers.density.networks.features import point_features
from vsrd_ray.labelers.density.networks.infer import profile
from vsrd_ray.labelers.density.networks.model import DensityNetwork, EncodedViews
from vsrd_ray.labelers.density.networks.render import RenderViews, cast, points_of, render, z_factors
from vsrd_ray.labels.depth.evaluation.occupancy import T_EVAL_CAM
from vsrd_ray.rendering.images import pixel_grid, project, sample

CLOSE = {"rtol": 0, "atol": 1e-9}
RENDER_VIEWS = [1, 2]
PATCH = 8


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "reference" / "density_golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def network(golden):
    made = DensityNetwork(TINY, roles=("teacher", "student")).double().eval()
    dropped = take(made, golden_state(golden), source="golden")
    assert {name.split(".")[-2] for name in dropped} == {"conv", "fc"}
    return made


@pytest.fixture(scope="module")
def scene(golden):
    """Images [V, 3, H, W] in [0, 1], poses and intrinsics."""
    images = torch.from_numpy(golden["images_u8"]).double().permute(0, 3, 1, 2) / 255
    return images, torch.from_numpy(golden["T_world_cam"]), torch.from_numpy(golden["K_norm"])


def close(found, expected):
    np.testing.assert_allclose(found.detach().numpy(), expected, **CLOSE)


def encoded(network, scene, which=(0, 1, 2, 3)):
    images, poses, intrinsics = scene
    some = list(which)
    return EncodedViews(network.encode(images[some] * 2 - 1), poses[some], intrinsics[some])


def test_backbone_and_decoder(golden, network, scene):
    features = network.backbone(scene[0] * 2 - 1)
    for level, feature in enumerate(features):
        expected = golden[f"enc{level}"]
        close(feature[0, : len(expected)], expected)
        close(feature.abs().mean(dim=(0, 2, 3)), golden[f"enc{level}_mean_abs"])
    levels = network.decoder(features)
    close(network.decoder.output(levels[0]), golden["dec0"])
    state = golden_state(golden)
    for level in (1, 2, 3):
        weight, bias = (
            state[f"renderer.net.encoder.decoder.decoder.{10 + level}.conv.{leaf}"] for leaf in ("weight", "bias")
        )
        padded = torch.nn.functional.pad(levels[level], (1, 1, 1, 1), mode="reflect")
        close(torch.nn.functional.conv2d(padded, weight, bias)[0], golden[f"dec{level}_view0"])


def test_mirrored_encoding_of_mirrored_images_is_mirrored(network, scene):
    images = scene[0][:1] * 2 - 1
    close(
        network.encode(images.flip(-1), flipped=torch.tensor([True])).flip(-1), network.encode(images).detach().numpy()
    )


def test_features_and_colours_of_points(golden, network, scene):
    images, poses, intrinsics = scene
    points = torch.from_numpy(golden["points"])
    features, unseen = point_features(points, encoded(network, scene).feature_maps, poses, intrinsics, near=3, far=80)
    close(features, golden["point_features"])
    np.testing.assert_array_equal(unseen, golden["point_invalid"])
    uv, _, outside = project(points, poses, intrinsics)
    close(sample(images, uv), golden["point_colors"])
    np.testing.assert_array_equal(outside, golden["point_colors_invalid"])


@pytest.mark.parametrize("views", ["0", "01", "02", "0123"])
def test_teacher(golden, network, scene, views):
    points = torch.from_numpy(golden["points"])
    found = network.density(points, encoded(network, scene, map(int, views)), "teacher")
    close(found.logit, golden[f"teacher_logit_{views}"])
    close(found.density, golden[f"teacher_sigma_{views}"])
    close(found.weights, golden[f"teacher_weights_{views}"])


def test_teacher_with_dropped_views(golden, network, scene):
    dropped = torch.nn.functional.pad(~torch.from_numpy(golden["dropout_keep"]), (1, 0))
    points = torch.from_numpy(golden["points"])
    found = network.density(points, encoded(network, scene), "teacher", dropped=dropped)
    close(found.density, golden["teacher_sigma_dropout"])
    per_view = network.teacher.view_output(
        network.teacher.view_hidden(torch.from_numpy(golden["point_features"])).relu()
    )
    close(per_view, golden["teacher_mlp_out_0123"])


def test_student(golden, network, scene):
    found = network.density(torch.from_numpy(golden["points"]), encoded(network, scene), "student")
    close(found.logit, golden["student_logit"])
    close(found.density, golden["student_sigma"])


def cast_patches(golden, scene):
    """The rays of the golden patches, their colours [N, 8, 8, 3] and distances."""
    images, poses, intrinsics = scene
    grid = pixel_grid(images.shape[:1:-1], corners=True, like=images)
    places = [(view, slice(top, top + PATCH), slice(left, left + PATCH)) for view, top, left in golden["patch_corners"]]
    uv = torch.cat([grid[rows, columns].reshape(-1, 2) for _, rows, columns in places])
    view = torch.tensor([view for view, _, _ in places]).repeat_interleave(PATCH**2)
    colors = torch.stack([images[view, :, rows, columns].permute(1, 2, 0) for view, rows, columns in places])
    return cast(uv, poses[view], intrinsics[view]), colors, torch.from_numpy(golden["z_samples"])


def test_rays(golden, scene):
    images, _, intrinsics = scene
    rays, colors, _ = cast_patches(golden, scene)
    close(rays.origins, golden["rays"][:, :3])
    close(rays.directions, golden["rays"][:, 3:6])
    close(colors.reshape(-1, 3), golden["rays_rgb"])
    grid = pixel_grid(images.shape[:1:-1], corners=True, like=images)
    close(z_factors(grid, intrinsics[0]), golden["z_factor"])
    ends = cast(grid.reshape(-1, 2)[[0, -1]], torch.eye(4).double()[None], intrinsics[:1])
    close(ends.directions, golden["ray_grid_first_last"])


@pytest.mark.parametrize("run", ["teacher", "student", "student_kd"])
def test_rendering_losses_and_gradients(golden, network, scene, run):
    images, poses, intrinsics = scene
    role = run.removesuffix("_kd")
    network.zero_grad()
    views = encoded(network, scene)

    def field(points):
        found = network.density(points, views, role)
        return found.density, found.unseen.all(dim=1)

    rays, colors, distances = cast_patches(golden, scene)
    seen = RenderViews(images[RENDER_VIEWS], poses[RENDER_VIEWS], intrinsics[RENDER_VIEWS])
    rendered = render(field, rays, distances, seen)
    close(rendered.colors, golden[f"render_{role}_rgb"])
    for name in ("depth", "weights", "alphas"):
        close(getattr(rendered, name), golden[f"render_{role}_{name}"])
    np.testing.assert_array_equal(rendered.unseen, golden[f"render_{role}_invalid"].astype(bool))

    shape = colors.shape[:-1]
    invalid, depth = rendered.invalid.reshape(shape), rendered.depth.reshape(shape)
    np.testing.assert_array_equal(invalid, golden[f"loss_{role}_ray_invalid"])
    errors = losses.color_errors(rendered.colors.reshape(*shape, -1, 3), colors)
    close(errors, golden[f"loss_{role}_error_per_view"])
    close(losses.smoothness_map(depth, colors), golden[f"loss_{role}_smoothness_map"])

    photometric, smoothness = losses.photometric(errors, invalid), losses.smoothness(depth, colors, invalid)
    parts = [photometric, photometric, smoothness, torch.zeros(()), invalid.double().mean()]
    total = 2 * photometric + 1e-3 * smoothness
    if run == "student_kd":
        points = points_of(rays, distances).reshape(-1, 3)
        student, teacher = (network.density(points, views, one) for one in ("student", "teacher"))
        visible = ~student.unseen[:, 0]
        np.testing.assert_array_equal(visible, golden["kd_mask"])
        close(student.logit[::16], golden["kd_student_logits"])
        close(teacher.logit[::16], golden["kd_teacher_logits"])
        parts[3] = losses.distillation(student.logit[visible], teacher.logit[visible])
        total = total + 1e-2 * parts[3]
    close(torch.stack([one.detach().double() for one in parts]), golden[f"loss_{run}_parts"])
    close(total, golden[f"loss_{run}_total"])

    total.backward()
    kept = {name.removeprefix(f"grad_{run}__"): golden[name] for name in golden if name.startswith(f"grad_{run}__")}
    parameters = dict(network.named_parameters())
    assert len(kept) >= 5
    for name, expected in kept.items():
        close(parameters[own_name(f"renderer.net.{name}")].grad[: len(expected)], expected)


@pytest.mark.parametrize(("kind", "roles"), [("mvbts_base", ("teacher",)), ("kdbts", ("teacher", "student"))])
def test_published_checkpoints_have_just_these_names_and_shapes(golden, kind, roles):
    keys, texts = golden[f"ckpt_{kind}_keys"].tolist(), golden[f"ckpt_{kind}_shapes"].tolist()
    shapes = {key: tuple(map(int, text.split(","))) if text else () for key, text in zip(keys, texts, strict=True)}
    with torch.device("meta"):
        network = DensityNetwork(NetworkSettings(), roles=roles)
    names = published_names(network)
    assert {names[own]: tuple(value.shape) for own, value in network.state_dict().items()} == {
        key: shape for key, shape in shapes.items() if own_name(key) is not None
    }
    encoder = [
        value.numel() for name, value in network.named_parameters() if name.startswith(("backbone.", "decoder."))
    ]
    not_read = [np.prod(shapes[key]) for key in keys if own_name(key) is None and ".encoder." in key]
    assert sum(encoder) + sum(not_read) == 34_885_032


def test_profile(golden, network, scene):
    views = encoded(network, scene, [0])

    def field(points):
        found = network.density(points, views, "teacher")
        return found.density, found.unseen.all(dim=1)

    T_world_eval = views.T_world_cam[0] @ torch.inverse(torch.from_numpy(T_EVAL_CAM))
    found = profile(field, T_world_eval, shape=golden["profile"].shape, num_heights=32)
    close(found, golden["profile"])
