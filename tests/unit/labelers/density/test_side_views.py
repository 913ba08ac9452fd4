"""Groups with KITTI-360's fisheyes, as the published networks are trained on."""

import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner
from walls import job_of, run_job, settings_of

from vsrd_ray.cli import main
from vsrd_ray.data.drive import IMAGES
from vsrd_ray.datasets.base import dataset_named, side_cameras
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.labelers.density.networks.inputs import groups_of, pieces_of
from vsrd_ray.labelers.density.networks.trainable import TeacherTrainable
from vsrd_ray.synthetic import StreetSettings, synthesize
from vsrd_ray.training.draws import Draws

STREET = StreetSettings(frames=3, cars=2, image_size=(96, 64), fisheye_side=64, layers=("right", "fisheye"))
KITTI360 = dataset_named("kitti360")
SIDES = {"groups": {"side_offsets": (1, 2)}, "rendering": {"view_sets": "crossed"}}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street")
    synthesize(folder, STREET)
    return folder


@pytest.fixture(scope="module")
def drive(root):
    return KITTI360.open(root, STREET.sequence, (*KITTI360.cameras, *side_cameras(KITTI360)))


def views(group):
    return [(view.camera.removeprefix("image_"), view.frame) for view in group.views]


def test_fisheyes_follow_at_frames_of_their_own_and_those_of_a_right_key_view_change_places(drive):
    _, settings = settings_of("density_teacher", SIDES)
    groups = groups_of([drive], "all", settings)
    assert len(groups) == 6  # no key frame is a fisheye's
    ahead = [("00", 0), ("00", 1), ("01", 0), ("01", 1)]
    assert views(groups[0]) == [*ahead, ("02", 1), ("02", 2), ("03", 1), ("03", 2)]
    right = [("01", 1), ("01", 2), ("00", 1), ("00", 2)]
    assert views(groups[4]) == [*right, ("03", 2), ("03", 2), ("02", 2), ("02", 2)]  # no further than the last frame
    assert len(pieces_of([drive], settings)) == 12
    assert views(groups_of([drive], "all", settings_of("density_teacher")[1])[0]) == ahead
    frames = dict(drive.layers[IMAGES], image_02=(0, 2))  # one is lost: the frames after it count on
    holed = replace(drive, layers={**drive.layers, IMAGES: frames})
    assert views(groups_of([holed], "all", settings)[0])[4:6] == [("02", 2), ("02", 2)]


@pytest.mark.parametrize(("number", "sets"), [(8, ({0, 3, 4, 7}, {1, 2, 5, 6})), (4, ({0, 3}, {1, 2}))])
def test_crossed_sets_are_those_of_the_paper(number, sets):
    spec, settings = settings_of("density_teacher", SIDES)
    trainable = spec.build(settings)
    assert isinstance(trainable, TeacherTrainable)
    found = set()
    for step in range(8):
        pair = trainable._roles(number, Draws.of(0, step, ["one"], "loss"))
        found.add(tuple(frozenset(one[0].tolist()) for one in pair))
    assert found == {tuple(map(frozenset, sets)), tuple(map(frozenset, sets[::-1]))}


def test_crossed_sets_need_two_equal_halves():
    spec, settings = settings_of("density_teacher", {"rendering": {"view_sets": "crossed"}})
    trainable = spec.build(settings)
    assert isinstance(trainable, TeacherTrainable)
    with pytest.raises(InputError, match=r"view_sets crossed: expected two equal sets of a group's 1 views"):
        trainable._roles(1, Draws.of(0, 0, ["one"], "loss"))


def test_sides_are_seen_as_often_as_what_is_ahead():
    for offsets in ((10,), (10, 10), (10, 11, 12)):
        with pytest.raises(ConfigError, match="side_offsets name as many frames as offsets, each once, or none"):
            settings_of("density_teacher", {"groups": {"side_offsets": offsets}})


def test_a_teacher_learns_from_eight_views(drive, tmp_path):
    job = job_of("density_teacher", drive, tmp_path / "run", changes={**SIDES, "optimisation": {"steps": 2}})
    samples = job.build(job.settings).samples([drive], "all", job.store)
    read = samples.read(0, Draws.of(0, 0, ["one"], "sample"))
    assert read["images"].shape[0] == 8
    # a fisheye's view looks to the left, or the right, of the key view
    assert (read["T_key_cam"][4, 0, 2] < -0.9) and (read["T_key_cam"][6, 0, 2] > 0.9)
    assert run_job(job).step == 2


def test_the_published_configuration_trains_with_fisheyes_and_says_where_there_are_none(root, tmp_path, caplog):
    words = ["train", "--config", "density_published_teacher", "--root", root, "--sequence", STREET.sequence]
    small = {
        "network.backbone": "resnet18",
        "network.width": 8,
        "network.decoder_channels": [8] * 5,
        "network.num_features": 8,
        "groups.image_size": [64, 40],
        "rendering.patches": 2,
        "optimisation.steps": 1,
        "optimisation.batch_size": 1,
        "watching.validation_samples": 1,
    }
    for name, value in small.items():
        words += ["--set", f"{name}={value}"]
    result = CliRunner().invoke(main, [str(word) for word in (*words, "--output", tmp_path / "with")])
    assert result.exit_code == 0, result.output
    assert "look to the sides" not in caplog.text
    assert len(list((tmp_path / "with" / "cache").rglob("*.npy"))) == 12

    for name in side_cameras(KITTI360):
        shutil.rmtree(paths.image_folder(root, STREET.sequence, name))
    result = CliRunner().invoke(main, [str(word) for word in (*words, "--output", tmp_path / "without")])
    assert result.exit_code == 0, result.output
    assert f"{STREET.sequence} is trained on without cameras that look to the sides: no image of" in caplog.text
    assert len(list((tmp_path / "without" / "cache").rglob("*.npy"))) == 6
