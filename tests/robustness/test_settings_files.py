"""Configurations: files that hold no configuration, values that cannot be, and what a file does not say."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vsrd_ray.errors import ConfigError
from vsrd_ray.labelers.configs import DEFAULT_CONFIG, configs_of, load_config, shipped_configs, title_of
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.priors import load_prior, train_prior
from vsrd_ray.options import config_options

in_a_folder = settings(
    max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def config_file(tmp_path: Path):
    """Writes a configuration and returns its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def refusal(name_or_file: str, overrides: tuple[str, ...] = ()) -> str:
    """The one line of a configuration that is refused."""
    with pytest.raises(ConfigError) as raised:
        load_config(name_or_file, overrides)
    line = str(raised.value)
    assert "\n" not in line and len(line) < 1500, line
    return line


# What a file does not say


@pytest.mark.parametrize("base", configs_of("vsrd"))
def test_a_file_says_in_what_it_departs_from_its_base(base, config_file):
    file = config_file(f"base: {base}\nseed: 7\nmasks: {{softness: 12}}\nbox: {{sizes: {{bus: {{body: car}}}}}}")
    changes = ["seed=7", "masks.softness=12", "box.sizes.bus.body=car"]
    assert load_config(file) == load_config(base, changes)
    assert load_config(file).hash() == load_config(base, changes).hash()


def test_a_file_without_a_base_departs_from_the_default(config_file):
    assert load_config(config_file("seed: 1")) == load_config(DEFAULT_CONFIG, ["seed=1"])
    options = {parameter.name: parameter.default for parameter in config_options(lambda: None).__click_params__}
    assert options["config"] == DEFAULT_CONFIG


@pytest.mark.parametrize("name", shipped_configs())
def test_a_copy_of_what_ships_is_what_ships(name, config_file):
    shipped = Path(__file__).resolve().parents[2] / "configs" / f"{name}.yaml"
    assert load_config(config_file(shipped.read_bytes())).hash() == load_config(name).hash()


@pytest.mark.parametrize("base", ["slow", "mine.yaml", "[fast]", "7", "{a: b}", "../configs/fast.yaml"])
def test_a_base_is_one_that_ships(base, config_file):
    file = config_file(f"base: {base}")
    assert "base: no configuration" in (line := refusal(file))
    assert file in line and "give one of demo, density, fast, kitti360_vsrd" in line


def test_a_base_is_not_changed_by_what_is_laid_over_it(config_file):
    before = load_config("fast").hash()
    load_config(config_file("box: {sizes: {car: {half_extents_max: [3, 3, 9]}}}"), ["schedule.steps=3"])
    assert load_config("fast").hash() == before


def test_values_that_an_alias_shares_are_changed_one_by_one(config_file):
    car = "{half_extents_min: [1, 1, 2], half_extents_max: [2, 2, 4], half_extents_mean: [1, 1, 3], body: box}"
    file = config_file(f"box: {{sizes: {{car: &car {car}, truck: *car}}}}")
    sizes = load_config(file, ["box.sizes.car.body=car"]).box.sizes  # pyright: ignore[reportAttributeAccessIssue]
    assert (sizes["car"].body, sizes["truck"].body) == ("car", "box")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fast", "bodies fitted to outlines, each instance once over the scene"),
        ("demo", "40 volumetric steps from bodies fitted to outlines, each instance in each frame group that shows it"),
        ("kitti360_vsrd", "3,000 volumetric steps from flat boxes, each instance in each frame group that shows it"),
    ],
)
def test_a_configuration_says_how_labels_come_about(name, words):
    assert load_config(name).in_words == words


def test_the_first_line_of_a_run_says_what_is_at_work(label, here):
    (here / "mine.yaml").write_text("start: {contour_steps: 1}\n")
    result = label("--config", "mine.yaml", "--set", "start.headings=2", "--limit", "1")
    assert result.exit_code == 0, result.output
    line, *others = result.stderr.splitlines()
    assert not [other for other in others if other.startswith("Configuration")]
    config_hash = json.loads((here / "new" / "manifest.json").read_text())["config_hash"]
    assert line == (
        f"Configuration mine.yaml over fast --set start.headings=2 ({config_hash}): "
        "bodies fitted to outlines, each instance once over the scene"
    )


