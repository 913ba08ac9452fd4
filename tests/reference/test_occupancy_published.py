"""RenderOcc and SplattingOcc: values and gradients of the published implementations, and slow twins."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vsrd_ray.labelers.occupancy.published import losses, marching
from vsrd_ray.rendering import splatting

TIGHT = {"rtol": 1e-9, "atol": 1e-9}
OCC3D = (-40.0, -40.0, -1.0, 40.0, 40.0, 5.4)


@pytest.fixture(scope="module")
def golden(shared: Path):
    with np.load(shared / "reference" / "occupancy_golden.npz") as file:
        return {name: file[name] for name in file.files}


def tensor(array, *, grad=False):
    return torch.tensor(array, requires_grad=grad)


def same(found, expected, **limits):
    values = found.detach().numpy() if isinstance(found, torch.Tensor) else found
    np.testing.assert_allclose(values, expected, **(TIGHT | limits))


def test_samples(golden):
    points, inner, kept = marching.sample_points(golden["sample_origin"], golden["sample_direction"])
    same(marching.sample_distances(), golden["sample_t"])
    same(points, golden["sample_points_normalised"])
    assert (inner == golden["sample_inner"]).all() and (kept == golden["sample_kept"]).all()


@pytest.mark.parametrize("way", ["published", "center"])
def test_interpolation(golden, way):
    volume, points = tensor(golden["interp_volume"], grad=True), tensor(golden["interp_points"])
    if way == "published":
        found = marching.interpolate_published(volume, points)
    else:
        found = marching.interpolate(volume, points, OCC3D)
    same(found, golden[f"interp_{way}"])
    (found * tensor(golden["interp_cot"])).sum().backward()
    same(volume.grad, golden[f"interp_grad_{way}"])


def test_compositing_as_published(golden):
    density, logits = tensor(golden["render_density"], grad=True), tensor(golden["render_logits"], grad=True)
    distances = tensor(golden["render_t"])
    alphas = marching.opacities_published(density, float(golden["render_shift"]))
    weights, last = marching.weights_published(alphas)
    found = {
        "weights": weights,
        "last": last,
        "depth_published": marching.depth_published(weights, distances),
        "depth_metric": marching.depth_metric(weights, distances),
        "semantic": marching.semantics(weights, logits),
    }
    same(alphas, golden["render_alpha"])
    for name, value in found.items():
        same(value, golden[f"render_{name.replace('last', 'alphainv_last')}"])
    sum((value * tensor(golden[f"render_cot_{name}"])).sum() for name, value in found.items()).backward()
    same(density.grad, golden["render_grad_density"])
    same(logits.grad, golden["render_grad_logits"])


def test_compositing_over_exact_lengths(golden):
    density, logits = tensor(golden["march_sigma"], grad=True), tensor(golden["render_logits"], grad=True)
    lengths = tensor(golden["march_length"])
    weights, last = marching.weights_exact(density, lengths)
    depth = marching.depth_exact(weights, last, lengths)
    shares = marching.semantics(weights, logits.softmax(dim=-1))
    for name, value in {"weights": weights, "last": last, "depth": depth, "class_prob": shares}.items():
        same(value, golden[f"march_{name}"])
    pairs = (("weights", weights), ("depth", depth), ("prob", shares))
    sum((value * tensor(golden[f"march_cot_{name}"])).sum() for name, value in pairs).backward()
    same(density.grad, golden["march_grad_sigma"])
    same(logits.grad, golden["march_grad_logits"])


def test_weights_of_classes_and_rays(golden):
    same(losses.class_weights(golden["class_frequencies"][:17]), golden["class_weights"])
    same(losses.ray_weights(golden["ray_class_numbers"]), golden["ray_balance_weights"])


LOSSES = {
    "ce": ("render_semantic", lambda x, g: losses.cross_entropy(x, g("loss_ce_target"), g("class_weights"))),
    "silog": ("loss_silog_pred", lambda x, g: losses.silog(x, g("loss_silog_target"))),
    "entropy": ("render_alphainv_last", lambda x, g: losses.entropy(x)),
    "free": ("march_weights", lambda x, g: losses.free_space(x, g("march_mid"), g("loss_hit"), g("loss_sigma"))),
    "nll": ("march_weights", lambda x, g: losses.end_likelihood(x, g("march_mid"), g("loss_hit"), g("loss_sigma"))),
    "lss": ("loss_lss_prob", lambda x, g: losses.depth_bin_loss(x, g("loss_lss_depth"))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients(golden, name):
    of, loss = LOSSES[name]
    values = tensor(golden[of], grad=True)
    found = loss(values, lambda key: tensor(golden[key]))
    same(found, golden[f"loss_{name}"])
    found.backward()
    same(values.grad, golden[f"loss_{name}_grad"])


@pytest.mark.parametrize(("way", "interval"), [("published", 1 / (12 * 48)), ("per_ray", 1 / 48)])
def test_distortion(golden, way, interval):
    weights, distances = tensor(golden["render_weights"], grad=True), tensor(golden["render_t"])
    found = losses.distortion(weights, distances / (1 + distances), interval=interval)
    same(found, golden[f"loss_distortion_{way}"])
    found.backward()
    same(weights.grad, golden[f"loss_distortion_grad_{way}"])


def test_total_variation_and_bins(golden):
    volume = tensor(golden["interp_volume"][..., 0], grad=True)
    found = losses.total_variation(volume)
    same(found, golden["loss_tv"])
    found.backward()
    same(volume.grad, golden["loss_tv_grad"])
    assert (losses.depth_bins(tensor(golden["loss_lss_depth"])).numpy() == golden["loss_lss_bins"]).all()


def camera(golden):
    width, height = int(golden["splat_size"][1]), int(golden["splat_size"][0])
    focal = float(golden["splat_focal"])
    K = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    return tensor(golden["splat_T_cam_world"]), K, (width, height)


def gaussians(golden, *, grad=False):
    return splatting.Gaussians(
        *(tensor(golden[f"splat_{name}"], grad=grad) for name in ("means", "sigma", "opacity", "features"))
    )


def test_gaussians_in_the_image(golden):
    seen = splatting.project(gaussians(golden), *camera(golden))
    ahead = golden["splat_radius"] > 0
    same(seen.radii, golden["splat_radius"])
    same(seen.means[ahead], golden["splat_mean2d"][ahead])
    same(seen.conics[ahead], golden["splat_conic"][ahead])
    assert 0 < (~ahead).sum() < len(ahead)


def test_splatting_and_its_gradients(golden):
    things = gaussians(golden, grad=True)
    found = splatting.splat(things, *camera(golden))
    same(found.image, golden["splat_image"])
    same(found.depth, golden["splat_depth"])
    same(found.passing, golden["splat_transmittance"])
    pairs = (("image", found.image), ("depth", found.depth), ("transmittance", found.passing))
    sum((value * tensor(golden[f"splat_cot_{name}"])).sum() for name, value in pairs).backward()
    same(things.means.grad, golden["splat_grad_means"], atol=1e-8)
    same(things.sigmas.grad, golden["splat_grad_sigma"], atol=1e-8)
    same(things.opacities.grad, golden["splat_grad_opacity"], atol=1e-8)
    same(things.features.grad, golden["splat_grad_features"], atol=1e-8)


def slow_pixel(seen, opacities, features, x, y):
    """One pixel, Gaussian by Gaussian, as the published kernel goes through them."""
    passing, color = 1.0, np.zeros(features.shape[1])
    for place in np.argsort(seen.depths.numpy(), kind="stable"):
        left, top, right, bottom = seen.tiles[place].tolist()
        if not seen.radii[place] or not (left <= x // 16 < right and top <= y // 16 < bottom):
            continue
        dx, dy = (seen.means[place] - torch.tensor([x, y])).tolist()
        a, b, c = seen.conics[place].tolist()
        power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
        alpha = min(0.99, float(opacities[place]) * np.exp(power))
        if power > 0 or alpha < 1 / 255:
            continue
        if passing * (1 - alpha) < 1e-4:
            break
        color += passing * alpha * features[place].numpy()
        passing *= 1 - alpha
    return color, passing


def test_splatting_is_that_of_the_slow_twin_where_light_is_used_up():
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    means = drawn(300, 3) * torch.tensor([4, 3, 6]) - torch.tensor([2, 1.5, 1])
    things = splatting.Gaussians(means, drawn(300) * 0.3 + 0.02, drawn(300), drawn(300, 2))
    K = torch.tensor([[30.0, 0, 24], [0, 34, 17], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    found = splatting.splat(things, pose, K, (50, 37))
    assert float(found.passing.min()) < 1e-3  # rays end before their last Gaussian
    seen = splatting.project(things, pose, K, (50, 37))
    for x, y in ((0, 0), (24, 17), (49, 36), (16, 31), (33, 5)):
        color, passing = slow_pixel(seen, things.opacities, things.features, x, y)
        same(found.image[y, x], color)
        assert float(found.passing[y, x]) == pytest.approx(passing)


def rasterization(
    *, means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane, eps2d, **options
):
    """gsplat's, pixel by pixel: covariances by J R S S R' J', centres of pixels at halves, opacities up to 0.999."""
    assert options == {"packed": False, "render_mode": "RGB+D"}
    assert quats.tolist() == [[1, 0, 0, 0]] * len(means)  # no turn, the real part first
    places = means @ viewmats[0, :3, :3].T + viewmats[0, :3, 3]
    image = torch.zeros(1, height, width, colors.shape[1] + 1)
    passing = torch.ones(1, height, width, 1)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    (fx, _, cx), (_, fy, cy), _ = Ks[0].tolist()
    for number in places[:, 2].argsort().tolist():
        px, py, pz = places[number].tolist()
        if pz < near_plane:
            continue
        J = torch.tensor([[fx / pz, 0, -fx * px / pz**2], [0, fy / pz, -fy * py / pz**2]])
        turned = J @ viewmats[0, :3, :3] @ torch.diag(scales[number])
        conic = torch.inverse(turned @ turned.T + eps2d * torch.eye(2))
        d = torch.stack([x - (fx * px / pz + cx), y - (fy * py / pz + cy)], dim=-1)
        alpha = (opacities[number] * torch.exp(-0.5 * torch.einsum("hwi,ij,hwj->hw", d, conic, d))).clamp(max=0.999)
        alpha = torch.where((alpha >= 1 / 255) & (passing[0, ..., 0] * (1 - alpha) >= 1e-4), alpha, torch.zeros(()))
        shown = torch.cat([colors[number], torch.tensor([pz])])
        image[0] += (passing[0, ..., 0] * alpha)[..., None] * shown
        passing[0, ..., 0] *= 1 - alpha
    return image, 1 - passing, {}


