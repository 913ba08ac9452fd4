"""The occupancy network: its losses fall, runs resume, batches add up, its voxels are written, backbones load."""

import json
import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from together import train_on_two

pytest.importorskip("numba", reason="walks through voxels are compiled by numba")

from vsrd_ray.cli import main
from vsrd_ray.datasets.kitti360 import drives, paths
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.network.model import OccupancyNetwork, depth_bin
from vsrd_ray.labelers.occupancy.network.samples import piece_name, targets_of
from vsrd_ray.labelers.occupancy.training import TRAINABLES, NetworkSettings, OccupancyNetworkTraining
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN, decoded
from vsrd_ray.labels.voxels.traversal import Rays, crossed
from vsrd_ray.settings import validated
from vsrd_ray.synthetic import StreetSettings, synthesize
from vsrd_ray.training.backbone import ResNet, load_backbone
from vsrd_ray.training.checkpoints import load_trained, newest_checkpoint
from vsrd_ray.training.draws import Draws
from vsrd_ray.training.loop import TrainingJob, train
from vsrd_ray.training.pieces import PieceStore, make_piece
from vsrd_ray.training.sums import Alone

STREET = StreetSettings(
    frames=4,
    cars=4,
    seed=4,
    image_size=(176, 48),
    mask_noise=0.0,
    layers=("depth", "semantics"),
)
PAGE = Path(__file__).resolve().parents[4] / "docs" / "occupancy_network.md"
GRID = {"grid": "own", "range": (0.0, -9.6, -0.8, 19.2, 9.6, 2.4), "voxel_size": 0.8}
TINY = {
    "trainable": "occupancy_network",
    "network": {"image_size": (88, 24), "width": 8, "features": 8, "depth_bins": 20},
    "labels": {**GRID, "error": 0.0, "apart": 1, "every": 1, "rays_a_view": 2000},
    "rays": 256,
    "held_out_block": 1,
    "optimisation": {"steps": 20, "batch_size": 2, "learning_rate": 0.01, "optimiser": "adamw", "clip": 5.0},
    "watching": {"note_every": 1, "checkpoint_every": 10, "validate_every": 20, "validation_samples": 1, "pictures": 1},
}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    root = tmp_path_factory.mktemp("network") / "street"
    synthesize(root, STREET)
    return root


@pytest.fixture(scope="module")
def drive(street):
    return drives.open_drive(street, STREET.sequence, paths.IMAGE_CAMERAS)


def job_of(drive, run, **changes):
    (spec,) = TRAINABLES
    settings = validated(spec.settings, {**TINY, **changes}, source="test")
    run.mkdir(parents=True, exist_ok=True)
    (run / "training.json").write_text("{}")
    store = PieceStore(run.parent / "cache")
    store.folder.mkdir(exist_ok=True)
    trainable = spec.build(settings)
    for piece in store.missing(trainable.pieces([drive])):
        make_piece(trainable, piece, store)
    job = partial(TrainingJob, settings=settings, build=spec.build, drives=(drive,), val_drives=(), run=run)
    return job(store=store, device="cpu", teacher=None, init=None)


def run_job(job):
    train(job, Alone(), device=torch.device("cpu"))
    return newest_checkpoint(job.run)


