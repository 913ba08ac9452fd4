"""Words that users type, and words that tell them why: classes, and frames that are skipped."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.data.classes import ClassTable, ObjectClass
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.errors import InputError, nearest_name
from vsrd_ray.pipeline.request import format_skipped

SEQUENCE = "2013_05_28_drive_0000_sync"
DATASET = ("--root", "root", "--sequence", SEQUENCE)

# Every command with --classes.
COMMANDS = {
    "label": ("label", *DATASET, "--output", "new", "--serial"),
    "export": ("export", "out", "--root", "root", "--format", "csv", "--output", "new"),
    "convert": ("convert", "--truth", *DATASET, "--to", "new"),
    "sample": ("sample", *DATASET, "--set", "grouping.num_sources=2"),
    "visualize": ("visualize", "annotations", *DATASET, "--to", "new"),
}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Car", ["car"]),
        ("CARS", ["car"]),
        ("caravans", ["caravan"]),
        ("van", ["car", "truck"]),
        ("Van", ["car", "truck"]),
        ("lorry", ["truck"]),
        ("lorries", ["truck"]),
        ("pickup", ["truck"]),
        ("buses", ["bus"]),
        ("coach", ["bus"]),
        ("pedestrian", ["person"]),
        ("Pedestrian", ["person"]),
        ("pedestrain", ["person"]),
        ("Person_sitting", ["person"]),
        ("human.pedestrian.adult", ["person"]),
        ("people", ["person"]),
        ("Cyclist", ["rider", "bicycle"]),
        ("bike", ["bicycle"]),
        ("motorbike", ["motorcycle"]),
        ("Tram", ["train"]),
        ("vehicle.car", ["car"]),
        ("parked cars", ["car"]),
        ("fire truck", ["truck"]),
        ("vehicle", ["car", "truck", "bus", "unknown vehicle"]),
        ("traffic_light", ["traffic light"]),
        ("TrafficLight", ["traffic light"]),
        ("trash-bin", ["trash bin"]),
        ("house", ["building"]),
        ("buildng", ["building"]),
        ("truk", ["truck"]),
        ("cra", ["car"]),
        ("horse", []),
        ("DontCare", []),
        ("26", []),
        ("*", []),
        ("", []),
    ],
)
def test_a_class_is_suggested_by_what_was_meant(text, meant):
    assert CLASSES.meant_by(text) == meant


@given(st.text(max_size=30))
def test_whatever_is_typed_what_is_suggested_is_a_class(text):
    assert all(name in CLASSES for name in CLASSES.meant_by(text))


@given(st.sampled_from([one.name for one in CLASSES]), st.sampled_from([str.upper, str.title, str.swapcase]))
def test_a_class_in_other_letters_is_that_class(name, change):
    assert CLASSES.meant_by(change(name))[0] == name
    assert CLASSES.meant_by(change(name).replace(" ", "_"))[0] == name


def test_synonyms_are_in_small_letters_and_no_classes():
    for one in CLASSES:
        assert all(word == word.casefold() and word not in CLASSES for word in one.synonyms), one


def test_where_nothing_is_like_it_the_objects_are_named():
    table = ClassTable(
        (ObjectClass("void", 0), ObjectClass("lamp", 1, is_thing=True), ObjectClass("cat", 2, is_thing=True))
    )
    with pytest.raises(InputError, match=r"--classes: no class 'submarine' in the album; give some of lamp, cat$"):
        table.check(["lamp", "submarine"], title="the album")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("Car", ("no class 'Car' in KITTI-360", "did you mean 'car'?")),
        ("car,van", ("no class 'van' in KITTI-360", "did you mean 'car' or 'truck'?")),
        (" , ", ("--classes names no class",)),
        ("car,car", ("'car' is named more than once",)),
        ("car;truck", ("no class 'car;truck'",)),
    ],
)
def test_every_command_checks_its_classes_alike(command, refused, here, *, name, classes, words):
    if name == "visualize":
        paths.annotation_folder(here / "root", SEQUENCE, "image_00").mkdir(parents=True)
    before = sorted(here.rglob("*"))
    refused(command(*COMMANDS[name], "--classes", classes), *words)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("option", [("--classes", "truck"), ("--camera", "image_01")])
def test_what_only_the_truth_can_be_asked_for_is_not_ignored(command, here, option):
    result = command("convert", "out", "--to", "new", *option)
    assert result.exit_code == 2
    assert f"{option[0]} is for --truth" in result.output
    assert not (here / "new").exists()


def _damage(root: Path) -> None:
    """Takes the poses of frames 2 to 4 and the masks of 5 and 6 away, and tears the mask of 7."""
    poses = paths.poses_file(root, SEQUENCE)
    lines = poses.read_text().splitlines(keepends=True)
    poses.write_text("".join(lines[:2] + lines[5:]))
    for frame in (5, 6):
        paths.mask_file(root, SEQUENCE, "image_00", frame).unlink()
    mask = paths.mask_file(root, SEQUENCE, "image_00", 7)
    mask.write_bytes(mask.read_bytes()[:-20])


def test_why_frames_are_skipped_is_said_wherever_they_are_counted(command, label, here):
    _damage(here / "root")
    why = "6 skipped (3 without a pose, 2 without a mask, 1 damaged)"
    assert f"Frames    2 of 8 labelled, {why}" in label().stdout
    assert f"Frames    2 of 8 labelled, {why}" in command("status", "new").stdout
    counts = json.loads((here / "new" / "manifest.json").read_text())["counts"]
    assert (counts["frames_skipped"], counts["skipped"]) == (6, {"no pose": 3, "no mask": 2, "unreadable": 1})


def test_a_manifest_of_the_version_before_tells_the_number_alone(command, here):
    path = here / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["counts"]["skipped"]
    manifest["counts"]["frames_skipped"] = 3
    path.write_text(json.dumps(manifest))
    assert "Frames    8 of 8 labelled, 3 skipped\n" in command("status", "out").stdout
    assert format_skipped({"frames_skipped": 0}) == "0 skipped"


def test_a_reason_of_another_dataset_is_told_as_it_is():
    assert format_skipped({"frames_skipped": 2, "skipped": {"no points": 2}}) == "2 skipped (2 no points)"


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("KITTI360", ["album", "kitti360"], "kitti360"),
        ("FAST", ["demo", "fast", "kitti360_vsrd"], "fast"),
        ("demmo", ["demo", "fast"], "demo"),
        ("zebra", ["fast", "image_01"], None),
        ("", ["fast"], None),
        ("x", [], None),
    ],
)
def test_a_name_is_suggested_where_it_is_like_the_given_one(name, known, meant):
    assert nearest_name(name, known) == meant


@pytest.mark.parametrize("options", [("--config", "Fast"), ("--dataset", "KITTI-360"), ("--camera", "Image_01")])
def test_other_names_are_suggested_whatever_their_letters(label, refused, here, options):
    meant = {"Fast": "fast", "KITTI-360": "kitti360", "Image_01": "image_01"}[options[1]]
    refused(label(*options), options[1], f"did you mean '{meant}'?")
    assert not (here / "new").exists()
