"""What makes workers agree and runs resume: draws, shares of batches, sums, checkpoints, pieces."""

import pickle
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vsrd_ray.data.drive import Camera, Drive
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.training.base import Piece, Term, held_out
from vsrd_ray.training.checkpoints import (
    Checkpoint,
    drop_old,
    load_state,
    load_trained,
    newest_checkpoint,
    read_checkpoint,
    read_torch_file,
    write_checkpoint,
)
from vsrd_ray.training.draws import Draws, batch_of, share_of
from vsrd_ray.training.loop import spread, total
from vsrd_ray.training.optimiser import Averaged, make_optimiser, make_scheduler
from vsrd_ray.training.paths import TrainingPaths
from vsrd_ray.training.pieces import PieceStore, image_piece
from vsrd_ray.training.settings import Optimisation, TrainingSettings
from vsrd_ray.training.sums import Alone, add_gradients


class Pair:
    """One of two workers; the other's tensors are known."""

    world_size = 2

    def __init__(self, rank: int, others: list[torch.Tensor]) -> None:
        self.rank, self._others = rank, others

    def add(self, values: torch.Tensor) -> torch.Tensor:
        return values.add_(self._others.pop(0))

    def gather(self, value: Any) -> list[Any]:
        return [value, value]


def test_draws_of_a_sample_do_not_depend_on_its_batch():
    whole = Draws.of(3, 7, ["a", "b", "c"], "loss")
    rows = [Draws.of(3, 7, [name], "loss") for name in "abc"]
    for draw in (
        lambda one: one.rand(2, 3),
        lambda one: one.randn(4),
        lambda one: one.randint(9, 5),
        lambda one: one.randperm(6),
    ):
        assert torch.equal(draw(whole), torch.cat([draw(one) for one in rows]))
    first = Draws.of(3, 7, ["a"], "loss").rand(4)
    others = [
        Draws.of(*parts).rand(4) for parts in ((4, 7, ["a"], "loss"), (3, 8, ["a"], "loss"), (3, 7, ["a"], "sample"))
    ]
    assert not any(torch.equal(first, other) for other in others)


@pytest.mark.parametrize(("count", "size"), [(5, 2), (7, 7), (3, 8), (1, 2)])
def test_each_sample_is_seen_once_an_epoch(count: int, size: int):
    seen = [number for step in range(count) for number in batch_of(step, count=count, batch_size=size, seed=1)]
    assert len(seen) == count * size
    for epoch in range(size):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert count < 5 or seen[:count] != seen[count : 2 * count]


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_shares_make_the_batch(world_size: int):
    shares = [share_of([4, 1, 3, 9, 7], rank=rank, world_size=world_size) for rank in range(world_size)]
    assert [number for share in shares for number in share] == [4, 1, 3, 9, 7]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_losses_and_gradients_of_two_workers_add_up_to_those_of_one():
    samples = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    masks = torch.tensor([1, 0, 0, 0, 1, 1.0], dtype=torch.float64)  # uneven counts: means of means would be wrong

    def terms(model: nn.Module, part: slice) -> dict[str, Term]:
        errors = model(samples[part]).square().sum(1)
        return {
            "masked": Term((errors * masks[part]).sum(), masks[part].sum(), weight=2.0),
            "all": Term(errors.sum(), len(errors), weight=0.5),
            "noted": Term(errors.sum(), 1.0, weight=0.0),
            "none": Term(errors.sum() * 0, 0.0),
        }

    def message(model: nn.Module, part: slice) -> torch.Tensor:
        found = terms(model, part)
        rows = [[float(found[name].sum.detach()), float(found[name].count)] for name in sorted(found)]
        return torch.tensor(rows, dtype=torch.float64).T

    torch.manual_seed(0)
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "idle": nn.Linear(2, 2)}).double()
    used, parameters = model["used"], list(model.parameters())
    whole, values = total(terms(used, slice(0, 6)), Alone(), torch.device("cpu"))
    whole.backward()
    grads = [None if one.grad is None else one.grad.clone() for one in parameters]
    assert float(values["loss"]) == pytest.approx(2 * float(values["masked"]) + 0.5 * float(values["all"]))
    assert float(values["none"]) == 0

    parts = (slice(0, 3), slice(3, 6))
    halves = []
    for rank in (0, 1):
        model.zero_grad()
        loss, found = total(terms(used, parts[rank]), Pair(rank, [message(used, parts[1 - rank])]), torch.device("cpu"))
        loss.backward()
        assert float(found["loss"]) == pytest.approx(float(values["loss"]), rel=1e-12)
        halves.append([None if one.grad is None else one.grad.clone() for one in parameters])
    filled = [torch.zeros_like(one) if grad is None else grad for one, grad in zip(parameters, halves[0], strict=True)]
    present = torch.tensor([grad is not None for grad in halves[0]]).double()
    other = torch.cat([*(grad.reshape(-1) for grad in filled), present])
    add_gradients(parameters, Pair(1, [other]))
    for one, grad in zip(parameters, grads, strict=True):
        assert (one.grad is None) == (grad is None)
        assert grad is None or torch.allclose(one.grad, grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("count", "share", "block"), [(40, 0.2, 4), (41, 0.1, 5), (3, 0.5, 1), (1, 0.5, 1), (10, 0, 1)]
)
def test_held_out_blocks_are_spread_and_the_rest_is_learnt(count: int, share: float, block: int):
    out, learnt = (list(held_out(count, part, share=share, block=block)) for part in ("validation", "train"))
    assert sorted(out + learnt) == list(held_out(count, "all", share=share, block=block)) == list(range(count))
    assert learnt
    assert len(out) == pytest.approx(share * count, abs=block) or count < 4


