import json
import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.evaluation import compare_runs, evaluate_run, format_comparison
from vsrd_ray.labels.boxes.evaluation.comparison import paired_differences
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
A, B = (10.0, 3.0, 0.0), (20.0, -2.0, 0.0)
MEASURES = 5


def test_differences_of_means_and_no_interval_without_difference():
    scores = np.zeros((2, 4, MEASURES))
    scores[0], scores[1] = np.arange(4)[:, None], np.arange(4)[:, None] + 0.25
    for one in paired_differences(scores, np.array([0, 0, 1, 2]), seed=0):
        assert (one.a, one.b, one.difference) == (1.5, 1.75, 0.25)
        assert one.low == pytest.approx(0.25) and one.high == pytest.approx(0.25)


def test_interval_equals_a_slow_twin():
    """Instances drawn one by one, each with all its truths."""
    rng = np.random.default_rng(0)
    instances = rng.integers(0, 12, 80)
    scores = rng.random((2, 80, MEASURES))
    scores[1] += 0.3 * instances[:, None] / 12  # the frames of an instance gain alike
    found = paired_differences(scores, instances, seed=1)
    gains = scores[1] - scores[0]
    means = []
    for _ in range(4000):
        drawn = [place for one in rng.integers(0, 12, 12) for place in np.flatnonzero(instances == one)]
        means.append(gains[drawn].mean(axis=0))
    lows, highs = np.quantile(means, [0.025, 0.975], axis=0)
    np.testing.assert_allclose([one.low for one in found], lows, atol=0.01)
    np.testing.assert_allclose([one.high for one in found], highs, atol=0.01)
    by_frame = paired_differences(scores, np.arange(80), seed=1)
    assert found == paired_differences(scores, instances, seed=1) != by_frame


def test_one_instance_has_no_interval_however_many_its_frames():
    rng = np.random.default_rng(0)
    one = paired_differences(rng.random((2, 50, MEASURES)), np.zeros(50, dtype=int), seed=0)[0]
    assert np.isfinite(one.difference) and np.isnan([one.low, one.high]).all()


def test_no_truth_has_no_difference():
    assert all(np.isnan(one.difference) for one in paired_differences(np.zeros((2, 0, MEASURES)), np.zeros(0), seed=0))


@pytest.fixture
def two_runs(write_run, label_row, truth_object, tmp_path):
    """Run a labels 26001 perfectly in frames 1 and 2; b in frame 2, half a length ahead, and 26002 there perfectly."""
    truth = [truth_object(1, 1, A), truth_object(2, 2, B), truth_object(3, 3, (14.0, 0, 0), timestamp=4)]
    a, root = write_run([label_row(1, 26001, A), label_row(2, 26001, A)], truth)
    b = shutil.copytree(a, tmp_path / "b")
    rows = [label_row(2, 26001, (12.0, 3, 0)), label_row(2, 26002, B)]
    table = pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)
    write_parquet(table, b / "labels" / f"sequence={SEQUENCE}" / "a.parquet")
    return SimpleNamespace(a=a, b=b, root=root)


def edit_inputs(output, **changes):
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"] |= changes
    (output / "manifest.json").write_text(json.dumps(manifest))


def test_two_runs_by_hand(two_runs):
    found = compare_runs(two_runs.a, two_runs.b, two_runs.root)
    # 26001 in four frames, 26002 in three; the moving car has no part
    assert (found.num_truths, found.num_instances) == (7, 2)
    measures = {one.measure: (one.a, one.b) for one in found.differences}
    assert measures == {
        "IoU3D, mean": pytest.approx((2 / 7, (1 / 3 + 1) / 7)),
        "IoU_BEV, mean": pytest.approx((2 / 7, (1 / 3 + 1) / 7)),
        "IoU3D > 0.5": pytest.approx((2 / 7, 1 / 7)),
        "IoU3D > 0.7": pytest.approx((2 / 7, 1 / 7)),
        "coverage": pytest.approx((2 / 7, 2 / 7)),
    }
    # either car alone, twice: from (1 / 3 - 2) / 4 to 1 / 3
    first = found.differences[0]
    assert (first.low, first.high) == (pytest.approx((1 / 3 - 2) / 4), pytest.approx(1 / 3))


def test_shares_of_two_runs_by_hand(two_runs, label_row):
    rows = [label_row(frame, 26001, (10 + ahead, 3.0, 0.0)) for frame, ahead in ((1, 0.72), (2, 0.65))]  # .695, .720
    table = pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)
    write_parquet(table, two_runs.b / "labels" / f"sequence={SEQUENCE}" / "a.parquet")
    measures = {one.measure: one.b for one in compare_runs(two_runs.a, two_runs.b, two_runs.root).differences}
    assert (measures["IoU3D > 0.5"], measures["IoU3D > 0.7"]) == (2 / 7, 1 / 7)


def test_a_run_with_itself_is_its_evaluation(two_runs):
    found = compare_runs(two_runs.b, two_runs.b, two_runs.root)
    static = evaluate_run(two_runs.b, two_runs.root).static
    assert found.num_truths == static.count
    assert found.differences[0].a == found.differences[0].b == pytest.approx(static.iou_3d.mean)
    assert all((one.difference, one.low, one.high) == (0, 0, 0) for one in found.differences)


