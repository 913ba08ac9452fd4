"""The names for notebooks, and the example that uses them."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import vsrd_ray
from vsrd_ray.cli import main
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.labels.boxes.pictures.annotated import read_image
from vsrd_ray.synthetic import StreetSettings, synthesize

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ["grouping={min_area: 40, min_box_side: 6}", "masks.softness=3.0"]
NUMBERS = ("x_world", "y_world", "z_world", "length", "width", "height", "yaw_world", "confidence", "truncation")


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("street")
    synthesize(root, StreetSettings(frames=20, cars=3, seed=1, image_size=(704, 188)))
    return root


@pytest.fixture(scope="module")
def sequence(street):
    return vsrd_ray.open_sequence(street, "2013_05_28_drive_0000_sync")


@pytest.fixture(scope="module")
def config():
    return vsrd_ray.load_config("fast", SMALL)


@pytest.fixture(scope="module")
def output(street, sequence, tmp_path_factory) -> Path:
    """What the command makes of the street."""
    output = tmp_path_factory.mktemp("run") / "output"
    command = ["label", "--root", street, "--sequence", sequence.name, "--output", output, "--serial"]
    settings = [word for setting in SMALL for word in ("--set", setting)]
    done = CliRunner().invoke(main, [*map(str, command), *settings])
    assert done.exit_code == 0, done.output
    return output


def test_groups_labelled_here_are_those_of_a_run(sequence, config, output):
    groups = vsrd_ray.make_groups(sequence, config=config)
    here = [row for group in groups for row in vsrd_ray.label_group(group, config=config).to_pylist()]
    run = vsrd_ray.read_labels(output).to_pylist()
    here.sort(key=lambda row: (row["frame"], row["instance_id"]))
    assert [(row["frame"], row["instance_id"]) for row in here] == [(row["frame"], row["instance_id"]) for row in run]
    assert run and {row["sequence"] for row in run} == {sequence.name}
    for row, other in zip(here, run, strict=True):
        assert [row[name] for name in NUMBERS] == pytest.approx([other[name] for name in NUMBERS], abs=1e-4)
        assert (row["group_id"], row["config_hash"]) == (other["group_id"], other["config_hash"])


def test_labels_become_a_data_frame(output):
    assert vsrd_ray.read_labels(str(output)).to_pandas()["confidence"].between(0, 1).all()


def test_drawn_frame_shows_the_boxes_of_its_labels_alone(sequence, output):
    labels = vsrd_ray.read_labels(output)
    frame = labels["frame"][0].as_py()
    plain = read_image(sequence, frame)[..., ::-1]
    drawn, empty = (vsrd_ray.draw_frame(sequence, frame, rows) for rows in (labels, labels.slice(0, 0)))
    np.testing.assert_array_equal(empty, plain)
    assert drawn.shape == plain.shape and drawn.dtype == np.uint8
    others = labels.filter(np.array(labels["frame"]) != frame)
    np.testing.assert_array_equal(vsrd_ray.draw_frame(sequence, frame, others), plain)
    row = labels.slice(0, 1).to_pylist()[0]
    changed = (drawn != plain).any(axis=-1)
    left, top, right, bottom = (round(row[f"bbox_{side}"]) for side in ("left", "top", "right", "bottom"))
    assert changed[top : bottom + 1, left : right + 1].mean() > 0.2


def test_frame_without_a_pose_is_refused(sequence, output):
    with pytest.raises(InputError, match=r"frame 99 .* has no pose"):
        vsrd_ray.draw_frame(sequence, 99, vsrd_ray.read_labels(output))


def test_a_data_frame_is_drawn_as_its_table_is(sequence, output):
    labels = vsrd_ray.read_labels(output)
    frame = labels["frame"][0].as_py()
    table, data_frame = labels, labels.to_pandas()
    drawn, again = (vsrd_ray.draw_frame(sequence, frame, rows) for rows in (table, data_frame))
    np.testing.assert_array_equal(again, drawn)
    empty = vsrd_ray.draw_frame(sequence, frame, data_frame.iloc[:0])
    np.testing.assert_array_equal(empty, vsrd_ray.draw_frame(sequence, frame, labels.slice(0, 0)))


def test_other_labels_than_tables_are_refused(sequence, output):
    labels = vsrd_ray.read_labels(output)
    with pytest.raises(InputError, match=r"expected an Arrow table or a DataFrame, got list: give what label_group or"):
        vsrd_ray.draw_frame(sequence, labels["frame"][0].as_py(), labels.to_pylist())  # pyright: ignore


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("car", r"got the text 'car': write classes=\('car',\)"),
        ((), r'none is named: give some, such as classes=\("car",\)'),
        (("car", "cars"), r"classes: no class 'cars' in KITTI-360; did you mean 'car'\?"),
    ],
)
def test_classes_that_would_give_no_group_are_refused(sequence, config, classes, message):
    with pytest.raises(InputError, match=message):
        vsrd_ray.make_groups(sequence, classes=classes, config=config)


def test_a_configuration_may_be_a_path(sequence, config, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert vsrd_ray.load_config(file) == config
    of_path, of_config = (vsrd_ray.make_groups(sequence, config=one) for one in (file, config))
    assert [group.plan for group in of_path] == [group.plan for group in of_config] != []
    with pytest.raises(ConfigError, match=r"got the text 'seed=1': write \['seed=1'\]"):
        vsrd_ray.load_config("fast", "seed=1")


def test_a_device_that_is_not_there_is_named(sequence, config):
    group = vsrd_ray.make_groups(sequence, config=config)[0]
    for device in ("cuda:99", "gpu"):
        with pytest.raises(InputError, match=rf"^device '{device}' cannot be used \(.*\): give \"cpu\""):
            vsrd_ray.label_group(group, config=config, device=device)


def test_the_package_says_that_it_is_typed():
    package = REPOSITORY / "vsrd_ray"
    assert (package / "py.typed").is_file()
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"]["vsrd_ray"]


def test_names_are_documented():
    for name in vsrd_ray.__all__:
        assert getattr(vsrd_ray, name).__doc__
    assert 'vsrd_ray.load_config("fast", [' in (vsrd_ray.load_config.__doc__ or "")


def test_names_are_there_and_no_others():
    assert set(vsrd_ray.__all__) <= set(dir(vsrd_ray))
    with pytest.raises(AttributeError, match="no attribute 'label_groups'"):
        _ = vsrd_ray.label_groups  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("vsrd_ray", {"torch", "ray", "cv2", "numpy"}),
        ("vsrd_ray.engines.ray_data.stages", {"torch", "scipy"}),  # by each of Ray's workers
    ],
)
def test_imports_are_quick(module, slow):
    code = f"import sys, {module}; assert not {slow} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_label_evaluate_and_export_are_the_commands(street, sequence, config, output, tmp_path):
    found = vsrd_ray.label(street, sequence.name, tmp_path / "labels", config=config)
    assert repr(found).startswith(f"<Summary of {tmp_path / 'labels'}: 20 frames, ") and repr(found).endswith(" boxes>")
    labels, others = vsrd_ray.read_labels(tmp_path / "labels"), vsrd_ray.read_labels(output)
    assert labels.num_rows and labels.drop_columns(["group_id"]).equals(others.drop_columns(["group_id"]))
    done = CliRunner().invoke(main, ["evaluate", str(output), "--root", str(street), "--json", "--max-range", "30"])
    assert json.loads(done.stdout) == json.loads(json.dumps(vsrd_ray.evaluate(output, street, max_range=30.0)))
    said = vsrd_ray.export(output, street, tmp_path / "csv", format="csv", min_confidence=0.5)
    assert "written to" in said and list((tmp_path / "csv").rglob("*.csv"))


def test_options_and_datasets_that_do_not_fit_are_refused(street, output, tmp_path):
    with pytest.raises(InputError, match="max_rage: evaluate of boxes has the options max_range"):
        vsrd_ray.evaluate(output, street, max_rage=30.0)
    with pytest.raises(InputError, match="no format 'kiti'"):
        vsrd_ray.export(output, street, tmp_path / "x", format="kiti")
    synthesize(tmp_path / "other", StreetSettings(frames=4, cars=1, seed=2, image_size=(352, 94)))
    with pytest.raises(InputError, match="other"):
        vsrd_ray.evaluate(output, tmp_path / "other")


def test_what_a_notebook_shows_is_short(sequence, config):
    assert repr(sequence).startswith("<Drive 2013_05_28_drive_0000_sync of kitti360: image_00; 20 frames with ")
    (group, *_) = vsrd_ray.make_groups(sequence, config=config)
    assert repr(group) == f"<GroupTask {group.plan.group_id}: {len(group.plan.view_frames)} views, 3 instances>"


@pytest.mark.slow
def test_example_runs(tmp_path):
    command = [sys.executable, REPOSITORY / "docs" / "example.py", "street"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    used = (REPOSITORY / "docs" / "example.py").read_text()
    assert all(f"vsrd_ray.{name}" in used for name in vsrd_ray.__all__)
    assert (tmp_path / "street.png").stat().st_size > 10_000
    assert "24 frames of 704 x 188 px" in done.stdout and re.search(r"\b[1-9]\d* boxes in 24 frames", done.stdout)