def test_gsplat_is_asked_for_the_same_image(golden, monkeypatch):
    """It is for CUDA alone: what is asked of it is rendered here as it says that it does."""
    monkeypatch.setitem(sys.modules, "gsplat", SimpleNamespace(rasterization=rasterization))
    things, (pose, K, size) = gaussians(golden), camera(golden)
    found, expected = (
        render(things, pose, K, size) for render in (splatting.splat_by_gsplat, splatting.splat_in_torch)
    )
    assert found.image.dtype == expected.image.dtype
    # what reaches beyond three standard deviations is cut at tiles by one of them
    for name in ("image", "depth", "passing"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.shape == other.shape
        off = (one - other).abs() / other.abs().max()
        assert off.max() < 0.05 and off.mean() < 0.002 and off.median() < 1e-6, name
    # half a pixel off would be seen
    moved = splatting.splat_in_torch(things, pose, K + torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]), size)
    assert (moved.image - expected.image).abs().mean() > 10 * (found.image - expected.image).abs().mean()


def test_gsplat_is_not_asked_on_the_cpu(golden, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", SimpleNamespace(__spec__=object()))
    things = gaussians(golden)
    same(splatting.splat(things, *camera(golden)).image, golden["splat_image"])


def test_nothing_ahead_leaves_the_image_empty():
    things = splatting.Gaussians(
        torch.tensor([[0.0, 0, -3]]), torch.tensor([0.3]), torch.tensor([0.9]), torch.tensor([[1.0, 2]])
    )
    found = splatting.splat(things, torch.eye(4), torch.eye(3) * 20, (20, 18))
    assert not found.image.any() and (found.passing == 1).all()