def test_spread_numbers_are_even_and_different():
    assert spread(10, 3) == [0, 4, 9]
    assert spread(2, 5) == [0, 1]
    assert spread(0, 5) == []


def test_schedules():
    def rates(**values: Any) -> list[float]:
        how = Optimisation(learning_rate=0.1, **values)
        optimiser = make_optimiser(nn.Linear(1, 1), how)
        scheduler = make_scheduler(optimiser, how)
        found = []
        for _ in range(6):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        return found

    assert rates() == [0.1] * 6
    assert rates(schedule="steps", milestones=(2, 4), drop=0.5) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    cycle = rates(schedule="one_cycle", steps=10)
    assert max(cycle) == pytest.approx(0.1) and cycle[0] == pytest.approx(0.1 / 25)
    with pytest.raises(InputError, match="nothing to train"):
        make_optimiser(nn.Linear(1, 1).requires_grad_(False), Optimisation())


def test_averaged_weights():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    averaged = Averaged(model, 0.75)
    nn.init.constant_(model.weight, 3.0)
    averaged.update(model)
    assert float(averaged.model.weight) == 1.5
    assert not averaged.model.weight.requires_grad


# ---- checkpoints ----


def checkpoint(step: int = 3, width: int = 2, **values: Any) -> Checkpoint:
    model = nn.Linear(width, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, width)).sum().backward()
    optimiser.step()
    settings = TrainingSettings(trainable="toy").model_dump(mode="json")
    return Checkpoint("toy", settings, step, model.state_dict(), optimiser.state_dict(), {"last_epoch": step}, **values)


