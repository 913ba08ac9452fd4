"""Every golden array of the published implementation of VSRD, values and gradients, in float64.

The golden arrays of masks and of the official IoU are tested beside their modules, in tests/unit.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vsrd_ray.labelers.vsrd.config import BoxSettings, FieldSettings
from vsrd_ray.labelers.vsrd.losses import eikonal_loss, silhouette_loss
from vsrd_ray.labelers.vsrd.parameters import BoxParameters, BoxRanges
from vsrd_ray.labelers.vsrd.residual import HyperNetwork, encode_positions, layer_shapes, residual_distances
from vsrd_ray.rendering.projection import project_boxes
from vsrd_ray.rendering.rays import cast_rays
from vsrd_ray.rendering.sampling import stratified_distances
from vsrd_ray.rendering.sdf import box_distance, soft_union
from vsrd_ray.rendering.silhouettes import hierarchical_distances, render_sections

TOLERANCE = {"rtol": 0, "atol": 1e-9}
EIKONAL_WEIGHT = 0.01
VARIANTS = ("box", "residual")
LAYER_NAMES = {
    "0.weight_g": "0.parametrizations.weight.original0",
    "0.weight_v": "0.parametrizations.weight.original1",
    "0.bias": "0.bias",
    "1.weight": "1.weight",
    "1.bias": "1.bias",
}


@pytest.fixture(scope="module")
def golden(shared):
    arrays = np.load(shared / "reference" / "vsrd_golden.npz")
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def published_state(golden):
    """The golden hypernetwork under our names: hypernetwork.<layer>.<part>.<name>."""
    state = {}
    for key, tensor in golden.items():
        if key.startswith("hypernetwork/"):
            _, layer, name = key.split("/")[1].split(".", maxsplit=2)
            ours = LAYER_NAMES[name]
            state[f"hidden.{layer}.{ours}" if int(layer) < 4 else f"output.{ours.removeprefix('0.')}"] = tensor
    return state


@pytest.fixture
def model(golden, published_state):
    """Parameters, embeddings and hypernetwork of the golden scene, ready for gradients."""
    names = ("raw_locations", "raw_dimensions", "raw_orientations", "embeddings")
    leaves = {name: golden[name].clone().requires_grad_() for name in names}
    hypernetwork = HyperNetwork(FieldSettings()).double()
    hypernetwork.load_state_dict(published_state)
    parameters = BoxParameters(*(leaves[name] for name in names[:3]))
    return SimpleNamespace(leaves=leaves, parameters=parameters, hypernetwork=hypernetwork)


@pytest.fixture(params=VARIANTS)
def variant(request, golden):
    """One of the two golden renderings: its name, its arrays without the prefix, and its annealed numbers."""
    prefix = f"{request.param}_"
    arrays = {name.removeprefix(prefix): tensor for name, tensor in golden.items() if name.startswith(prefix)}
    annealed = {"sigma": float(arrays["std"]), "cosine_ratio": float(arrays["cosine_ratio"])}
    return SimpleNamespace(
        has_residual=request.param == "residual",
        arrays=arrays,
        annealed=annealed,
        temperature=float(arrays["temperature"]),
    )


def published_ranges(num_instances=4):
    return BoxRanges.of(BoxSettings(), ["car"] * num_instances, like=torch.zeros(1, dtype=torch.float64))


def field_of(model, variant):
    def field(points):
        boxes = model.parameters.decode(published_ranges())
        points_obj = boxes.to_local(points)
        distances = box_distance(points_obj, boxes.half_extents)
        if variant.has_residual:
            weights = model.hypernetwork(model.leaves["embeddings"])
            distances = distances + residual_distances(
                weights, points_obj, FieldSettings(), half_extents=boxes.half_extents
            )
        return soft_union(distances, variant.temperature)

    return field


def render(golden, model, variant):
    """Golden rays rendered from the golden fine distances."""
    return render_sections(
        field_of(model, variant),
        golden["ray_origins"],
        golden["ray_directions"],
        variant.arrays["fine_distances"].T.contiguous(),
        **variant.annealed,
    )


def assert_equal(actual, expected):
    torch.testing.assert_close(actual.detach(), expected, **TOLERANCE)


def test_the_published_ranges_are_the_defaults(golden):
    ranges = published_ranges(num_instances=1)
    assert_equal(torch.stack([ranges.location_min, ranges.location_max]), golden["location_range"])
    half_extents = torch.cat([ranges.half_extents_min, ranges.half_extents_max])
    assert_equal(half_extents, golden["dimension_range"])


def test_parameters(golden, model):
    boxes = model.parameters.decode(published_ranges())
    assert_equal(boxes.locations, golden["locations"])
    assert_equal(boxes.half_extents, golden["half_dimensions_whl"])
    assert_equal(boxes.R_ref_obj, golden["rotations"])
    assert_equal(boxes.corners(), golden["corners"])


def test_hypernetwork(golden, model):
    sizes = [outputs * inputs for outputs, inputs in layer_shapes(FieldSettings())]
    assert sizes == golden["hyper_layer_sizes"].tolist()
    assert_equal(model.hypernetwork(golden["embeddings"]), golden["hyper_weights"])


def test_encoding(golden):
    x, yz = golden["residual_points"].split([1, 2], dim=-1)
    assert_equal(encode_positions(torch.cat([x.abs(), yz], dim=-1) / 100, 8), golden["encoding"])


def test_residuals_and_box_distances(golden):
    half_extents = golden["half_dimensions_whl"]
    points_obj = golden["residual_points"].expand(4, -1, -1)
    residuals = residual_distances(golden["hyper_weights"], points_obj, FieldSettings(), half_extents=half_extents)
    assert_equal(residuals, golden["residuals"])
    assert_equal(box_distance(points_obj, half_extents), golden["box_sdf"])


def test_coarse_distances(golden, variant):
    near = torch.zeros(len(golden["ray_origins"]), dtype=torch.float64)
    distances = stratified_distances(near, near + 100, num_samples=100, generator=None)
    assert_equal(distances, variant.arrays["coarse_distances"].T)


def test_fine_distances(golden, model, variant):
    """All but the sample at quantile 1, whose bin hangs on the last digit of a sum: it is a ray's last fine one."""
    near = torch.zeros(len(golden["ray_origins"]), dtype=torch.float64)
    distances = hierarchical_distances(
        field_of(model, variant),
        golden["ray_origins"],
        golden["ray_directions"],
        near=near,
        far=near + 100,
        coarse_samples=100,
        fine_samples=100,
        generator=None,
        **variant.annealed,
    )
    coarse = variant.arrays["coarse_distances"].T
    for ours, published, bins in zip(distances, variant.arrays["fine_distances"].T, coarse, strict=True):
        assert_equal(_without_last_fine(ours, bins), _without_last_fine(published, bins))


