"""Frames of a run with their depth and profile, most doubtful first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.depth.formats import image_of
from vsrd_ray.labels.depth.pictures import beside
from vsrd_ray.labels.depth.schema import DepthMap, maps_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.page import Section, write_page

_FRAMES = 6  # that are shown of each drive
_ROWS = 20  # that are listed of each


def report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    """Write one HTML file; see `vsrd_ray.labels.base.Reporter`."""
    sections = [_section(run, run.drive(name)) for name in run.inputs.sequences]
    size = write_page(destination, "Depth and density", sections)
    return [f"Report written to {destination}: {size / 1e6:.1f} MB"]


def _section(run: RunFolder, drive: Drive) -> Section:
    rows = sorted((_row(one) for one in maps_of(run, drive.name)), key=lambda row: (-row["spread"], row["frame"]))
    shown = {row["frame"] for row in rows[:: max(len(rows) // _FRAMES, 1)][:_FRAMES]}
    pictures = {
        f"frame {one.frame}: image, depth and free space from above": beside(image_of(drive, one), one)
        for one in maps_of(run, drive.name)
        if one.frame in shown
    }
    text = (
        f"Depth of {len(rows)} frames, the least certain first. Depth is bright nearby; from above, bright is free "
        "at all heights up to the camera's, 3 to 21 m ahead."
    )
    return Section(drive.name, text, rows[:_ROWS], pictures)


def _row(one: DepthMap) -> dict[str, Any]:
    known = one.depth > 0
    spread = float(np.median(one.spread[known] / one.depth[known])) if known.any() else float("inf")
    return {
        "frame": one.frame,
        "sensor": one.sensor,
        "known": round(float(known.mean()), 3),
        "median depth": round(float(np.median(one.depth[known])), 2) if known.any() else None,
        "spread": round(spread, 4),
        "free": round(float(one.profile.mean()), 3),
    }
