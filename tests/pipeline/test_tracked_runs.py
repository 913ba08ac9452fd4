"""Runs with masks that have no ids over frames: they are tracked when the drive is opened."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "masks"))  # for mask_files.py

import mask_files

from vsrd_ray.cli import main
from vsrd_ray.data.classes import IS_INSTANCE, UNKNOWN
from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.given import Given
from vsrd_ray.datasets.base import open_drive

SEQUENCE = "2013_05_28_drive_0000_sync"
CAMERA = "image_00"
QUICK = ("start.headings=4", "grouping.num_sources=4", "grouping.min_area=32", "grouping.min_box_side=4")


@pytest.fixture(scope="module")
def maps(street):
    """The instance maps of the street, with instances alone."""
    drive = open_drive(street, SEQUENCE)
    own = {frame: drive.read(MASKS, CAMERA, frame) for frame in drive.mask_frames}
    return {frame: np.where(IS_INSTANCE[one], one, 0).astype(np.uint16) for frame, one in own.items()}


@pytest.fixture(scope="module")
def results(maps, tmp_path_factory):
    """The same as a detector gives them: scores, and no ids."""
    content = mask_files.coco(maps, with_ids=False)
    for one in content["annotations"]:
        one["score"] = 0.9
    path = tmp_path_factory.mktemp("results") / "detections.json"
    path.write_text(json.dumps(content))
    return path


def names_of(maps, found):
    """Number of pixels by true and found id, both instances."""
    pairs = np.concatenate([np.column_stack([maps[frame].ravel(), found[frame].ravel()]) for frame in maps])
    pairs, counts = np.unique(pairs[pairs[:, 0] > 0], axis=0, return_counts=True)
    return {tuple(pair): count for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)}


def test_each_object_gets_one_id_of_its_class(street, maps, results):
    drive = open_drive(street, SEQUENCE, given=Given(masks=results))
    found = {frame: drive.read(MASKS, CAMERA, frame) for frame in maps}
    counts = names_of(maps, found)
    main_ids = {}
    for (true, one), _ in sorted(counts.items(), key=lambda item: item[1]):
        if one not in (UNKNOWN, 0):
            assert one // 1000 == true // 1000
            main_ids[true] = one
    assert len(set(main_ids.values())) == len(main_ids) >= 4
    right = sum(count for (true, one), count in counts.items() if main_ids.get(true) == one)
    # A car that passes close by, cut by three borders, is another one in its last two frames.
    assert right > 0.95 * sum(counts.values())


def test_workers_are_sent_the_ids_of_their_frames_alone(street, maps, results):
    drive = open_drive(street, SEQUENCE, given=Given(masks=results))
    frames = drive.mask_frames[2:5]
    sent = pickle.loads(pickle.dumps(drive.part(frames)))
    assert set(sent.sources[MASKS].numbers[CAMERA]) == set(frames)
    for frame in frames:
        np.testing.assert_array_equal(sent.read(MASKS, CAMERA, frame), drive.read(MASKS, CAMERA, frame))
    again = open_drive(street, SEQUENCE, given=Given(masks=results))
    assert again.sources[MASKS].numbers == drive.sources[MASKS].numbers


def test_scores_are_those_of_the_ids_that_masks_get(street, maps, results, tmp_path):
    content = json.loads(results.read_text())
    for number, one in enumerate(content["annotations"]):
        one["score"] = 0.5 + 0.4 * number / len(content["annotations"])
    (tmp_path / "detections.json").write_text(json.dumps(content))
    drive = open_drive(street, SEQUENCE, given=Given(masks=tmp_path / "detections.json"))
    for frame in (drive.mask_frames[2], drive.mask_frames[9]):
        found, scores = drive.read(MASKS, CAMERA, frame), drive.mask_scores(CAMERA, frame)
        there = np.unique(found[IS_INSTANCE[found]]).tolist()
        assert sorted(scores) == there and len(there) > 2
        for one in content["annotations"]:
            true = maps[frame] if one["image_id"] == 100 + frame else np.zeros(0)
            own = [n for n in there if one["score"] == scores[n]]
            assert len(own) == (true.size > 0 and one["score"] in scores.values())
            if own:  # its pixels are of one object
                assert len(np.unique(true[found == own[0]])) == 1
    assert open_drive(street, SEQUENCE).mask_scores(CAMERA, drive.mask_frames[2]) == {}


def test_who_is_seen_once_is_unknown_and_who_is_faint_is_nothing(street, maps, tmp_path):
    frame = sorted(maps)[3]
    height, width = maps[frame].shape
    sure, faint = np.zeros((2, height, width), dtype=bool)
    sure[2:10, 2:12], faint[2:10, 20:30] = True, True
    content = mask_files.coco(maps, with_ids=False)
    content["annotations"] += [
        {"id": 9000 + score, "image_id": 100 + frame, "category_id": 26, "score": score / 100}
        | {"segmentation": mask_files.encode_rle(mask)}
        for score, mask in ((90, sure), (20, faint))
    ]
    (tmp_path / "detections.json").write_text(json.dumps(content))
    drive = open_drive(street, SEQUENCE, given=Given(masks=tmp_path / "detections.json"))
    found = drive.read(MASKS, CAMERA, frame)
    seen = maps[frame] > 0
    assert set(np.unique(found[sure & ~seen]).tolist()) == {UNKNOWN}
    assert set(np.unique(found[faint & ~seen]).tolist()) == {0}


def test_detections_are_labelled_as_tracks_are(street, maps, results, tmp_path):
    settings = [word for setting in QUICK for word in ("--set", setting)]
    runs = {}
    for name, masks in (("tracked", results), ("given", mask_files.write(maps, tmp_path / "masks", "coco"))):
        words = ["label", "--root", street, "--sequence", SEQUENCE, "--output", tmp_path / name, "--serial"]
        outcome = CliRunner().invoke(main, [str(word) for word in [*words, *settings, "--masks", masks]])
        assert outcome.exit_code == 0, outcome.output
        table = pq.read_table(tmp_path / name / "labels")
        runs[name] = np.column_stack([table[column] for column in ("frame", "x_world", "y_world", "length")])
    apart = np.abs(runs["given"][:, None] - runs["tracked"][None]).max(axis=2).min(axis=1)
    assert len(apart) > 50
    assert (apart < 0.3).mean() > 0.95  # m, in the same frame
    report = CliRunner().invoke(main, ["report", str(tmp_path / "tracked"), "--root", str(street)])
    assert report.exit_code == 0, report.output
    evaluation = CliRunner().invoke(main, ["evaluate", str(tmp_path / "tracked"), "--root", str(street)])
    assert evaluation.exit_code == 0, evaluation.output
