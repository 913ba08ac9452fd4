"""How far the run in an output folder is, read from its manifest."""

from collections import defaultdict
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from vsrd_ray.pipeline.progress import progress_line
from vsrd_ray.pipeline.request import count_line, format_seconds, format_skipped
from vsrd_ray.runs.manifest import SECONDS_PER_NOTE, recorded_manifest
from vsrd_ray.runs.records import Progress
from vsrd_ray.storage import Location

_SKEW = 60.0  # seconds that clocks of two machines may differ by, and nobody need know
_SILENCE = 12 * SECONDS_PER_NOTE  # without a note, after which one may wonder


def read_status(output: Location) -> dict[str, Any]:
    """The state of the run in an output folder.

    Returns:
        `status`, `error`, `inputs`, `counts` (as the last run that ended left them), `failures`, `unusable_sequences`,
        `warnings` and `seconds` of the manifest; `progress` of the present run or the last one, with the `age` of that
        note in seconds; each of these two None where no group has been begun.

    Raises:
        InputError: no run has begun in the folder, or its manifest is none.
    """
    manifest = recorded_manifest(output)
    progress = manifest.get("progress")
    age = None
    if progress is not None:
        age = (datetime.now(UTC) - datetime.fromisoformat(progress["time"])).total_seconds()
    keys = ("status", "error", "inputs", "counts", "failures", "unusable_sequences", "warnings", "seconds")
    return {"output": str(output), **{key: manifest.get(key) for key in keys}, "progress": progress, "age": age}


def format_status(state: dict[str, Any]) -> str:
    """The state in a few lines."""
    rows = [("Output", state["output"]), ("Status", _status(state))]
    if state["status"] == "running" and state["progress"] is not None:
        known = {field.name for field in fields(Progress)}
        progress = Progress(**{name: value for name, value in state["progress"].items() if name in known})
        rows += [("Progress", progress_line(progress)), ("Noted", _ago(state["age"]))]
    elif state["counts"]:
        counts = defaultdict(lambda: "?", state["counts"])  # which other versions may not have
        skipped = f", {format_skipped(counts)}" if counts.get("frames_skipped") else ""
        rows += [
            ("Frames", f"{counts['labelled_frames']} of {counts['frames']} labelled{skipped}"),
            ("Groups", f"{counts['groups_ok']} of {counts['groups']} labelled, {counts['groups_failed']} failed"),
            *((kind.capitalize(), count_line(counts, kind)) for kind in state["inputs"].get("kinds", ["boxes"])),
            ("Time", f"{format_seconds(state['seconds']['wall'])} over all runs"),
        ]
        rows += [("Failed", f"{failure['group_id']}: {failure['error']}") for failure in state["failures"]]
    rows += [("Left out", f"{name}: {error}") for name, error in (state["unusable_sequences"] or {}).items()]
    rows += [("Warning", warning) for warnings in (state["warnings"] or {}).values() for warning in warnings]
    if state["error"]:
        rows.append(("Error", state["error"]))
    return "\n".join(f"{name:10}{text}" for name, text in rows)


def _ago(seconds: float) -> str:
    if seconds < -_SKEW:
        return f"{format_seconds(-seconds)} ahead of this machine's clock: set the clocks of both machines"
    return f"{format_seconds(max(seconds, 0.0))} ago"


def _status(state: dict[str, Any]) -> str:
    if state["status"] != "running":
        return state["status"].replace("_", " ")
    if state["progress"] is not None and state["progress"].get("interrupted"):
        return "interrupted; the same command goes on from there"
    if state["age"] is not None and state["age"] > _SILENCE:
        return "running when it was last heard of; if it was killed, the same command goes on from there"
    return "running"
