"""Runs in scene mode on a real local Ray: windows share frames, and every instance is fitted once."""

from functools import partial

import cv2
import pytest
from builders import make_request
from standin import StandIn

from vsrd_ray.engines import label
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labels.boxes.convert import labels_to_kitti
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.pictures.images import visualize_labels
from vsrd_ray.labels.boxes.pictures.sheet import write_sheet
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.runs.folder import read_index
from vsrd_ray.runs.reading import read_groups

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = ("labels", "kitti")


@pytest.fixture(scope="module")
def config() -> VSRDConfig:
    grouping = {"kind": "scene", "window_instances": 2, "min_area": 32, "min_box_side": 4, "num_views": 6}
    return VSRDConfig.model_validate({"grouping": grouping})


@pytest.fixture(scope="module")
def finished(street, config, tmp_path_factory):
    """OUTPUT and summary of an undisturbed run with one actor."""
    output = tmp_path_factory.mktemp("finished") / "output"
    pool = PoolRequest(num_actors=(1, 1))
    request = make_request(output, root=street, sequences=(SEQUENCE,), config=config, pool=pool)
    return output, label(request, labeler_factory=StandIn)


def texts(output):
    return {path.name: path.read_bytes() for path in output.rglob("label_2/*.txt")}


def test_every_instance_is_fitted_once_and_labelled_wherever_it_is_seen(finished):
    output, summary = finished
    groups = read_groups(output).to_pylist()
    frames = [frame for group in groups for frame in group["frames"]]
    assert len(frames) > len(set(frames))  # frames are shared
    assert summary.counts.groups_ok == summary.counts.groups == len(groups) > 1
    assert summary.counts.labelled_frames == summary.counts.frames == 24
    owner = {instance_id: group["group_id"] for group in groups for instance_id in group["instance_ids"]}
    assert len(owner) == sum(len(group["instance_ids"]) for group in groups)
    rows = read_labels(output).to_pandas()
    assert rows["group_id"].tolist() == [owner[instance_id] for instance_id in rows["instance_id"]]
    assert summary.counts.boxes == len(rows) == len(rows.drop_duplicates(["frame", "instance_id"]))
    same = rows.groupby("instance_id")[["x_world", "length", "yaw_world", "target_frame", "group_id"]].nunique()
    assert (same == 1).all(axis=None)
    assert rows.groupby("group_id")["target_frame"].nunique().max() > 1  # a best frame for each instance
    index = read_index(output, SEQUENCE).to_pandas()
    for instance_id, labelled in rows.groupby("instance_id"):
        assert labelled["frame"].tolist() == index["frame"][index["instance_id"] == instance_id].tolist()


def test_convert_gives_the_texts_of_the_run(finished, tmp_path):
    assert labels_to_kitti(finished[0], tmp_path) == 24
    assert texts(tmp_path) == texts(finished[0])


def test_labels_depend_neither_on_the_number_of_actors_nor_on_a_limit(finished, request_for, config, files_in):
    request = request_for(config=config, pool=PoolRequest(num_actors=(2, 2)), limit=1)
    first = label(request, labeler_factory=StandIn)
    assert (first.counts.groups, first.counts.groups_ok) == (1, 1)
    before = texts(request.output)
    rest = request_for(config=config, pool=PoolRequest(num_actors=(2, 2)), serial=False)
    assert label(rest, labeler_factory=StandIn).counts == finished[1].counts
    assert files_in(rest.output, *LABELS) == files_in(finished[0], *LABELS)
    after = texts(rest.output)
    assert before.keys() < after.keys() and any(before[name] != after[name] for name in before)


def test_failed_window_leaves_its_frames_without_text(finished, request_for, config, files_in, tmp_path):
    failing = read_groups(finished[0]).to_pylist()[1]
    request = request_for(config=config)
    factory = partial(StandIn, failing=frozenset({failing["group_id"]}))
    for _ in range(2):  # the second run finds the labels of the other windows, and not these
        summary = label(request, labeler_factory=factory)
        assert summary.counts.groups_failed == 1
        left_out = {f"{frame:010d}.txt" for frame in failing["frames"]}
        whole = texts(finished[0])
        assert texts(request.output) == {name: text for name, text in whole.items() if name not in left_out}
        assert summary.counts.labelled_frames == 24 - len(left_out) < 24
    labels_to_kitti(request.output, tmp_path / "converted")
    assert texts(tmp_path / "converted") == texts(request.output)
    label(request, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)


def test_evaluation_and_pictures_count_every_frame_once(finished, street, tmp_path):
    output, _ = finished
    report = evaluate_run(output, street)
    assert report.num_frames == 24
    rows = read_labels(output)
    assert 0 < report.static.labelled <= report.static.count
    assert report.static.labelled <= rows.num_rows
    assert visualize_labels(output, street, tmp_path / "pictures") == 24
    write_sheet(output, street, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