def test_titles_name_what_was_given(config_file):
    assert title_of("demo", ["seed=2"]) == "demo --set seed=2"
    file = config_file("base: kitti360_vsrd")
    assert title_of(file) == f"{file} over kitti360_vsrd"


# Files that hold no configuration


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "latin-1": (b"# caf\xe9\nseed: 1\n", "no text in UTF-8"),
    "utf-16 without its mark": ("seed: 1\n".encode("utf-16-le"), "no text in UTF-8"),
    "utf-32": ("seed: 1\n".encode("utf-32"), "no text in UTF-8"),
    "cut within a letter": ("seed: 1 # é".encode()[:-1], "no text in UTF-8"),
    "nul": (b"seed: 1\0", "no text in UTF-8"),
    "noise": (np.random.default_rng(0).bytes(400), "mine.yaml"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no text in UTF-8"),
    "key twice": ("seed: 1\nseed: 2\n", "the key 'seed' stands twice"),
    "key twice below": ("schedule: {steps: 1, sigma: [1, 1], steps: 2}", "the key 'steps' stands twice"),
    "key twice, once quoted": ("seed: 1\n'seed': 2\n", "stands twice"),
    "section twice": ("masks: {softness: 1}\nschedule: {}\nmasks: {refine: true}", "the key 'masks' stands twice"),
    "bomb": (BOMB, "more than 10,000 values"),
    "bomb of keys": (BOMB.replace("[", "{k: [").replace("]", "]}"), "more than 10,000 values"),
    "endless": ("a: &a [*a]", "more than 10,000 values"),
    "many values": ("field: {hidden_sizes: [" + "1," * 10_001 + "]}", "more than 10,000 values"),
    "deep": ("[" * 90_000, "more than 50 brackets deep"),
    "deep by dashes": ("- " * 5000 + "x", "RecursionError"),
    "huge": ("# " + "x" * 100_000, "larger than 100,000 bytes"),
    "tab": ("schedule:\n\tsteps: 3\n", "'\\t' that cannot start any token"),
    "list": ("- seed: 1\n", "expected keys and values, got list"),
    "text": ("seed", "expected keys and values, got str"),
    "number": ("0", "expected keys and values, got int"),
    "no": ("no", "expected keys and values, got bool"),
    "two documents": ("seed: 1\n---\nseed: 2\n", "expected a single document"),
    "json in part": ('{"seed": 1', "not valid YAML"),
    "python": ("seed: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    "13th month": ("seed: 2001-13-01", "month must be in 1..12"),
    "no int": ("seed: !!int ''", "not valid YAML"),
    "no bool": ("seed: !!bool perhaps", "not valid YAML"),
    "no time": ("seed: !!timestamp soon", "not valid YAML"),
    "unhashable key": ("[1, 2]: 3", "not valid YAML"),
    "undefined alias": ("seed: *seed", "undefined alias"),
    "html": ("<!DOCTYPE html><p>404: not found", "mine.yaml"),
    "toml": ("seed = 1\n", "expected keys and values, got str"),
    "section that is a list": ("schedule: [3]", "schedule: Input should be a valid dictionary"),
    "section that is a number": ("schedule: 3", "schedule: Input should be a valid dictionary"),
    "sizes that are a list": ("box: {sizes: [car]}", "box.sizes: Input should be a valid dictionary"),
    "number for a key": ("3: 4", "3"),
    "yes for a key": ("on: 4", "True"),
    "null for a key": ("~: 4", "None"),
    "labeler that is a list": ("labeler: [vsrd]", "labeler: no labeler"),
    "words for numbers": ("schedule: {steps: forty}", "schedule.steps: Input should be a valid integer"),
    "many faults": ("field: {hidden_sizes: [" + "x, " * 1000 + "]}", "and 995 more"),
    "setting of another section": ("steps: 3", "unknown key 'steps'; did you mean 'schedule.steps'?"),
    "setting of several others": ("kind: body", "did you mean 'grouping.kind' or 'start.kind'?"),
    "setting below a value": ("seed: {x: 1}", "seed: Input should be a valid integer"),
    "number as long as a book": ("seed: " + "9" * 5000, "not valid YAML"),
    "hexadecimal book": ("seed: 0x" + "f" * 5000, "seed: Input should be less than"),
    "surrogate": ('seed: "\\ud800"', "seed: Input should be a valid"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(name, config_file):
    content, said = FILES[name]
    file = config_file(content)
    line = refusal(file)
    assert line.startswith(f"{file}: ") and said in line


def test_the_command_refuses_it_alike(label, refused, here):
    (here / "mine.yaml").write_bytes(FILES["latin-1"][0])
    refused(label("--config", "mine.yaml"), "mine.yaml", "save it as UTF-8")
    assert not (here / "new").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_be_in_any_unicode_that_says_so(encoding, config_file):
    assert load_config(config_file("# für uns\r\nseed: 1\r\n".encode(encoding))).seed == 1


def test_merged_keys_may_be_said_anew(config_file):
    text = "box: {sizes: {truck: &truck {body: car}, bus: {<<: *truck, body: box}, trailer: {<<: *truck}}}"
    sizes = load_config(config_file(text)).box.sizes  # pyright: ignore[reportAttributeAccessIssue]
    assert [sizes[name].body for name in ("truck", "bus", "trailer")] == ["car", "box", "car"]


def test_numbers_that_yaml_takes_for_text_are_numbers(config_file):
    text = "losses: {eikonal: 1e-3}\nmasks: {softness: '12'}"
    config: Any = load_config(config_file(text))
    assert (config.losses.eikonal, config.masks.softness) == (1e-3, 12.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "is a folder: give a YAML file in it"),
        ("not_there.yaml", "no configuration 'not_there.yaml'"),
        ("x" * 5000, "cannot be read (File name too long)"),
        ("seed: 1\n" * 3, "no configuration"),
        ("a\0b", "configuration"),
    ],
)
def test_what_is_no_file_is_refused(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(ConfigError) as raised:
        load_config(name)
    assert said in str(raised.value)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_that_may_not_be_read_is_refused(config_file, monkeypatch):
    file = config_file("seed: 1")

    def denied(path: Path, *arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)  # root may read whatever it likes
    assert f"{file!r} cannot be read (Permission denied)" in refusal(file)


@in_a_folder
@given(content=st.binary(max_size=60))
def test_whatever_bytes_there_are_they_are_a_configuration_or_one_line(content, config_file):
    try:
        load_config(config_file(content))
    except ConfigError as error:
        assert "\n" not in str(error)


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["steps", "car", "x"]) | st.integers(), inner)
    ),
    max_leaves=6,
)