def losses(run):
    lines = map(json.loads, (run / "history.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "train"]


@pytest.fixture(scope="module")
def trained(drive, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    return run, run_job(job_of(drive, run))


def test_losses_fall_and_a_run_that_stopped_ends_with_equal_weights(drive, trained, tmp_path):
    run, whole = trained
    values = losses(run)
    for name in ("loss", "ends", "classes"):
        found = [one[name] for one in values]
        assert np.mean(found[-5:]) < 0.9 * np.mean(found[:5]), name
    run_job(job_of(drive, tmp_path / "half", optimisation={**TINY["optimisation"], "steps": 10}))
    rest = run_job(job_of(drive, tmp_path / "half"))
    assert all(torch.equal(rest.model[name], value) for name, value in whole.model.items())
    assert [path.name.partition("-")[0] for path in (run / "pictures").rglob("*.png")] == ["above"]


def test_two_workers_learn_what_one_learns(drive, trained, tmp_path):
    run, whole = trained
    train_on_two(job_of(drive, tmp_path / "two"))
    for one, other in zip(losses(run), losses(tmp_path / "two"), strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    both = newest_checkpoint(tmp_path / "two")
    assert both is not None and both.step == whole.step
    for name, value in whole.model.items():
        assert torch.allclose(both.model[name], value, rtol=0, atol=1e-5), name


def test_a_network_learns_labelled_voxels(drive, tmp_path):
    run = tmp_path / "run"
    run_job(job_of(drive, run, supervision="voxels"))
    values = losses(run)
    for name in ("voxels", "classes", "depth"):
        found = [one[name] for one in values]
        assert np.mean(found[-5:]) < 0.9 * np.mean(found[:5]), name


@pytest.mark.parametrize("supervision", ["rays", "voxels"])
def test_a_batch_is_the_sum_of_its_samples(drive, tmp_path, supervision):
    """What lets workers share a batch: sums and counts of two halves are those of the whole, and so gradients."""
    job = job_of(drive, tmp_path / "run", supervision=supervision)
    trainable = job.build(job.settings)
    samples = trainable.samples([drive], "all", job.store)
    assert len(samples.ids) == 2
    torch.manual_seed(0)
    model = trainable.model(None)
    read = [samples.read(place, Draws.of(0, 0, [name], "sample")) for place, name in enumerate(samples.ids)]
    draws = Draws.of(0, 3, samples.ids, "loss")
    both = trainable.loss(model, trainable.collate(read), draws)
    halves = [trainable.loss(model, trainable.collate([one]), draws) for one in read]
    for name, term in both.items():
        assert term.sum.item() == pytest.approx(sum(one[name].sum.item() for one in halves), rel=1e-6), name
        assert float(term.count) == pytest.approx(sum(float(one[name].count) for one in halves), rel=1e-6), name

    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = trainable.loss(model, trainable.collate(read), draws)
    for name, term in rough.items():
        assert term.sum.dtype == torch.float32, name
        assert term.sum.item() == pytest.approx(both[name].sum.item(), rel=0.1), name

    def gradients(parts):
        model.zero_grad()
        sum(
            term.weight * term.sum / float(both[name].count) for part in parts for name, term in part.items()
        ).backward()
        return torch.cat([one.grad.flatten() for one in model.parameters()])

    one, other = gradients([both]), gradients(halves)
    assert one.abs().max() > 0
    assert (one - other).abs().max() < 1e-6 * one.abs().max() + 1e-6


def overrides(values, prefix=""):
    """`--set` for each value of a configuration."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from overrides(value, f"{prefix}{name}.")
        else:
            yield from ("--set", f"{prefix}{name}={json.dumps(value)}")


def test_the_page_works_and_its_labels_have_the_networks_digest(street, tmp_path, monkeypatch):
    """Commands of the page, in order, at toy size."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street").symlink_to(street)
    train_line, label_line = re.findall(r"^vsrd-ray (.*)$", PAGE.read_text(), re.M)
    result = CliRunner().invoke(main, [*shlex.split(train_line), *overrides(TINY)])
    assert result.exit_code == 0, result.output
    words = [*shlex.split(label_line), "--serial", "--frames", "1", "--set", "apart=1"]
    result = CliRunner().invoke(main, [*words, *overrides(GRID)])
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "voxels" / "voxels").rglob("*.parquet")
    (row,) = pq.read_table(file).to_pylist()
    manifest = json.loads((tmp_path / "voxels" / "manifest.json").read_text())
    assert manifest["config"]["weights"] == load_trained(tmp_path / "network").digest
    assert row["config_hash"] == manifest["config_hash"] and row["labeler"] == "occupancy"
    voxels = decoded(row)
    assert {FREE, OCCUPIED, UNSEEN} == set(np.unique(voxels.state))
    assert (voxels.semantics[voxels.state == UNSEEN] == 255).all()
    road = np.argwhere(voxels.semantics == 11)
    assert len(road) > 10 and np.median(road[:, 2]) <= 1  # z = 0 is between layers 0 and 1
    words[words.index("--output") + 1] = "other"
    result = CliRunner().invoke(main, words)  # of the grid that is the default
    assert result.exit_code != 0 and "trained for grid own, not occ3d" in " ".join(result.output.split())


def test_a_checkpoint_is_there_and_of_this_network(tmp_path):
    words = ["label", "--config", "occupancy", "--root", str(tmp_path), "--sequence", "x", "--output", str(tmp_path)]
    for options, told in (
        (["source=network"], "source=network needs checkpoint"),
        (["source=network", "checkpoint=nowhere"], "no checkpoint nowhere"),
    ):
        result = CliRunner().invoke(main, [*words, *(f"--set={one}" for one in options)])
        assert result.exit_code != 0 and told in " ".join(result.output.split())


def test_backbones_load_and_wrong_ones_are_refused(tmp_path):
    """torchvision's names: a classifier's `fc` and the stages that the network lacks are left out."""
    torch.manual_seed(1)
    whole = ResNet("resnet18", "batch", 64)
    state = whole.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.1.weight", "layer4.1.conv2.weight"} <= set(state)
    torch.save(state, tmp_path / "resnet18.pth")
    (spec,) = TRAINABLES
    network = {**TINY["network"], "width": 64, "norm": "frozen"}
    values = {**TINY, "network": network, "backbone_weights": str(tmp_path / "resnet18.pth")}
    model = spec.build(validated(spec.settings, values, source="test")).model(None)
    assert isinstance(model, OccupancyNetwork)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, state[name]), name
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: not the weights of torchvision's resnet18"):
        load_backbone(model.backbone, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"not the weights of torchvision's resnet18"):
        load_backbone(ResNet("resnet18", "group", 64, stages=2), tmp_path / "resnet18.pth")


def test_features_are_pulled_from_where_voxels_are_seen():
    """One voxel at one pixel and depth: its feature, times the share of its depth bin."""
    grid = Grid.of((0.0, -0.5, -0.5, 20.0, 0.5, 0.5), 1.0)
    network = OccupancyNetwork(
        NetworkSettings(image_size=(64, 32), width=8, features=8, depth_bins=20, coarse=1), grid, 2
    )
    T_grid_cam = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    K = torch.tensor([[30.0, 0, 20], [0, 30, 12], [0, 0, 1]])
    features, shares = torch.zeros(2, 8, 8, 16), torch.zeros(2, 20, 8, 16)
    features[0, 4, 3, 5] = 2.0  # at (20, 12) px
    shares[0, 6, 3, 5] = 0.5  # 7 to 8 m
    pulled = network._pull(features, shares, torch.stack([K, K]), torch.stack([T_grid_cam, T_grid_cam]))
    assert pulled.shape == (10, 20, 1, 1)
    seen = pulled[4, :, 0, 0]
    assert seen[7].item() == pytest.approx(0.5 * 20**0.5)  # 2 x 0.5, the mean of two views, scaled
    assert seen.abs().sum().item() == pytest.approx(0.5 * 20**0.5)
    assert depth_bin(np.array([0.5, 1.0, 7.5, 21.5]), 20).tolist() == [-1, 0, 6, -1]


def test_crossed_voxels_are_those_that_are_passed():
    """Against a walk in small steps."""
    rng = np.random.default_rng(3)
    shape = (7, 5, 4)
    origins, ends = rng.uniform(-3, 9, (40, 3)), rng.uniform(-1, 7, (40, 3))
    rays = Rays.between(Grid.of((0, 0, 0, *shape), 1.0), origins, ends)
    found = crossed(rays, shape)
    fractions = (np.arange(20000) + 0.5) / 20000
    for number, (origin, end) in enumerate(zip(origins, ends, strict=True)):
        index = np.floor(origin + fractions[:, None] * (end - origin)).astype(int)
        index = index[((index >= 0) & (index < shape)).all(axis=1)]
        places, counts = np.unique(np.ravel_multi_index(tuple(index.T), shape), return_counts=True)
        lengths = found.left[number] - found.entered[number]
        own = found.places[number][lengths > 0]
        long = counts * rays.ranges[number] / 20000 > 1e-2  # what small steps are sure to meet
        assert set(places[long]) <= set(own.tolist())
        passed = lengths[lengths > 0][:-1].sum()
        assert passed <= counts.sum() * rays.ranges[number] / 20000 + 1e-3


def test_targets_need_what_they_learn_from(drive):
    config = OccupancyNetworkTraining.model_validate(TINY).labels
    targets = targets_of(drive, config)
    assert [target.plan.view_frames for target in targets] == [(1, 0, 2), (2, 1, 3)]
    assert piece_name(targets[0].plan, "rays", config) != piece_name(targets[1].plan, "rays", config)
    with pytest.raises(InputError, match=r"4 frames with images, classes and poses, none with all frames beside it"):
        targets_of(drive, config.model_copy(update={"apart": 2}))
