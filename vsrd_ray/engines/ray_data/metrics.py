"""A run's metrics, as Ray exports them for Prometheus, each under its name with `ray_` before it."""

from dataclasses import replace

from ray.util.metrics import Counter, Gauge, Histogram

from vsrd_ray.runs.records import Progress
from vsrd_ray.runs.results import GroupResult

_SECONDS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]


class RunMetrics:
    """Told from the driver, which sees every result."""

    def __init__(self) -> None:
        self._done = Counter("vsrd_groups_done", "Frame groups labelled.")
        self._failed = Counter("vsrd_groups_failed", "Frame groups given up.")
        self._retried = Counter("vsrd_groups_retried", "AttemptLedger at frame groups that failed and were repeated.")
        self._labels = Counter("vsrd_labels_written", "Boxes written, one a frame and instance.")
        self._total = Gauge("vsrd_groups_total", "Frame groups of the sequences planned so far.")
        self._seconds = Histogram(
            "vsrd_group_seconds", "Seconds that a frame group took.", boundaries=_SECONDS, tag_keys=("phase",)
        )
        self._told = Progress(sequences=0)

    def update(self, progress: Progress, result: GroupResult, *, write_seconds: float) -> None:
        """A result has been written.

        Args:
            progress: of the run, this result included.
            result: what was written.
            write_seconds: how long that took.
        """
        before, self._told = self._told, replace(progress)
        (self._done if result.error is None else self._failed).inc()
        if progress.groups_retried > before.groups_retried:
            self._retried.inc(progress.groups_retried - before.groups_retried)
        if progress.boxes_new > before.boxes_new:
            self._labels.inc(progress.boxes_new - before.boxes_new)
        self._total.set(progress.groups)
        for phase, seconds in (("load", result.seconds.load), ("fit", result.seconds.fit), ("write", write_seconds)):
            self._seconds.observe(seconds, {"phase": phase})