@in_a_folder
@given(values=st.dictionaries(st.sampled_from(["base", "labeler", *VSRDConfig.model_fields]), YAML, max_size=3))
def test_whatever_values_there_are_they_are_a_configuration_or_one_line(values, config_file):
    try:
        load_config(config_file(yaml.safe_dump(values, allow_unicode=True)))
    except ConfigError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["", "seed=", "schedule.steps=", "box.sizes.car=", "rendering.bounds_margin.", "="]),
    st.text(max_size=8),
)
@example("seed=", "&a [*a]")
@example("", ".=")
@example("schedule.steps=", "{a: 1, a: 2}")
def test_whatever_is_set_it_is_a_configuration_or_one_line(start, rest):
    try:
        load_config("fast", [start + rest])
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("=3", "--set =3: expected KEY=VALUE"),
        (".seed=3", "--set .seed=3: expected KEY=VALUE"),
        ("schedule.=3", "expected KEY=VALUE"),
        ("schedule..steps=3", "expected KEY=VALUE"),
        ("schedule.steps:3", "expected KEY=VALUE"),
        ("schedule.steps==3", "schedule.steps: Input should be a valid integer"),
        ("schedule.steps=", "schedule.steps: Input should be a valid integer"),
        ("schedule steps=3", "unknown key 'schedule steps'"),
        ("schedule/steps=3", "unknown key 'schedule/steps'"),
        ("steps=3", "did you mean 'schedule.steps'?"),
        ("seed=2001-13-01", "is not valid YAML (ValueError: month must be in 1..12)"),
        ("seed={a: 1, a: 2}", "the key 'a' stands twice"),
        ("seed=" + "[" * 3000, "is not valid YAML"),
        ("schedule.sigma.0=3", "sigma is a value, not a section"),
        ("base=demo", "unknown key 'base'"),
        ("box.sizes.car.body.x=1", "body is a value"),
        ("SEED=1", "did you mean 'seed'?"),
        ("schedule.Steps=1", "did you mean 'schedule.steps'?"),
        ("zzz=1", "unknown key 'zzz'; there are labeler, seed, grouping"),
        ("schedule.steps=yes", "schedule.steps: Value error, expected another value than yes or no (got True)"),
        ("rendering.bounds_margin=off", "expected another value than yes or no"),
        ("masks.refine=maybe", "masks.refine: Input should be a valid boolean"),
    ],
)
def test_odd_changes_are_refused(override, said):
    assert said in refusal("fast", (override,))


