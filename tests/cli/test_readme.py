"""Everything that the README tells to type works, on a street of toy size."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.synthetic import StreetSettings, synthesize

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))  # for command_lines.py

from command_lines import parse_ray, parse_vsrd_ray

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
LINES = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines() if line]
SMALL_STREET = ["--frames", "24", "--cars", "6", "--image-size", "352x96", "--seed", "3"]


def test_readme_has_the_two_commands_and_the_rest():
    commands = {" ".join(shlex.split(line, comments=True)[:2]) for line in LINES}
    assert {"make demo", "make test"} <= commands
    assert {f"vsrd-ray {name}" for name in main.list_commands(click.Context(main))} <= commands


def test_make_targets_are_there():
    targets = [shlex.split(line, comments=True)[1:] for line in LINES if line.startswith("make ")]
    targets += [shlex.split(text)[1:] for text in re.findall(r"`(make [^`]*)`", README)]
    for target in targets:
        done = subprocess.run(["make", "-n", *target], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_options_in_the_text_exist():
    named = set(re.findall(r"`(--[a-z-]+)", README))
    main.list_commands(click.Context(main))  # from now on it has those of labelers and kinds as well
    commands = [*main.commands.values(), *main.commands["visualize"].commands.values()]  # pyright: ignore
    parameters = [
        parameter for one in commands for parameter in one.get_params(click.Context(one, **main.context_settings))
    ]
    known = {option for parameter in parameters for option in parameter.opts}
    assert named and named <= known


def test_pictures_and_pages_that_it_shows_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (REPOSITORY / target).is_file(), target


@pytest.mark.ray
@pytest.mark.slow
def test_commands_and_code_run(
    quick: list[str], local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kitti360 = tmp_path / "kitti360"
    settings = StreetSettings(frames=24, cars=6, image_size=(352, 96), seed=3, sequence="2013_05_28_drive_0003_sync")
    synthesize(kitti360, settings)
    monkeypatch.delenv("KITTI360_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)
    ran = 0
    where = ["--num-actors", "1"]  # the first run is on Ray; the others need none to tell whether their lines are right
    for language, text in BLOCKS:
        if language == "python":
            exec(compile(text, "README.md", "exec"), {})
            continue
        for line in text.splitlines() if language == "sh" else []:
            words = shlex.split(line, comments=True)
            if words[:1] == ["export"]:
                monkeypatch.setenv(words[1].partition("=")[0], str(kitti360))
            elif words[:1] == ["ray"]:  # parsed alone: there is no such cluster
                submit = parse_ray(words[1:]).params["entrypoint"]
                assert submit[:2] == ("python", "jobs/label.py")
                parse_vsrd_ray(["label", *submit[2:]])
            elif words[:1] == ["vsrd-ray"]:
                more = {"synthesize": SMALL_STREET, "label": [*quick, *where]}.get(words[1], [])
                result = CliRunner().invoke(main, [*words[1:], *more])
                assert result.exit_code == 0, f"{line}: {result.output}"
                where = ["--serial"] if words[1] == "label" else where
                ran += 1
            else:
                assert words[:1] == ["make"], f"nothing tests this line of the README: {line}"
    assert ran >= 12
    assert (tmp_path / "sheet.png").is_file() and (tmp_path / "drive.mp4").is_file()
