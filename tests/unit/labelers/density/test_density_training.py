"""Training of density networks: losses fall, runs resume, a student learns from a teacher and from a fitted scene."""

import json

import numpy as np
import pytest
import torch
from together import train_on_two
from walls import DRIVE, TINY, WALL_Z, job_of, open_wall, pose_at, run_job, settings_of, write_wall

from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.labelers.density.networks.fitted import OUTSIDE, FittedScene, FittedScenes, occupancy_targets, read_scenes
from vsrd_ray.labelers.density.networks.infer import PosedImage, density_field, depth_maps, encode, load_network
from vsrd_ray.labelers.density.networks.inputs import groups_of
from vsrd_ray.labelers.density.networks.trainable import StudentTrainable
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN
from vsrd_ray.training.checkpoints import load_trained, newest_checkpoint
from vsrd_ray.training.draws import Draws


@pytest.fixture(scope="module")
def wall(tmp_path_factory):
    return open_wall(write_wall(tmp_path_factory.mktemp("wall") / "root"))


def losses(run, name="loss"):
    lines = map(json.loads, (run / "history.jsonl").read_text().splitlines())
    return [line["values"][name] if "values" in line else line[name] for line in lines if line["kind"] == "train"]


def test_groups_begin_with_the_key_view_and_stay_within_the_drive(wall):
    _, settings = settings_of("density_teacher")
    groups = groups_of([wall], "all", settings)
    assert len(groups) == 8
    assert [(view.camera, view.frame) for view in groups[2].views] == [
        ("image_00", 2),
        ("image_00", 3),
        ("image_01", 2),
        ("image_01", 3),
    ]
    assert [(view.camera, view.frame) for view in groups[7].views][:2] == [("image_01", 3), ("image_01", 3)]
    train, held = (groups_of([wall], part, settings) for part in ("train", "validation"))
    assert {group.id for group in train} | {group.id for group in held} == {group.id for group in groups}
    assert len(held) == 2


def test_key_frames_of_a_file(wall, tmp_path):
    (tmp_path / "split.txt").write_text(f"{DRIVE} 1 r\nelsewhere 5 l\n{DRIVE} 0 l\n")
    _, settings = settings_of("density_teacher", {"groups": {"key_frames": str(tmp_path / "split.txt")}})
    groups = groups_of([wall], "train", settings)
    assert [(group.views[0].camera, group.views[0].frame) for group in groups] == [("image_01", 1), ("image_00", 0)]
    (tmp_path / "split.txt").write_text(f"{DRIVE} 9 l\n")
    with pytest.raises(InputError, match=r"has 4 frames with image and pose, and none at 9"):
        groups_of([wall], "train", settings)


def test_the_teachers_loss_falls_and_a_killed_run_ends_with_equal_losses(wall, tmp_path):
    changes = {"optimisation": {"steps": 24, "schedule": "constant"}, "watching": {"checkpoint_every": 12}}
    whole = run_job(job_of("density_teacher", wall, tmp_path / "whole", changes=changes))
    found = losses(tmp_path / "whole")
    assert np.mean(found[-8:]) < np.mean(found[:8])
    halved = {"optimisation": {"steps": 12}, "watching": {"checkpoint_every": 12}}
    run_job(job_of("density_teacher", wall, tmp_path / "half", changes=halved))
    rest = run_job(job_of("density_teacher", wall, tmp_path / "half", changes=changes))
    assert losses(tmp_path / "half")[-12:] == found[-12:]
    assert all(torch.equal(rest.model[name], value) for name, value in whole.model.items())
    assert {path.name.partition("-")[0] for path in (tmp_path / "whole" / "pictures").rglob("*.png")} >= {"depth"}


def test_two_workers_learn_what_one_learns(wall, tmp_path):
    one, two = (job_of("density_student", wall, tmp_path / name) for name in ("one", "two"))
    alone = run_job(one)
    train_on_two(two)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-6)
    together = newest_checkpoint(tmp_path / "two")
    assert together is not None and together.step == alone.step == 6
    for name, value in alone.model.items():
        assert torch.allclose(together.model[name], value, rtol=0, atol=1e-5), name


def test_a_batch_is_the_sum_of_its_samples(wall, tmp_path):
    """Losses of two samples together are those of each alone: what lets workers share a batch."""
    job = job_of("density_teacher", wall, tmp_path / "run")
    trainable = job.build(job.settings)
    samples = trainable.samples([wall], "all", job.store)
    torch.manual_seed(0)
    model = trainable.model(None)
    ids = [samples.ids[place] for place in (1, 6)]
    read = [samples.read(place, Draws.of(0, 0, [ids[0]], "sample")) for place in (1, 6)]
    both = trainable.loss(model, trainable.collate(read), Draws.of(0, 3, ids, "loss"))
    single = [
        trainable.loss(model, trainable.collate([one]), Draws.of(0, 3, [name], "loss"))
        for one, name in zip(read, ids, strict=True)
    ]
    for name, term in both.items():
        alone = sum(one[name].sum.item() for one in single)
        assert term.sum.item() == pytest.approx(alone, rel=1e-5, abs=1e-6)
        assert float(term.count) == sum(float(one[name].count) for one in single)


