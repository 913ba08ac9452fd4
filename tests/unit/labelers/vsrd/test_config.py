"""VSRD's configuration model, and the file of the published values."""

from importlib import resources

import yaml

from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.config import VSRDConfig


def test_the_published_configuration_is_the_default() -> None:
    assert load_config("kitti360_vsrd") == VSRDConfig()


def test_published_numbers() -> None:
    """VSRD, section 4.1 and its public code for KITTI-360."""
    config = load_config("kitti360_vsrd")
    assert config.grouping.name == "R50-N16-M128-B16"
    assert (config.masks.softness, config.masks.min_target_area, config.masks.min_target_side) == (10, 128, 16)
    assert config.masks.min_source_area == 1 and config.masks.refine and config.masks.distance == "exact"
    assert config.box.location_min == (-50, 0.675 - 5, 0)
    assert config.box.location_max == (50, 0.675 + 5, 100)
    assert config.box.sizes["car"].half_extents_min == (0.75, 0.75, 1.5)
    assert config.box.sizes["car"].half_extents_max == (1, 1, 2.5)
    field = config.field
    assert (field.embedding_size, field.hyper_width, field.hyper_layers) == (256, 256, 4)
    assert (field.hidden_sizes, field.frequencies, field.position_scale) == ((16, 16, 16, 16), 8, 100)
    assert field.logit_offset == -1 and field.mirror and not field.scale_with_box and field.start == "random"
    rendering = config.rendering
    assert (rendering.num_rays, rendering.coarse_samples, rendering.fine_samples) == (1000, 100, 100)
    assert (rendering.near, rendering.far, rendering.bounds_margin) == (0, 100, None)
    losses = config.losses
    assert (losses.silhouette, losses.eikonal, losses.projection, losses.diou) == (1, 0.01, 1, 0.1)
    assert losses.matching == "hungarian"
    schedule = config.schedule
    assert (schedule.steps, schedule.residual_from, schedule.final_learning_rate) == (3000, 1000, 0.01)
    rates = (schedule.learning_rate_location, schedule.learning_rate_extent, schedule.learning_rate_yaw)
    assert rates == (0.01, 0.01, 0.01)
    assert (schedule.learning_rate_embedding, schedule.learning_rate_hypernetwork) == (1e-3, 1e-4)
    assert schedule.sigma == schedule.temperature == (1, 0.1)
    assert schedule.cosine_ratio == (0, 1)
    assert config.start.kind == "flat"


def test_sizes_of_a_class_are_laid_over_the_defaults(config_file) -> None:
    text = "base: kitti360_vsrd\nbox: {sizes: {car: {half_extents_max: [1.2, 1.2, 3.0]}}}"
    sizes, defaults = load_config(config_file(text), ["box.sizes.bus.body=car"]).box.sizes, VSRDConfig().box.sizes
    assert sizes["car"] == defaults["car"].model_copy(update={"half_extents_max": (1.2, 1.2, 3.0)})
    assert sizes["bus"] == defaults["bus"].model_copy(update={"body": "car"})
    assert list(sizes) == list(defaults) == ["car", "truck", "bus", "caravan", "trailer"]
    assert sizes["trailer"] == defaults["trailer"]


def test_the_defaults_are_not_changed_by_a_configuration(config_file) -> None:
    load_config(config_file(""), ["box.sizes.car.half_extents_max=[3, 3, 9]"])
    assert VSRDConfig().box.sizes["car"].half_extents_max == (1, 1, 2.5)


def leaves(values: dict, prefix: str = ""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_the_published_file_spells_out_every_value() -> None:
    text = (resources.files("vsrd_ray.labelers.vsrd") / "configs" / "kitti360_vsrd.yaml").read_text()
    assert dict(leaves(yaml.safe_load(text))) == dict(leaves(VSRDConfig().model_dump(mode="json")))


def changed(value):
    """Another value that is as valid."""
    match value:
        case bool():
            return not value
        case int():
            return value + 4
        case float():
            return value * 0.9 or 0.25
        case None:
            return 1.0
        case list():
            return [item if i else (item * 0.9 or 0.1) for i, item in enumerate(value)]
    return {
        "exact": "transform",
        "hungarian": "identity",
        "flat": "body",
        "random": "body",
        "vsrd": "scene",
        "car": "box",
        "box": "car",
    }.get(value)


def test_the_hash_changes_with_every_value() -> None:
    config = VSRDConfig()
    names = [(name, value) for name, value in leaves(config.model_dump(mode="json")) if name != "labeler"]
    hashes = {config.hash()}
    for name, value in names:
        other = [4, 16] if name == "field.hidden_sizes" else changed(value)
        hashes.add(load_config("kitti360_vsrd", [f"{name}={yaml.safe_dump(other)}"]).hash())
    assert len(hashes) == len(names) + 1