def test_truths_are_those_that_are_eligible_in_both(two_runs):
    (two_runs.b / "groups" / "a.parquet").unlink()  # frames 1 and 2
    found = compare_runs(two_runs.a, two_runs.b, two_runs.root)
    assert found.num_truths == 4
    assert (found.run_a.num_left_out, found.run_b.num_left_out) == (3, 0)
    text = format_comparison(found, ("one", "another"))
    assert "left out, since A alone has labelled their frames: 3 parked truths" in text and "since B alone" not in text
    turned = compare_runs(two_runs.b, two_runs.a, two_runs.root)
    assert (turned.run_a.num_left_out, turned.run_b.num_left_out) == (0, 3)
    assert compare_runs(two_runs.a, two_runs.b, two_runs.root, max_range=12.0).num_truths == 2


def test_the_seed_is_that_of_the_draws(two_runs, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        "vsrd_ray.labels.boxes.evaluation.comparison.paired_differences",
        lambda *_, seed: tuple(seeds.append(seed) or ()),
    )
    for seed in (0, 7):
        compare_runs(two_runs.a, two_runs.b, two_runs.root, seed=seed)
    assert seeds == [0, 7]


def test_runs_that_are_not_whole_are_told(two_runs):
    manifest = json.loads((two_runs.b / "manifest.json").read_text())
    (two_runs.b / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    (two_runs.a / "groups" / "b.parquet").unlink()
    found = compare_runs(two_runs.a, two_runs.b, two_runs.root)
    assert [(run.has_ended, run.num_failed_groups) for run in (found.run_a, found.run_b)] == [(True, 0), (False, 1)]
    lines = format_comparison(found, ("one", "another")).splitlines()
    assert "B has not ended: these figures are of what it has labelled so far" in lines
    assert "1 group failed in B: what they ought to have labelled counts as missing" in lines
    assert not any("A has not ended" in line or "failed in A" in line for line in lines)


def test_text_has_no_interval_of_one_instance(two_runs):
    text = format_comparison(compare_runs(two_runs.a, two_runs.b, two_runs.root, max_range=12.0), ("one", "another"))
    assert "4 parked truths of 1 instances" in text
    assert text.split("\n\n")[1].splitlines()[1].split() == ["IoU3D,", "mean", "0.500", "0.083", "-0.417", "-"]


def test_runs_of_other_things_are_not_compared(two_runs):
    edit_inputs(two_runs.b, classes=["truck"])
    with pytest.raises(InputError, match=r"output is of car, .*b of truck, with no class in common: give two runs"):
        compare_runs(two_runs.a, two_runs.b, two_runs.root)
    edit_inputs(two_runs.b, sequences=["another"])
    with pytest.raises(InputError, match=rf"output is of {SEQUENCE}, .*b of another, with no sequence in common: give"):
        compare_runs(two_runs.a, two_runs.b, two_runs.root)
    edit_inputs(two_runs.b, camera="image_01")
    with pytest.raises(InputError, match=r"of image_00, .* of image_01"):
        compare_runs(two_runs.a, two_runs.b, two_runs.root)


def test_instances_of_two_sequences_are_apart_whatever_their_ids(two_runs):
    names = [SEQUENCE, "2013_05_28_drive_0002_sync"]
    for output in (two_runs.a, two_runs.b):
        edit_inputs(output, sequences=names)
    every = []

    def the_first_alone(work, tasks):
        every.extend(tasks)
        first = [work(*task) for task in tasks if task.sequence == SEQUENCE]
        return [*first, *first]  # as if the other drive were the same

    found = compare_runs(two_runs.a, two_runs.b, two_runs.root, spread=the_first_alone)
    assert [(task.sequence, task.output) for task in every] == [
        (name, output) for name in names for output in (two_runs.a, two_runs.b)
    ]
    assert (found.num_truths, found.num_instances) == (14, 4)
    assert found.differences[0].a == pytest.approx(2 / 7)


def test_what_one_run_alone_has_is_left_out_and_named(two_runs):
    edit_inputs(two_runs.a, sequences=["another", SEQUENCE])
    edit_inputs(two_runs.b, classes=["truck", "car"])
    found = compare_runs(two_runs.a, two_runs.b, two_runs.root)
    assert (found.sequences, found.classes, found.num_truths) == ((SEQUENCE,), ("car",), 7)
    assert found.left_out == ("another", "truck")
    assert "left out, since one run alone has it: another, truck" in format_comparison(found, ("one", "another"))


def test_both_runs_are_spread_at_once_and_all_that_is_wrong_is_named(two_runs):
    spread = []

    def reversed_in_time(work, tasks):
        spread.append([(task.output, task.sequence) for task in tasks])
        return [work(*task) for task in tasks[::-1]][::-1]

    found = compare_runs(two_runs.a, two_runs.b, two_runs.root, spread=reversed_in_time)
    assert found == compare_runs(two_runs.a, two_runs.b, two_runs.root)
    assert spread == [[(two_runs.a, SEQUENCE), (two_runs.b, SEQUENCE)]]
    for output in (two_runs.a, two_runs.b):
        (output / "index" / f"{SEQUENCE}.parquet").unlink()
    with pytest.raises(InputError, match=rf"2 inputs .*\(1\) {two_runs.a}/index/.*\(2\) {two_runs.b}/index/"):
        compare_runs(two_runs.a, two_runs.b, two_runs.root)


def test_text_is_a_table(two_runs):
    text = format_comparison(compare_runs(two_runs.a, two_runs.b, two_runs.root), ("one", "another"))
    head, table = text.split("\n\n")
    assert head.splitlines()[:2] == ["A: one", "B: another"] and "7 parked truths of 2 instances" in head
    lines = table.splitlines()
    assert lines[0].split() == ["A", "B", "B", "-", "A", "95", "%", "interval"]
    assert lines[1].split() == ["IoU3D,", "mean", "0.286", "0.190", "-0.095", "-0.417", "to", "+0.333"]
    assert len(lines) == 1 + MEASURES
