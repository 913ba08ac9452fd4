from importlib import resources
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from vsrd_ray.errors import ConfigError
from vsrd_ray.labelers.configs import load_config, shipped_configs
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.settings import differences


@pytest.fixture
def config_file(tmp_path: Path):
    """Writes a configuration and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_what_ships() -> None:
    assert shipped_configs() == ["demo", "fast", "kitti360_vsrd"]


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


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configurations_load_and_survive_a_dump(name: str, config_file) -> None:
    config = load_config(name)
    again = load_config(config_file(yaml.safe_dump(config.model_dump(mode="json"))))
    assert again == config and again.hash() == config.hash()


def test_single_values_are_overridden(config_file) -> None:
    config = load_config(
        config_file("schedule: {steps: 50}"),
        ["schedule.residual_from=7", "field.hidden_sizes=[8, 8]", "rendering.bounds_margin=null", "seed=3"],
    )
    assert (config.schedule.steps, config.schedule.residual_from, config.seed) == (50, 7, 3)
    assert config.field.hidden_sizes == (8, 8) and config.rendering.bounds_margin is None
    assert config.schedule.sigma == (1.0, 0.1)


def test_sizes_of_a_class_are_laid_over_the_defaults(config_file) -> None:
    text = "box: {sizes: {car: {half_extents_max: [1.2, 1.2, 3.0]}}}"
    sizes, defaults = load_config(config_file(text), ["box.sizes.bus.body=car"]).box.sizes, VSRDConfig().box.sizes
    assert sizes["car"] == defaults["car"].model_copy(update={"half_extents_max": (1.2, 1.2, 3.0)})
    assert sizes["bus"] == defaults["bus"].model_copy(update={"body": "car"})
    assert list(sizes) == list(defaults) == ["car", "truck", "bus", "caravan", "trailer"]
    assert sizes["trailer"] == defaults["trailer"]


def test_the_defaults_are_not_changed_by_a_configuration(config_file) -> None:
    load_config(config_file(""), ["box.sizes.car.half_extents_max=[3, 3, 9]"])
    assert VSRDConfig().box.sizes["car"].half_extents_max == (1, 1, 2.5)


def test_the_last_override_wins(config_file) -> None:
    assert load_config(config_file(""), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.stepz=3", "unknown key 'schedule.stepz'; did you mean 'schedule.steps'?"),
        ("shedule.steps=3", "unknown key 'shedule'; did you mean 'schedule'?"),
        ("schedule.steps=-1", "schedule.steps: Input should be greater than or equal to 0 (got -1)"),
        ("schedule.steps=many", "schedule.steps: Input should be a valid integer"),
        ("losses.matching=nearest", "losses.matching: Input should be 'hungarian' or 'identity' (got 'nearest')"),
        ("schedule.sigma=[1.0, -0.1]", "schedule.sigma.1: Input should be greater than 0 (got -0.1)"),
        ("rendering.far=-1", "rendering.far: Input should be greater than 0 (got -1)"),
        ("rendering.near=200", "rendering: Value error, far (100.0) must be greater than near (200.0)"),
        ("box.location_min=[0, 9, 0]", "box: Value error, every minimum must lie below its maximum"),
        (
            "schedule.steps=0",
            "configuration: Value error, schedule.steps 0 leaves boxes where they start: start.kind must",
        ),
        (
            "box.sizes.car.half_extents_min=[1, 1, 9]",
            "box.sizes.car: Value error, every minimum must lie below its max",
        ),
        (
            "box.sizes.car.half_extents_mean=[1, 1, 9]",
            "box.sizes.car: Value error, every mean must lie between its mini",
        ),
        (
            "box.sizes.bus.half_extents_spread=[0, 1, 1]",
            "box.sizes.bus: Value error, extents and spreads must be greater",
        ),
        ("box.sizes.car.body_=car", "unknown key 'box.sizes.car.body_'; did you mean 'box.sizes.car.body'?"),
        ("box.sizes.tram.body=box", "box.sizes.tram.half_extents_min: Field required"),
        ("start.kind=hull", "start.kind: Input should be 'flat' or 'body' (got 'hull')"),
        ("schedule.steps", "--set schedule.steps: expected KEY=VALUE, such as schedule.steps=200"),
        ("seed.x=1", "--set seed.x=1: seed is a value, not a section"),
        ("seed=[1", "--set seed=[1: '[1' is not valid YAML"),
    ],
)
def test_bad_values_are_explained_in_one_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config("kitti360_vsrd", [override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_several_faults_are_told_at_once(config_file) -> None:
    with pytest.raises(ConfigError, match=r"masks\.softness.*; unknown key 'seeds'; did you mean 'seed'"):
        load_config(config_file("masks: {softness: 0}\nseeds: 1"))


@pytest.mark.parametrize("text", ["- a\n- b", "just words", "3"])
def test_a_file_without_keys_is_refused(text: str, config_file) -> None:
    with pytest.raises(ConfigError, match="expected keys and values, got"):
        load_config(config_file(text))


def test_a_file_that_is_no_yaml_is_refused(config_file) -> None:
    with pytest.raises(ConfigError, match="not valid YAML") as raised:
        load_config(config_file("a: [1"))
    assert "\n" not in str(raised.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="no configuration 'demmo': give a YAML file or one of demo, fast, kitti360_vsrd"
    ):
        load_config("demmo")


def test_an_empty_file_is_the_default(config_file) -> None:
    assert load_config(config_file("")) == VSRDConfig()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        VSRDConfig().schedule.steps = 3


def test_the_hash_does_not_hang_on_how_values_are_written(config_file) -> None:
    one = load_config(config_file("seed: 1\nschedule: {steps: 100, sigma: [1, 0.1]}")).hash()
    other = load_config(config_file("schedule: {sigma: [1.0, 1.0e-1], steps: 100.0}\nseed: 1")).hash()
    assert one == other
    assert len(one) == 12 and int(one, 16) >= 0


def leaves(values: dict, prefix: str = ""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_the_published_file_spells_out_every_value() -> None:
    text = (resources.files("vsrd_ray") / "configs" / "kitti360_vsrd.yaml").read_text()
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


def test_differences_name_what_changed() -> None:
    old = VSRDConfig().model_dump(mode="json")
    new = load_config("kitti360_vsrd", ["schedule.steps=100", "seed=2"]).model_dump(mode="json")
    assert differences(old, new) == ["schedule.steps: 3000 -> 100", "seed: 0 -> 2"]
    assert differences(old, old) == []
    assert differences({}, {"a": 1}) == ["a: None -> 1"]