def test_space_around_a_key_is_no_part_of_it():
    assert load_config("fast", [" schedule . steps = 3 "]) == load_config("fast", ["schedule.steps=3"])


# Values that are no numbers


def _numbers(values: Any, path: str = "") -> list[tuple[str, Any]]:
    """Paths and values of all settings that are numbers, or several."""
    if isinstance(values, dict):
        return [found for key, value in values.items() for found in _numbers(value, f"{path}.{key}" if path else key)]
    one = values[0] if isinstance(values, list) else values
    return [(path, values)] if isinstance(one, float | int) and not isinstance(one, bool) else []


NUMBERS = [*_numbers(VSRDConfig().model_dump(mode="json")), ("rendering.bounds_margin", 0.5)]


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize(("path", "usual"), NUMBERS)
def test_no_number_may_be_infinite_or_none_at_all(path, usual, value):
    if not isinstance(usual, list):
        assert path in refusal("kitti360_vsrd", (f"{path}={value}",))
        return
    for place in range(len(usual)):
        words = [value if place == n else str(one) for n, one in enumerate(usual)]
        assert f"{path}.{place}: " in refusal("kitti360_vsrd", (f"{path}=[{', '.join(words)}]",))


@pytest.mark.parametrize("text", ["nan", "'inf'", "1e999", "-.INF", ".NaN", "Infinity"])
def test_nor_by_other_words(text):
    assert "masks.softness" in refusal("fast", (f"masks.softness={text}",))


@pytest.mark.parametrize("value", ["1e300", "1e-300", "1e39"])
@pytest.mark.parametrize("path", ["masks.softness", "start.outlier", "start.clearance_weight", "schedule.sigma"])
def test_no_number_may_be_lost_in_single_precision(path, value):
    values = f"[{value}, {value}]" if path == "schedule.sigma" else value
    assert f"{path}: Value error, expected 0, or numbers from" in refusal("fast", (f"{path}={values}",))


@pytest.mark.parametrize("path", [path for path, usual in NUMBERS if isinstance(usual, int)])
def test_no_count_is_larger_than_tables_hold(path):
    assert path in refusal("fast", (f"{path}={2**63}",))


@pytest.mark.parametrize("setting", ["box.location_min=[.nan, -4.3, 0]", "start.contour_noise=.inf"])
def test_the_command_refuses_them(label, refused, here, setting):
    refused(label("--set", setting), setting.partition("=")[0])
    assert not (here / "new").exists()