def test_checkpoints_come_back_as_they_were(tmp_path: Path):
    paths = TrainingPaths(tmp_path)
    state = torch.get_rng_state()
    for step in (10, 2, 30, 4):
        write_checkpoint(checkpoint(step, best=0.5, random=state), paths.checkpoint(step))
    found = newest_checkpoint(tmp_path)
    assert found is not None and (found.step, found.best, found.trainable) == (30, 0.5, "toy")
    assert found.random is not None and torch.equal(found.random, state)
    assert set(found.optimiser["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    drop_old(tmp_path, keep=2)
    assert list(paths.checkpoints()) == [10, 30]


def test_trained_weights_are_the_best_and_averaged_ones(tmp_path: Path):
    paths = TrainingPaths(tmp_path)
    with pytest.raises(InputError, match="holds no checkpoint: expected the output folder of `vsrd-ray train`"):
        load_trained(tmp_path)
    write_checkpoint(checkpoint(5), paths.checkpoint(5))
    assert load_trained(tmp_path).step == 5
    averaged = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
    write_checkpoint(checkpoint(4, average=averaged), paths.best)
    found = load_trained(tmp_path)
    assert found.step == 4 and torch.equal(found.state["weight"], averaged["weight"])
    assert load_trained(paths.checkpoint(5)).digest != found.digest == load_trained(paths.best).digest


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path):
    mark = tmp_path / "mark"
    torch.save({"model": Trap(mark)}, tmp_path / "new.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps({"model": Trap(mark)}, protocol=2))
    for name in ("new.pt", "bare.pt"):
        with pytest.raises(InputError, match=rf"{name}: (holds more than tensors|no checkpoint)"):
            read_torch_file(tmp_path / name)
    with pytest.raises(InputError, match=r"new\.pt: holds more than tensors and plain values .*which is not run"):
        load_trained(tmp_path / "new.pt")
    assert not mark.exists()


def test_damaged_checkpoints_are_named_with_the_one_before(tmp_path: Path):
    paths = TrainingPaths(tmp_path)
    for step in (1, 2):
        write_checkpoint(checkpoint(step), paths.checkpoint(step))
    content = paths.checkpoint(2).read_bytes()
    for bad in (b"", b"no checkpoint", content[: len(content) // 2]):
        paths.checkpoint(2).write_bytes(bad)
        with pytest.raises(
            InputError, match=r"step-0000000002\.pt: .*if it is removed, training goes on from step-0000000001"
        ):
            newest_checkpoint(tmp_path)
    torch.save({"weights": torch.ones(1)}, paths.checkpoint(2))
    with pytest.raises(InputError, match="no checkpoint of `vsrd-ray train`"):
        read_checkpoint(paths.checkpoint(2))
    with pytest.raises(InputError, match=r"no checkpoint .*missing"):
        read_torch_file(tmp_path / "missing.pt")


def test_weights_of_another_width_or_network_are_named():
    model = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"RUN: weights of another width: weight is \[2, 3\] there and \[2, 2\] here"):
        load_state(model, checkpoint(width=3).model, source="RUN")
    with pytest.raises(InputError, match="without bias"):
        load_state(model, {"weight": torch.ones(2, 2)}, source="RUN")
    with pytest.raises(InputError, match="which has extra besides"):
        load_state(model, model.state_dict() | {"extra": torch.ones(1)}, source="RUN")


def test_a_disk_that_fills_keeps_the_last_good_checkpoint(tmp_path: Path):
    paths = TrainingPaths(tmp_path)
    write_checkpoint(checkpoint(1), paths.best)
    before, limits = paths.best.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, len(before) // 2):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large") as raised:
                write_checkpoint(checkpoint(2), paths.best)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert str(raised.value.filename) == str(paths.best)
        assert paths.best.read_bytes() == before
        assert [path.name for path in paths.best.parent.iterdir()] == ["best.pt"]


# ---- pieces and settings ----


def test_pieces_are_kept_by_name_with_equal_bytes(tmp_path: Path):
    drive = Drive("none", tmp_path, "drive", {"front": Camera("front", np.eye(3), (4, 2), {})}, {})
    pieces = [image_piece(drive, "front", frame, size=(4, 2)) for frame in (1, 2)]
    stores = PieceStore(tmp_path / "a"), PieceStore(tmp_path / "b")
    assert [piece.name for piece in stores[0].missing(pieces)] == [
        "drive-front-0000000001-4x2",
        "drive-front-0000000002-4x2",
    ]
    content = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1]
    for store in stores:
        store.write(pieces[0].name, content)
        assert np.array_equal(store.read(pieces[0].name), content)
        assert store.missing(pieces) == [pieces[1]]
    files = [next(store.folder.iterdir()) for store in stores]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(InputError, match="is gone: the same command makes it again"):
        stores[0].read(pieces[1].name)
    files[0].write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(InputError, match="remove it, and it is made again"):
        stores[0].read(pieces[0].name)
    with pytest.raises(InputError, match="two pieces are named"):
        stores[0].missing([pieces[1], pieces[1]])
    with pytest.raises(InputError, match="plain name"):
        stores[0].missing([Piece("../away", drive)])


def test_configurations_are_found_and_faults_are_named(toy: None, tmp_path: Path):
    from vsrd_ray.labelers.trainables import load_training_config, shipped_training_configs, trainable_named

    assert "colours" in shipped_training_configs()
    assert trainable_named("mean_colour").summary == "the mean colour of images"
    own = tmp_path / "own.yaml"
    own.write_text("base: colours\nwidth: 3\n")
    settings = load_training_config(str(own), ["optimisation.steps=5"])
    assert (settings.model_dump()["width"], settings.optimisation.steps, settings.optimisation.batch_size) == (3, 5, 4)
    assert settings.hash() == load_training_config("colours", ["width=3", "optimisation.steps=5"]).hash()
    longer = load_training_config("colours", ["watching.keep=9", "optimisation.steps=99"])
    assert longer.decisive() == load_training_config("colours").decisive()
    cycle = [
        load_training_config("colours", ["optimisation.schedule=one_cycle", f"optimisation.steps={n}"]) for n in (5, 6)
    ]
    assert cycle[0].decisive() != cycle[1].decisive()
    for text, message in (
        ("width: 3", "no trainable: name one"),
        ("trainable: mean_color", "did you mean 'mean_colour'"),
        ("base: colour", "no configuration 'colour': give one of colours"),
        ("base: colours\nwidht: 3", "unknown key 'widht'; did you mean 'width'"),
        ("base: colours\noptimisation: {ema: 2}", "optimisation.ema"),
    ):
        own.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_training_config(str(own))
    with pytest.raises(ConfigError, match="did you mean 'colours'"):
        load_training_config("colour")
