from pathlib import Path

from vsrd_ray.config import VSRDConfig
from vsrd_ray.pipeline.request import Counts, Failure, LabelRequest, Summary, default_output, format_summary


def test_default_output_names_the_sequences():
    assert default_output(["a"]) == Path("outputs/a")
    assert default_output(["a", "b", "c"]) == Path("outputs/a+2")


def test_summary_tells_counts_failures_and_what_comes_next():
    summary = Summary(
        request=LabelRequest(Path("root"), ("a",), Path("out"), VSRDConfig()),
        counts=Counts(60, 2, 50, 7, 6, 1, 321),
        failures=(Failure("g3", "a", 30, 2, "ValueError: bad"),),
        wall_seconds=61.4,
        notes=("A note.",),
    )
    assert format_summary(summary).splitlines() == [
        "Frames    50 of 60 labelled, 2 skipped",
        "Groups    6 of 7, 1 failed",
        "Boxes     321",
        "Time      61 s",
        "Output    out",
        "Failed    g3: ValueError: bad",
        "A note.",
        "The same command tries the failed groups again.",
        "Next      vsrd-ray visualize labels out --root root",
    ]
