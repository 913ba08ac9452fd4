"""Sequences evaluated side by side on a real local Ray."""

import json

import pytest
from standin import StandIn

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.engines import label
from vsrd_ray.engines.ray_data.evaluating import on_ray
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labels.boxes.evaluation import compare_runs, evaluate_run
from vsrd_ray.labels.boxes.evaluation.run import values_of
from vsrd_ray.synthetic import StreetSettings, synthesize

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SEQUENCES = ("2013_05_28_drive_0000_sync", "2013_05_28_drive_0002_sync")


@pytest.fixture
def run(root, request_for):
    """OUTPUT and ROOT of a run over two drives."""
    settings = StreetSettings(frames=12, cars=4, moving=1, image_size=(352, 96), seed=5, sequence=SEQUENCES[1])
    synthesize(root, settings)
    grouping = {"kind": "scene", "min_area": 32, "min_box_side": 4, "num_views": 6}
    config = VSRDConfig.model_validate({"grouping": grouping})
    request = request_for(root=root, sequences=SEQUENCES, config=config)
    assert label(request, labeler_factory=StandIn).counts.frames == 24 + 12
    return request.output, root


def test_figures_are_those_of_one_process(run):
    output, root = run
    report = evaluate_run(output, root, max_range=30.0)
    assert (report.sequences, report.num_frames, report.num_windows) == (SEQUENCES, 36, 2)
    assert report.static.labelled > 20 and report.moving.count > 0 and report.kitti360_ap["car"].num_objects > 4
    there = evaluate_run(output, root, max_range=30.0, spread=on_ray(None))
    assert json.dumps(values_of(there, root)) == json.dumps(values_of(report, root))


def test_two_runs_are_compared_as_in_one_process(run):
    output, root = run
    here = compare_runs(output, output, root)
    assert here.num_instances > 4 and here.sequences == SEQUENCES
    assert compare_runs(output, output, root, spread=on_ray(None)) == here


def test_bad_inputs_of_all_tasks_are_one_error_as_in_one_process(run):
    output, root = run
    for sequence in SEQUENCES:
        paths.boxes_file(root, sequence).unlink()
    with pytest.raises(
        InputError, match=rf"2 inputs .*{SEQUENCES[0]}\.xml.* \(2\) no 3D boxes .*{SEQUENCES[1]}\.xml"
    ) as here:
        evaluate_run(output, root)
    with pytest.raises(InputError) as there:
        evaluate_run(output, root, spread=on_ray(None))
    assert str(there.value) == str(here.value)