def _without_last_fine(distances, coarse):
    fine = distances.clone()
    for distance in coarse:
        at = (fine - distance).abs().argmin()
        assert abs(fine[at] - distance) < 1e-12
        fine = torch.cat([fine[:at], fine[at + 1 :]])
    return fine[:-1]


def test_weights_and_labels(golden, model, variant):
    rendered = render(golden, model, variant)
    assert_equal(rendered.weights, variant.arrays["weights"].T)
    assert_equal(rendered.labels, variant.arrays["labels"])


def test_losses(golden, model, variant):
    rendered = render(golden, model, variant)
    silhouette = silhouette_loss(rendered.labels, golden["soft_mask_targets"]).mean()
    assert_equal(silhouette, variant.arrays["silhouette_loss"])
    assert_equal(eikonal_loss(rendered.gradients), variant.arrays["eikonal_loss"])


def test_gradients(golden, model, variant):
    """Of the silhouette loss; with residual fields, of it and the weighted eikonal loss."""
    rendered = render(golden, model, variant)
    loss = silhouette_loss(rendered.labels, golden["soft_mask_targets"]).mean()
    if variant.has_residual:
        loss = loss + EIKONAL_WEIGHT * eikonal_loss(rendered.gradients)
    loss.backward()
    expected = {name: tensor for name, tensor in variant.arrays.items() if name.startswith("grad_")}
    assert len(expected) == (4 if variant.has_residual else 3)
    for name, gradient in expected.items():
        assert gradient.abs().max() > 1e-6  # the comparison says something
        assert_equal(model.leaves[name.removeprefix("grad_")].grad, gradient)


def test_projected_boxes(golden):
    """Relatively: a box at the camera's plane reaches billions of pixels."""
    boxes = project_boxes(golden["camera_corners"], golden["intrinsics"])
    expected = golden["projected_boxes"].flatten(start_dim=1)
    torch.testing.assert_close(boxes, expected, rtol=1e-9, atol=1e-9)
    assert (expected == 0).all(dim=-1).any() and expected.abs().max() > 1e6  # behind, and across the plane


def test_ray_casting(golden):
    height, width = golden["cast_directions"].shape[:2]
    pixels = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), dim=-1).double()
    T_ref_cam = torch.linalg.inv(golden["cast_extrinsic"])
    origins, directions = cast_rays(pixels, golden["intrinsics"], T_ref_cam)
    assert_equal(origins, golden["cast_origin"].expand(height, width, 3))
    assert_equal(directions, golden["cast_directions"])
