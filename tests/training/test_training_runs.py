"""`vsrd-ray train` in one process: what it learns and writes, what it refuses, and that a kill costs nothing."""

import errno
import json
import shlex
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import toy_package
from click.testing import CliRunner, Result
from learning import ENDLESS, Train, arguments, history, kill, newest, start, wait_for

from vsrd_ray.cli import EXIT_INTERRUPTED, EXIT_TERMINATED, main
from vsrd_ray.storage import names_in, open_location
from vsrd_ray.synthetic import StreetSettings, synthesize
from vsrd_ray.training import loop
from vsrd_ray.training.checkpoints import Checkpoint, load_trained, read_checkpoint, write_checkpoint

OTHER = "2013_05_28_drive_0009_sync"


def command(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def whole(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has disturbed."""
    output = tmp_path_factory.mktemp("whole") / "run"
    result = train(output, "--set", "watching.keep=2")
    assert result.exit_code == 0, result.output
    assert "Steps     12 of 12" in result.output
    return output


def test_it_learns_and_says_so(whole: Path, train: Train):
    losses = [line["loss"] for line in history(whole)]
    assert len(losses) == 12 and losses[-1] < 0.6 * losses[0]
    figures = history(whole, "validation")
    assert [line["step"] for line in figures] == [6, 12]
    assert [path.name for path in sorted(whole.glob("checkpoints/*"))] == [
        "best.pt",
        "step-0000000008.pt",
        "step-0000000012.pt",
    ]
    best = min(figures, key=lambda line: line["loss"])
    assert read_checkpoint(whole / "checkpoints" / "best.pt").step == load_trained(whole).step == best["step"]
    image = cv2.imread(str(whole / "pictures" / "painted-0-0000000012.png"))
    assert image is not None and image.shape == (8, 16, 3)


def test_the_page_can_be_typed(toy: None, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "street").symlink_to(street)
    monkeypatch.chdir(tmp_path)
    block = toy_package.PAGE.split("```sh\n")[1].split("```")[0]
    for line in block.splitlines():
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
    assert "Status    complete" in result.output


def test_tensorboard_has_the_history(whole: Path):
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra: pip install 'vsrd-ray[trace]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(whole / "tensorboard")).Reload()
    losses = [(event.step, event.value) for event in board.Scalars("train/loss")]
    assert losses == [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in history(whole)]
    assert [event.step for event in board.Images("painted-0")] == [6, 12]


def test_status_tells_of_training(whole: Path):
    assert "Trains    mean_colour\nStatus    complete\nProgress  12/12 steps, loss " in command("status", whole).output
    state = json.loads(command("status", whole, "--json").output)
    assert (state["status"], state["progress"]["step"], state["config"]["width"]) == ("complete", 12, 8)


def test_nothing_is_done_again(whole: Path, train: Train):
    before = {path: path.read_bytes() for path in whole.glob("checkpoints/*")} | {
        "": (whole / "history.jsonl").read_bytes()
    }
    assert train(whole).exit_code == 0
    assert before == {path: path.read_bytes() for path in whole.glob("checkpoints/*")} | {
        "": (whole / "history.jsonl").read_bytes()
    }


def test_a_killed_run_goes_on_to_equal_losses(train: Train, street: Path, cache: Path, environment, tmp_path: Path):
    words = arguments(street, cache, tmp_path / "run", "colours", *ENDLESS)
    process = start(tmp_path, environment, words)
    wait_for(lambda: newest(tmp_path / "run"), process, what="a checkpoint")
    process.terminate()
    assert process.wait(timeout=600) == EXIT_TERMINATED
    assert "Status    interrupted; the same command goes on from there" in command("status", tmp_path / "run").output
    before = newest(tmp_path / "run")
    process = start(tmp_path, environment, words)
    wait_for(lambda: newest(tmp_path / "run") > before, process, what="another checkpoint")
    kill(process)
    steps = newest(tmp_path / "run") + 6
    more = ("--set", f"optimisation.steps={steps}", "--set", f"watching.checkpoint_every={steps}")
    assert train(tmp_path / "run", *more).exit_code == 0
    assert train(tmp_path / "unbroken", *more).exit_code == 0
    resumed, unbroken = (history(tmp_path / name) for name in ("run", "unbroken"))
    assert resumed == unbroken and len(resumed) == steps
    ends = [read_checkpoint(tmp_path / name / "checkpoints" / f"step-{steps:010d}.pt") for name in ("run", "unbroken")]
    for name, tensor in ends[0].model.items():
        assert torch.equal(tensor, ends[1].model[name])
    assert ends[0].best == ends[1].best


SELDOM = ("--set", "watching.checkpoint_every=100")


def interrupt(monkeypatch: pytest.MonkeyPatch, place: object, name: str, *, call: int) -> None:
    """Ctrl-C as a function is called for the so manieth time."""
    calls, function = iter(range(1, 1000)), getattr(place, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(place, name, interrupted)


def test_an_interrupted_run_keeps_what_it_has_made(
    whole: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    with monkeypatch.context() as patch:
        interrupt(patch, loop, "total", call=8)  # in the eighth step, before anything has changed
        assert train(tmp_path / "run", *SELDOM).exit_code == EXIT_INTERRUPTED
    assert newest(tmp_path / "run") == 7
    assert "Kept what the 7 steps so far have made" in caplog.text
    assert "Progress  7/12 steps" in command("status", tmp_path / "run").output
    assert train(tmp_path / "run", *SELDOM).exit_code == 0
    assert history(tmp_path / "run") == history(whole)
    assert history(tmp_path / "run", "validation") == history(whole, "validation")
    ends = [read_checkpoint(run / "checkpoints" / "step-0000000012.pt") for run in (tmp_path / "run", whole)]
    for name, tensor in ends[0].model.items():
        assert torch.equal(tensor, ends[1].model[name])


def test_a_step_that_is_half_made_is_not_kept(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number, (place, name) in enumerate([(torch.optim.Adam, "step"), (loop._Training, "after_step")]):
        with monkeypatch.context() as patch:
            interrupt(patch, place, name, call=3)
            assert train(tmp_path / str(number), *SELDOM).exit_code == EXIT_INTERRUPTED
        assert newest(tmp_path / str(number)) == 0


def test_averages_clipping_one_cycle_and_low_precision_resume_too(train: Train, tmp_path: Path):
    settings = {"ema": 0.9, "clip": 0.1, "schedule": "one_cycle", "precision": "bfloat16", "optimiser": "adamw"}
    options = [word for name, value in settings.items() for word in ("--set", f"optimisation.{name}={value}")]
    assert train(tmp_path / "run", *options, "--set", "watching.keep=5").exit_code == 0
    before = history(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-0000000012.pt").unlink()
    assert train(tmp_path / "run", *options).exit_code == 0
    assert history(tmp_path / "run") == before
    assert before[0]["learning_rate"] < max(line["learning_rate"] for line in before) == pytest.approx(0.01, rel=0.05)
    end = read_checkpoint(tmp_path / "run" / "checkpoints" / "step-0000000012.pt")
    assert end.average is not None and not torch.equal(end.average["0.weight"], end.model["0.weight"])


def test_a_run_starts_from_the_weights_of_another(whole: Path, train: Train, tmp_path: Path):
    assert train(tmp_path / "run", "--init", whole, "--set", "optimisation.steps=1").exit_code == 0
    assert history(tmp_path / "run")[0]["loss"] < 0.6 * history(whole)[0]["loss"]
    refused = train(tmp_path / "wide", "--init", whole, "--set", "width=9")
    assert refused.exit_code == 2
    assert "--init: weights of another width: 0.weight is [8, 2] there and [9, 2] here" in refused.output


def test_the_teacher_is_known_by_its_weights(whole: Path, train: Train, tmp_path: Path):
    teacher = whole / "checkpoints" / "step-0000000008.pt"
    assert train(tmp_path / "run", "--teacher", teacher).exit_code == 0
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record["inputs"]["given"] == {"teacher": load_trained(teacher).digest}
    other = train(tmp_path / "run", "--teacher", whole / "checkpoints" / "step-0000000012.pt")
    assert other.exit_code == 2 and "inputs.given.teacher: " in other.output
    none = train(tmp_path / "run")
    assert none.exit_code == 2 and "inputs.given.teacher: " in none.output


def test_another_drive_validates(toy: None, root: Path, tmp_path: Path):
    synthesize(root, StreetSettings(frames=2, cars=1, image_size=(352, 96), seed=4, sequence=OTHER))
    options = ("--val-sequence", OTHER, "--set", "optimisation.steps=2", "--set", "watching.validation_samples=9")
    assert command(*arguments(root, tmp_path / "cache", tmp_path / "run", "colours", *options)).exit_code == 0
    assert len(list(tmp_path.glob("cache/*/*.npy"))) == 26
    assert len(list(tmp_path.glob("run/pictures/*.png"))) == 2
    again = command(*arguments(root, tmp_path / "cache", tmp_path / "run", "colours", *options[2:]))
    assert again.exit_code == 2 and "inputs.val_sequences: " in again.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "width=9"), "holds a run with other settings (width: 8 -> 9): give another --output"),
        (("--val-sequence", "nowhere"), "no sequence 'nowhere'"),
        (("--val-sequence", "all"), "--val-sequence all: name each sequence to validate on"),
        (("--val-sequence", "2013_05_28_drive_0000_sync"), "is trained on as well: give another"),
        (("--sequence", "2013_05_28_drive_0000_sync"), "is given more than once"),
        (("--address", "auto"), "without --workers nothing runs on Ray"),
        (("--camera", "image_07"), "unknown camera 'image_07'"),
        (("--teacher", "nowhere"), "nowhere holds no checkpoint"),
        (("--set", "watching.best=colours"), "no figure 'colours': give one of loss, colour"),
        (("--device", "cuda"), "there is no CUDA device here"),
    ],
)
def test_what_cannot_be_trained_is_told(whole: Path, train: Train, tmp_path: Path, options, message: str):
    if options[0] == "--device" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    result = train(whole if "width=9" in options else tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in result.output and result.output.count("Error") == 1


def test_steps_a_second_are_measured(toy: None, street: Path, capsys: pytest.CaptureFixture[str]):
    from benchmarks.training import main as measure

    measure(["--config", "colours", "--root", str(street), "--steps", "4", "--warm-up", "2"])
    *_, row = capsys.readouterr().out.splitlines()
    _, title, _, size, rate, samples, memory, _ = row.split("|")
    assert (title.strip(), int(size)) == ("colours", 4)
    assert float(samples) == pytest.approx(4 * float(rate), rel=0.02) and float(rate) > 0
    assert memory.strip().endswith("GiB of the process")


def test_folders_of_other_things_are_left_alone(train: Train, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    result = train(tmp_path)
    assert result.exit_code == 2 and "is not empty and holds no run of training" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_losses_that_are_no_numbers_end_the_run(train: Train, tmp_path: Path):
    result = train(tmp_path / "run", "--set", "optimisation.learning_rate=1e30")
    assert result.exit_code == 1
    assert "the loss is no number any more before step" in result.output
    assert "lower optimisation.learning_rate" in result.output
    assert json.loads((tmp_path / "run" / "training.json").read_text())["status"] == "failed"


def test_a_run_on_a_full_disk_says_so_and_goes_on_later(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from vsrd_ray.training import loop

    def full(checkpoint: Checkpoint, path: Path) -> None:
        if checkpoint.step > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_checkpoint(checkpoint, path)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "write_checkpoint", full)
        result = train(tmp_path / "run")
    assert result.exit_code == 2
    assert "make room; then the same command goes on from the newest checkpoint" in result.output
    assert newest(tmp_path / "run") == 4
    assert train(tmp_path / "run").exit_code == 0
    assert newest(tmp_path / "run") == 12


def test_a_run_in_an_object_store_resumes(train: Train, s3: str):
    output = open_location(f"{s3}/run")
    for steps in (4, 6):
        result = train(f"{s3}/run", "--set", f"optimisation.steps={steps}")
        assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert names_in(output / "checkpoints") == ["best.pt", "step-0000000004.pt", "step-0000000006.pt"]
    assert load_trained(output).trainable == "mean_colour"
    assert "Status    complete\nProgress  6/6 steps" in command("status", f"{s3}/run").output
