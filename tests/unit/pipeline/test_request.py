from pathlib import Path

import pytest
from builders import make_request

from vsrd_ray.labels.base import REPORT
from vsrd_ray.labels.boxes.spec import SPEC as BOXES
from vsrd_ray.pipeline.request import Summary, default_output, format_seconds, format_summary
from vsrd_ray.runs.records import Counts, Failure


def test_default_output_names_the_sequences():
    assert default_output(["a"]) == Path("outputs/a")
    assert default_output(["a", "b", "c"]) == Path("outputs/a+2")


def counts_of(*numbers):
    """Of a run whose labels are boxes."""
    return Counts(*numbers, rows={"boxes": numbers[-1]})


def summary_of(counts, *, output="out", sequences=("a",), **changes):
    request = make_request(Path(output), sequences=sequences)
    values = {"failures": (), "unusable_sequences": {}, "wall_seconds": 61.4, "notes": (), "has_truth": True}
    values |= {"kinds": ("boxes",), "looks": BOXES.looks}
    return Summary(request=request, sequences=sequences, counts=counts, **(values | changes))


def test_summary_tells_counts_failures_and_what_comes_next():
    failures = (Failure("g3", "a", 30, 2, "ValueError: bad"),)
    summary = summary_of(counts_of(60, 2, 50, 7, 6, 1, 321), failures=failures, notes=("A sentence.",))
    assert format_summary(summary).splitlines() == [
        "Frames    50 of 60 labelled, 2 skipped",
        "Groups    6 of 7 labelled, 1 failed",
        "Boxes     321",
        "Time      1 min 01 s",
        "Output    out",
        "Failed    g3: ValueError: bad",
        "Note      A sentence.",
        "Note      The same command tries the failed groups again.",
        "Next      vsrd-ray report out --root root",
        "          vsrd-ray evaluate out --root root",
        "          vsrd-ray visualize labels out --root root --sheet out/sheet.png",
    ]


def test_sequence_that_was_left_out_is_a_failure_with_its_mend():
    assert not summary_of(counts_of(6, 0, 6, 0, 0, 0, 0)).has_failures
    summary = summary_of(counts_of(6, 0, 6, 0, 0, 0, 0), unusable_sequences={"b": "b/poses.txt: no pose"})
    assert summary.has_failures
    assert format_summary(summary).splitlines()[5:] == [
        "Left out  b: b/poses.txt: no pose",
        "Note      The same command labels what was left out, once it is fixed.",
    ]


def test_without_boxes_nothing_comes_next():
    lines = format_summary(summary_of(counts_of(6, 0, 6, 0, 0, 0, 0))).splitlines()
    assert [line.split()[0] for line in lines] == ["Frames", "Groups", "Boxes", "Time", "Output"]


def test_without_truth_there_is_nothing_to_evaluate_and_paths_can_be_pasted():
    summary = summary_of(counts_of(6, 0, 6, 1, 1, 0, 6), output="my out", has_truth=False)
    assert format_summary(summary).splitlines()[5:] == [
        "Next      vsrd-ray report 'my out' --root root",
        "          vsrd-ray visualize labels 'my out' --root root --sheet 'my out/sheet.png'",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.9, "1 h 00 min"),
        (7650, "2 h 07 min"),
        (360000, "100 h 00 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert format_seconds(seconds) == text


def test_of_several_sequences_the_first_is_drawn():
    summary = summary_of(counts_of(6, 0, 6, 1, 1, 0, 6), sequences=("a", "b"))
    last = format_summary(summary).splitlines()[-1].strip()
    assert last == "vsrd-ray visualize labels out --root root --sequence a --sheet out/sheet.png"


def test_rows_are_counted_and_shown_by_kind():
    counts = Counts(6, 0, 6, 1, 1, 0, 0, rows={"masks": 12, "points": 0})
    summary = summary_of(counts, kinds=("masks", "points"), looks=(REPORT,))
    assert format_summary(summary).splitlines()[2:] == [
        "Masks     12",
        "Points    0",
        "Time      1 min 01 s",
        "Output    out",
        "Next      vsrd-ray report out --root root",
        "          vsrd-ray evaluate out --root root",
    ]