def test_a_student_is_distilled_from_a_teachers_run(wall, tmp_path):
    run_job(job_of("density_teacher", wall, tmp_path / "teacher"))
    teacher = load_trained(tmp_path / "teacher")
    job = job_of(
        "density_student",
        wall,
        tmp_path / "student",
        teacher=tmp_path / "teacher",
        changes={"trained": "head", "quirks": {"teacher_renders": True}},
    )
    found = run_job(job)
    assert torch.equal(found.model["backbone.conv1.weight"], teacher.state["backbone.conv1.weight"])
    values = losses(tmp_path / "student", "distillation")
    assert values[-1] < values[0]
    assert load_network(tmp_path / "student", "student").role == "student"
    with pytest.raises(InputError, match=r"--teacher: the teacher learns from images alone"):
        run_job(job_of("density_teacher", wall, tmp_path / "other", teacher=tmp_path / "teacher"))


def wall_scene(frames):
    """The wall as a fitted scene: free up to it, two voxels of it occupied, unseen beyond."""
    grid = Grid.of((-6.0, 0.0, -3.0, 6.0, 12.0, 3.0), 0.5)
    y = grid.centers(np.stack(np.indices(grid.shape), axis=-1))[..., 1]
    state = np.where(y < WALL_Z, FREE, np.where(y < WALL_Z + 1, OCCUPIED, UNSEEN)).astype(np.uint8)
    scene = FittedScene(grid, np.eye(4), torch.from_numpy(state))
    return FittedScenes("output", {(DRIVE, frame): scene for frame in frames})


def test_states_of_a_fitted_scene():
    scene = wall_scene([0]).of(DRIVE, 0)
    T_world_key = torch.from_numpy(pose_at(1.0))
    points = torch.tensor([[0.0, 0, 5], [0, 0, 7.2], [0, 0, 9], [0, 0, 30], [0, 5, 5]])
    states = scene.states_at(points, T_world_key)
    assert states.tolist() == [FREE, OCCUPIED, UNSEEN, OUTSIDE, OUTSIDE]
    target, weight = occupancy_targets(states, unseen_weight=0.25)
    assert target[:3].tolist() == [0, 1, 1]
    assert weight.tolist() == [1, 1, 0.25, 0, 0]
    with pytest.raises(InputError, match=r"no fitted scene of frame 3 of"):
        wall_scene([0]).of(DRIVE, 3)


def test_a_student_learns_a_fitted_scene_and_sees_its_depth(wall, tmp_path, monkeypatch):
    monkeypatch.setattr(StudentTrainable, "teacher", lambda self, location: wall_scene(range(4)))
    steps = {"steps": 150, "learning_rate": 0.01}
    watching = {"note_every": 10, "checkpoint_every": 150, "validate_every": 150}
    job = job_of(
        "density_student",
        wall,
        tmp_path / "run",
        teacher=tmp_path,
        changes={"optimisation": steps, "watching": watching},
    )
    run_job(job)
    found = losses(tmp_path / "run", "accuracy")
    assert found[-1] > max(0.9, found[0])
    trained = load_network(tmp_path / "run", "student")
    view = wall.view(1, "image_00")
    image = wall.read("images", "image_00", 1)
    views = encode(trained, [PosedImage(image, view.K, view.T_world_cam)])
    depth, spread = depth_maps(
        density_field(trained, views), views.T_world_cam[0], views.K_norm[0], (16, 8), near=3, far=80
    )
    assert float(depth.median()) == pytest.approx(WALL_Z - 0.2, rel=0.2)
    assert float(spread.median()) < 4
    assert inverse(view.T_world_cam)[2, 3] == -0.2


def test_what_is_no_teacher_is_refused(wall, tmp_path):
    with pytest.raises(InputError, match=r"holds no checkpoint"):
        run_job(job_of("density_student", wall, tmp_path / "run", teacher=tmp_path / "nothing"))
    with pytest.raises(InputError):
        read_scenes(tmp_path / "nothing")


def test_offsets_begin_with_the_key_frame():
    with pytest.raises(Exception, match=r"offsets begin with 0"):
        settings_of("density_teacher", {"groups": {**TINY["groups"], "offsets": [1, 0]}})
