"""Every command of docs/clusters.md is one that its program knows, on files that are there, and its sums are right.

Nothing is run: commands of Ray and of vsrd-ray go through their own parsers, others are looked at for the files that
they name.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import click
import pytest
import yaml
from command_lines import parse_ray, parse_vsrd_ray
from ray_head import JOBS, REPOSITORY

TEXT = (REPOSITORY / "docs" / "clusters.md").read_text()
FIGURES = (REPOSITORY / "docs" / "figures.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
LINES = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
OTHERS = {"aws", "docker", "export", "helm", "kubectl", "pip", "sbatch"}

LABELLED_FRAMES = 47_752
ON_DEMAND, SPOT = 0.05, 0.02  # dollars a core-hour


def check(line: str) -> None:
    """Raises an error for a line that cannot be right."""
    words = shlex.split(line)
    program, arguments = words[0], words[1:]
    for name in re.findall(r"\bjobs/[\w.-]+", line):
        assert (REPOSITORY / name).is_file(), name
    if program == "vsrd-ray":
        parse_vsrd_ray(arguments)
    elif program == "ray":
        check_ray(arguments)
    elif program == "sbatch":
        command = "train" if "VSRD_RAY_COMMAND=train" in line else "label"
        root, output, *options = arguments[arguments.index("jobs/slurm.sh") + 1 :]
        parse_vsrd_ray([command, "--root", root, "--output", output, *options])
    else:
        assert program in OTHERS, program


def check_ray(arguments: list[str]) -> None:
    context = parse_ray(arguments)
    if context.info_name == "submit":
        python, script, *options = context.params["entrypoint"]
        command = script.removeprefix("jobs/").removesuffix(".py")
        assert python == "python" and command in ("label", "train")
        parse_vsrd_ray([command, *options])


@pytest.fixture(autouse=True)
def _without_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that need ROOT have to name it."""
    monkeypatch.delenv("KITTI360_DATASET", raising=False)


@pytest.mark.parametrize("line", LINES)
def test_command_is_known(line: str):
    check(line)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ray up jobs/azure.yaml", "azure"),
        ("ray up jobs/aws.yaml --no-such-option", "no-such-option"),
        ("ray job resubmit labels", "resubmit"),
        ("ray job submit --working-dir . -- python jobs/label.py --root /data --sequence all --slots 3", "--slots"),
        ("vsrd-ray label --root /data --sequence all --slots 3", "--slots"),
        ("sbatch jobs/slurm.sh /data /labels --sequence all --slots 3", "--slots"),
        ("sudo make everything", "sudo"),
    ],
)
def test_wrong_command_is_found_out(line: str, fault: str):
    with pytest.raises((AssertionError, KeyError, click.ClickException), match=fault):
        check(line)


def test_shell_parses_the_blocks():
    for language, text in BLOCKS:
        if language == "sh":
            done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_every_file_of_jobs_is_named():
    hidden = {"Containerfile.dockerignore"}
    for path in JOBS.iterdir():
        assert path.name in hidden or not path.is_file() or f"jobs/{path.name}" in TEXT, path.name


def test_options_in_the_text_exist():
    from vsrd_ray.cli import main

    named = set(re.findall(r"`(--[a-z-]+)", re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)))
    commands = main.commands["label"], main.commands["train"]
    known = {option for command in commands for parameter in command.params for option in parameter.opts}
    of_others = {"--requeue", "--dashboard-host", "--entrypoint-num-cpus"}  # sbatch, ray start, ray job submit
    assert named - of_others <= known


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        name, _, heading = target.partition("#")
        text = (REPOSITORY / "docs" / name).resolve().read_text() if name else TEXT
        anchors = {slug(title) for title in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}
        assert not heading or heading in anchors, target


def slug(title: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_prometheus_settings_are_yaml():
    [settings] = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]
    assert settings["scrape_configs"][0]["file_sd_configs"]


def test_metrics_are_those_of_the_dashboard():
    shown = set(re.findall(r"ray_vsrd_\w+", (JOBS / "grafana.json").read_text()))
    assert set(re.findall(r"`(ray_vsrd_\w+)`", TEXT)) == shown


def costs() -> Iterator[tuple[str, ...]]:
    """(settings, seconds, core-hours, dollars on demand, dollars on spot nodes), without signs and commas."""
    for row in re.findall(
        r"^\| `(\w+)` \| ([\d.,]+) \| ([\d.,]+) \| \$([\d.,]+) \| \$([\d.,]+) \|$", TEXT, re.MULTILINE
    ):
        yield tuple(cell.replace(",", "") for cell in row)


def test_costs_follow_from_seconds_a_frame():
    rows = list(costs())
    assert len(rows) == 6
    assert f"{LABELLED_FRAMES:,} labelled" in TEXT and f"${ON_DEMAND} a core-hour on demand, ${SPOT} spot" in TEXT
    for _, seconds, hours, on_demand, spot in rows:
        exact = LABELLED_FRAMES * float(seconds) / 3600
        assert float(hours) == pytest.approx(exact, abs=0.05 if exact < 1000 else 0.5)
        assert (on_demand, spot) == (f"{exact * ON_DEMAND:.2f}", f"{exact * SPOT:.2f}")


def test_seconds_per_frame_are_those_of_the_figures():
    """The column `s per labelled frame` of the table of costs in docs/figures.md."""
    measured: dict[str, Any] = {}
    for cells in (row.split("|") for row in FIGURES.splitlines() if row.count("|") == 14):
        measured.setdefault(cells[2].strip().strip("`"), set()).add(cells[6].strip().replace(",", ""))
    names = {"kitti360_vsrd": "published"}
    for name, seconds, *_ in costs():
        assert seconds in measured[names.get(name, name)], f"{name}: {seconds}"


def test_time_of_one_machine_follows_as_well():
    [(cores, minutes)] = re.findall(r"one machine with (\d+) cores does all of KITTI-360 in about (\d+) minutes", TEXT)
    slowest = max(float(seconds) for name, seconds, *_ in costs() if name == "fast")
    assert LABELLED_FRAMES * slowest / int(cores) / 60 == pytest.approx(int(minutes), abs=0.5)