# Priors

ARRAYS = {
    "nan": lambda mean, basis: {"mean": mean, "basis": basis * np.nan},
    "nan in the mean": lambda mean, basis: {"mean": np.where(mean == mean.max(), np.nan, mean), "basis": basis},
    "infinite": lambda mean, basis: {"mean": mean, "basis": np.full_like(basis, np.inf)},
    "zeros": lambda mean, basis: {"mean": mean * 0, "basis": basis},
    "millimetres": lambda mean, basis: {"mean": mean * 1000, "basis": basis * 1000},
    "moved": lambda mean, basis: {"mean": mean + 1, "basis": basis},
    "too long for its type": lambda mean, basis: {"mean": mean.astype(np.float64) * 1e300, "basis": basis},
    "without latents": lambda mean, basis: {"mean": mean, "basis": basis[:0]},
    "one latent, bare": lambda mean, basis: {"mean": mean, "basis": basis[0]},
    "turned": lambda mean, basis: {"mean": mean.T, "basis": basis.swapaxes(1, 2)},
    "scalar": lambda mean, basis: {"mean": np.float32(1), "basis": np.float32(1)},
    "texts": lambda mean, basis: {"mean": mean.astype(str), "basis": basis},
    "complex": lambda mean, basis: {"mean": mean.astype(complex), "basis": basis},
    "objects": lambda mean, basis: {"mean": mean.astype(object), "basis": basis},
    "swapped": lambda mean, basis: {"mean": basis, "basis": mean},
    "without a mean": lambda mean, basis: {"basis": basis},
    "of others": lambda mean, basis: {"images": np.zeros((3, 3))},
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_no_prior_are_refused(name, tmp_path):
    prior = load_prior("car")
    path = tmp_path / "odd.npz"
    np.savez(path, **ARRAYS[name](prior.mean, prior.basis))
    with pytest.raises(ConfigError) as raised:
        load_prior(str(path))
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("family", ["car", "box"])
@pytest.mark.parametrize(("latents", "seed"), [(1, 0), (8, 3), (32, 1)])
def test_whatever_is_trained_is_a_prior(family, latents, seed, tmp_path):
    prior = train_prior(family, samples=100, latents=latents, seed=seed)
    np.savez(tmp_path / "mine.npz", mean=prior.mean.astype(np.float64), basis=prior.basis.astype(">f4"))
    again = load_prior(str(tmp_path / "mine.npz"))
    assert again.mean.dtype == again.basis.dtype == np.float32
    assert np.array_equal(again.mean, prior.mean) and np.array_equal(again.basis, prior.basis)


@in_a_folder
@given(change=st.binary(max_size=40), place=st.integers(0, 3000))
def test_a_torn_prior_is_one_line(change, place, tmp_path):
    path = tmp_path / "torn.npz"
    prior = load_prior("car")
    np.savez(path, mean=prior.mean, basis=prior.basis[:1])
    content = path.read_bytes()
    path.write_bytes(content[:place] + change + content[place + len(change) :])
    try:
        load_prior(str(path))
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "name", ["nope", "", ".", "../shape_priors/car.npz", "x" * 5000, "a\0b", "Car", "s3://bucket/car.npz"]
)
def test_a_prior_that_is_not_there_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"shape prior .*give box, car or a file of `vsrd-ray train-prior`"):
        load_prior(name)


@pytest.mark.parametrize("body", ["nope", "nan.npz", "text.npz", "root"])
@pytest.mark.parametrize("class_name", ["car", "truck"])
def test_priors_are_checked_before_anything_is_written(label, refused, here, body, class_name):
    prior = load_prior("car")
    np.savez(here / "nan.npz", mean=prior.mean, basis=prior.basis * np.nan)
    (here / "text.npz").write_text("no archive")
    refused(label("--set", f"box.sizes.{class_name}.body={body}"), body, f"box.sizes.{class_name}.body")
    assert not (here / "new").exists()
