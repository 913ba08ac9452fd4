"""The Slurm script: clean to shellcheck, and it starts the command that it should."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import parse_ray, parse_vsrd_ray
from ray_head import JOBS

SCRIPT = JOBS / "slurm.sh"
BIN = Path(sys.executable).parent

# They note their own names and arguments; srun Ray's settings as well.
SRUN = """#!/bin/sh
printf '%s\\n' "srun $*" "mode=$RAY_AUTH_MODE token=$RAY_AUTH_TOKEN" >> "$NOTES"
exit "${SRUN_EXIT:-0}"
"""
VSRD_RAY = """#!/bin/sh
echo "vsrd-ray $*" >> "$NOTES"
printf '{\\n  "status": "%s"\\n}\\n' "${STATUS:-complete}"
"""
SCONTROL = """#!/bin/sh
test "$1 $2 $3" = "show hostnames gpu[1-3]" || exit 9
printf 'gpu1\\ngpu2\\ngpu3\\n'
"""


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"srun": SRUN, "vsrd-ray": VSRD_RAY, "scontrol": SCONTROL}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def start(stubs: Path, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """Exit code, and what the stubs noted."""
    notes = stubs.parent / "notes"
    allocation = {"SLURM_JOB_NODELIST": "gpu[1-3]", "SLURM_NNODES": "3", "SLURM_CPUS_ON_NODE": "64"}
    environment = {"PATH": f"{stubs}:{os.environ['PATH']}", "NOTES": str(notes), **allocation, **variables}
    done = subprocess.run(["bash", SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, notes.read_text().splitlines() if notes.exists() else [done.stderr]


def test_script_is_clean_to_shellcheck():
    done = subprocess.run([BIN / "shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_shellcheck_finds_fault_with_a_spoilt_script(tmp_path: Path):
    spoilt = tmp_path / "slurm.sh"
    spoilt.write_text(SCRIPT.read_text().replace('"$root"', "$root"))
    done = subprocess.run([BIN / "shellcheck", spoilt], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "SC2086" in done.stdout


def test_it_starts_ray_on_every_node_and_the_command_on_the_first(stubs: Path):
    code, (started, settings, *told) = start(stubs, "/data/KITTI-360", "/scratch/labels", "--sequence", "all")
    assert code == 0
    before, ray, label = re.split(r" (?=ray symmetric-run)| -- ", started)
    assert before == "srun --cpus-per-task=64 --cpu-bind=none"
    assert ray == "ray symmetric-run --address gpu1:6379 --min-nodes 3"
    assert label == "vsrd-ray label --address auto --root /data/KITTI-360 --output /scratch/labels --sequence all"
    assert told == ["vsrd-ray status /scratch/labels", "vsrd-ray status /scratch/labels --json"]
    assert re.fullmatch(r"mode=token token=[0-9a-f]{64}", settings)


def test_it_trains_where_that_is_the_command(stubs: Path):
    options = ("--sequence", "all", "--config", "any", "--workers", "12")
    code, (started, *_) = start(stubs, "/data", "/scratch/run", *options, VSRD_RAY_COMMAND="train")
    assert code == 0
    words = shlex.split(started)
    parsed = parse_vsrd_ray(words[words.index("vsrd-ray") + 1 :])
    assert (parsed.info_name, parsed.params["workers"], parsed.params["address"]) == ("train", 12, "auto")


def test_ray_and_vsrd_ray_know_the_options(stubs: Path):
    _, (started, _, *told) = start(stubs, "/data", "/labels", "--sequence", "all", "--num-actors", "12")
    words = shlex.split(started)
    ray, label = words.index("ray"), words.index("vsrd-ray")
    assert parse_ray(words[ray + 1 : label - 1]).params["min_nodes"] == 3
    assert parse_vsrd_ray(words[label + 1 :]).params["num_actors"]
    assert [parse_vsrd_ray(line.split()[1:]).params["as_json"] for line in told] == [False, True]


def test_every_run_has_a_token_of_its_own(stubs: Path):
    start(stubs, "/data", "/labels")
    _, notes = start(stubs, "/data", "/labels")
    assert len({line for line in notes if line.startswith("mode=")}) == 2


def test_exit_code_of_the_run_passes_through(stubs: Path):
    code, notes = start(stubs, "/data", "/labels", SRUN_EXIT="3")
    assert code == 3 and len(notes) == 2  # srun alone


def test_run_that_never_began_fails(stubs: Path):
    """symmetric-run ends with 0 where Ray could not start, and an earlier run's OUTPUT may be there."""
    code, _ = start(stubs, "/data", "/labels", STATUS="running")
    assert code == 1


def test_missing_arguments_are_refused(stubs: Path):
    code, [told] = start(stubs, "/data")
    assert code == 2 and told.startswith("usage: sbatch jobs/slurm.sh ROOT OUTPUT")


def test_directives_ask_for_whole_nodes_and_another_start():
    directives = re.findall(r"^#SBATCH (--[a-z-]+)(?:=(\S+))?$", SCRIPT.read_text(), flags=re.MULTILINE)
    assert len(directives) == SCRIPT.read_text().count("#SBATCH")
    assert {"--exclusive", "--requeue"} <= {name for name, _ in directives}
    assert dict(directives)["--ntasks-per-node"] == "1"
