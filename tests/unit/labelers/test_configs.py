"""Configurations of all labelers, at the example of VSRD's."""

import pytest
import yaml
from pydantic import ValidationError

from vsrd_ray.errors import ConfigError
from vsrd_ray.labelers.configs import load_config, shipped_configs
from vsrd_ray.labelers.vsrd.config import VSRDConfig


def test_what_ships() -> None:
    assert shipped_configs() == [
        "demo",
        "density",
        "fast",
        "kitti360_vsrd",
        "masks",
        "occupancy",
        "pointsam",
        "pointsam_published",
    ]


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configurations_load_and_survive_a_dump(name: str, config_file) -> None:
    config = load_config(name)
    again = load_config(config_file(yaml.safe_dump(config.model_dump(mode="json"))))
    assert again == config and again.hash() == config.hash()


def test_single_values_are_overridden(config_file) -> None:
    config = load_config(
        config_file("base: kitti360_vsrd\nschedule: {steps: 50}"),
        ["schedule.residual_from=7", "field.hidden_sizes=[8, 8]", "rendering.bounds_margin=null", "seed=3"],
    )
    assert (config.schedule.steps, config.schedule.residual_from, config.seed) == (50, 7, 3)
    assert config.field.hidden_sizes == (8, 8) and config.rendering.bounds_margin is None
    assert config.schedule.sigma == (1.0, 0.1)


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


@pytest.mark.parametrize(("name", "nearest"), [("demmo", "demo"), ("kitti", "kitti360_vsrd"), ("fast.yaml", "fast")])
def test_an_unknown_name_lists_the_known_ones_and_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(name)
    assert str(raised.value) == (
        f"no configuration {name!r}; did you mean {nearest!r}? Give a YAML file or one of "
        + ", ".join(shipped_configs())
    )


def test_an_unknown_labeler_is_named_with_the_nearest(config_file) -> None:
    path = config_file("labeler: vrsd")
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    assert str(raised.value).startswith(
        f"{path}: labeler: no labeler 'vrsd' is installed; did you mean 'vsrd'? There are "
    )


@pytest.mark.parametrize("text", ["", "# nothing yet", "base:", "grouping:\nschedule:", "base: fast"])
def test_a_file_that_says_nothing_is_the_default(text: str, config_file) -> None:
    assert load_config(config_file(text)) == load_config("fast") != VSRDConfig()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        VSRDConfig().schedule.steps = 3


def test_the_hash_does_not_hang_on_how_values_are_written(config_file) -> None:
    one = load_config(config_file("seed: 1\nschedule: {steps: 100, sigma: [1, 0.1]}")).hash()
    other = load_config(config_file("schedule: {sigma: [1.0, 1.0e-1], steps: 100.0}\nseed: 1")).hash()
    assert one == other
    assert len(one) == 12 and int(one, 16) >= 0
