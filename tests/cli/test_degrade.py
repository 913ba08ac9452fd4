"""`vsrd-ray degrade`, and every command of docs/degrade.md."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from vsrd_ray.cli import main
from vsrd_ray.degradation import PRESETS, DegradeSettings

SEQUENCE = "2013_05_28_drive_0000_sync"
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "degrade.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
SMALL_STREET = ["--frames", "24", "--cars", "6", "--image-size", "352x96", "--seed", "3"]
SETTINGS = {  # by option, what it is given and what it becomes
    "--cut": (".6", 0.6),
    "--swap": (".2", 0.2),
    "--merge": (".3", 0.3),
    "--miss": (".4", 0.4),
    "--flicker": (".5", 0.5),
    "--false": ("1.5", 1.5),
    "--shadow": (".05-.1", [0.05, 0.1]),
    "--erode": ("1", 1),
    "--dilate": ("2", 2),
    "--ragged": (".5", 0.5),
    "--mask-head": ("28", 28),
    "--blocks": ("8", 8),
}


@pytest.fixture
def refuse(command, street, tmp_path):
    """Runs `vsrd-ray degrade` on the street and returns its one line; nothing is written."""

    def run(*options, root=street, output=tmp_path / "bad"):
        before = sorted(tmp_path.rglob("*"))
        result = command("degrade", root, output, *options)
        assert result.exit_code == 2 and result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ") and sorted(tmp_path.rglob("*")) == before
        return line

    return run


def settings_in(output: Path) -> dict:
    return json.loads((output / "degraded.json").read_text())["settings"]


def test_every_option_is_a_setting(command, street, tmp_path):
    options = [word for option, (text, _) in SETTINGS.items() for word in (option, text)]
    result = command("degrade", street, tmp_path / "bad", "--seed", 5, *options)
    assert result.exit_code == 0, result.output
    expected = {option.removeprefix("--").replace("-", "_"): value for option, (_, value) in SETTINGS.items()}
    assert settings_in(tmp_path / "bad") == expected
    assert json.loads((tmp_path / "bad" / "degraded.json").read_text())["seed"] == 5
    faults = r"\d tracks cut, .*\d masks missed, \d+ masks of another class, \d false objects"
    assert re.search(rf"{SEQUENCE} written to .*/bad: 24 frames, \d+ masks of \d objects; {faults}", result.stdout)
    assert f"Next: vsrd-ray label --root {tmp_path / 'bad'} --sequence {SEQUENCE}" in result.stdout


def test_options_and_page_follow_the_order_of_the_faults():
    order = [name for name in DegradeSettings.model_fields if name != "seed"]
    options = [parameter.name for parameter in main.commands["degrade"].params]
    assert [name for name in options if name in order] == order
    rows = re.findall(r"^\| `--.*?\|", PAGE, flags=re.MULTILINE)
    named = dict.fromkeys(re.findall(r"--([a-z-]+)", "".join(rows)))
    assert [name.replace("-", "_") for name in named] == order


def test_a_preset_is_what_help_and_page_say(command, street, tmp_path):
    (said,) = re.findall(r"`--preset mild` is `([^`]*)`", PAGE)
    help_text = " ".join(command("degrade", "--help").output.split())
    assert said in help_text
    assert command("degrade", street, tmp_path / "a", "--preset", "mild").exit_code == 0
    assert command("degrade", street, tmp_path / "b", *said.split()).exit_code == 0
    assert settings_in(tmp_path / "a") == settings_in(tmp_path / "b")
    assert {name: settings_in(tmp_path / "a")[name] for name in PRESETS["mild"]} == PRESETS["mild"]


def test_other_options_change_a_preset(command, street, tmp_path):
    options = ("--preset", "mild", "--miss", "0", "--erode", "1")
    assert command("degrade", street, tmp_path / "bad", *options).exit_code == 0
    settings = settings_in(tmp_path / "bad")
    assert (settings["miss"], settings["erode"], settings["mask_head"]) == (0.0, 1, 28)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--erode", "6"), r"--erode: .* less than or equal to 5 \(got 6\)"),
        (("--dilate", "-1"), r"--dilate: .* greater than or equal to 0 \(got -1\)"),
        (("--miss", "10"), r"--miss: .* less than or equal to 1 \(got 10"),
        (("--miss", "nan"), r"--miss: .* finite number \(got nan\)"),
        (("--false", "-1"), r"--false: .* greater than or equal to 0 \(got -1"),
        (("--ragged", "11"), r"--ragged: .* less than or equal to 10 \(got 11"),
        (("--mask-head", "3"), r"--mask-head: expected 0, or 4 to 256, got 3"),
        (("--blocks", "65"), r"--blocks: expected 0, or 2 to 64, got 65"),
        (("--shadow", ".2-.1"), r"--shadow: expected the lower share first, got 0.2-0.1"),
        (("--shadow", "some"), r"--shadow some: expected a share or a range of shares, such as .05-.1"),
        (("--shadow", "-.1"), r"--shadow -.1: expected a share or a range of shares"),
        (("--shadow", "2"), r"--shadow: .* less than or equal to 1 \(got 2"),
        (("--seed", "-1"), r"--seed: .* greater than or equal to 0 \(got -1\)"),
        (("--sequence", "2013_05_28_drive_0009_sync"), r"no sequence '2013_05_28_drive_0009_sync' .* give one of"),
        (("--camera", "image_07"), r"unknown camera 'image_07': give one of image_00, image_01"),
        (("--camera", "image_01"), r"image_01"),
        (("--dataset", "kitti"), r"no dataset 'kitti' is installed; did you mean 'kitti360'\?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_named_with_the_fix(refuse, options, said):
    assert re.search(said, refuse(*options))


def test_places_that_cannot_be_used(refuse, street, tmp_path):
    assert "nowhere: give the dataset's folder as ROOT" in refuse(root=tmp_path / "nowhere")
    assert "lies within ROOT" in refuse(output=street / "bad")
    assert "is not empty: nothing is overwritten; remove it, or choose another OUTPUT" in refuse(output=street)
    (tmp_path / "empty").mkdir()
    assert "data_poses" in refuse(root=tmp_path / "empty")
    (tmp_path / "file").touch()
    assert "is a file: give another OUTPUT" in refuse(output=tmp_path / "file")


@pytest.mark.slow
def test_commands_and_code_of_the_page_run(command, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = {"synthesize": SMALL_STREET, "label": [*quick, "--serial"]}
    names: dict = {}
    ran = []
    for language, text in BLOCKS:
        if language == "python":
            exec(compile(text, "degrade.md", "exec"), names)
            continue
        for line in text.splitlines():
            program, *words = shlex.split(line)
            assert program == "vsrd-ray"
            result = command(*words, *more.get(words[0], []))
            assert result.exit_code == 0, f"{line}: {result.output}"
            ran.append(words[0])
    assert ran.count("degrade") == 4 and {"label", "evaluate"} <= set(ran)
    assert names["rows"] and all("true_id" in row for row in names["rows"])
    assert (tmp_path / "labels_mild" / "evaluation.json").is_file()


def test_options_of_the_page_exist():
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    commands = [main.get_command(click.Context(main), name) for name in ("degrade", "evaluate", "label")]
    known = {option for one in commands if one for param in one.get_params(click.Context(one)) for option in param.opts}
    assert named and named <= known
