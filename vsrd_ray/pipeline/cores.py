"""Cores that this process may use: those that it may be scheduled on, as far as its containers leave it time on them.

A container's limit of CPU time (`docker --cpus`, a limit in Kubernetes) is a quota of its control group, or of one
above it, and does not show in the cores that the process may be scheduled on.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def num_cores(system: Path = Path("/")) -> int:
    """Whole cores that this process may use, at least 1.

    Args:
        system: where `proc` and `sys` lie.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *_quotas(system)])))


def _quotas(system: Path) -> Iterator[float]:
    """CPUs that the control groups of this process allow, where they limit them: of its own, and of those above."""
    for top, group in _groups(system):
        for folder in (top / group, *(top / group).parents):
            if (quota := _quota(folder)) is not None:
                yield quota
            if folder == top:
                break


def _groups(system: Path) -> Iterator[tuple[Path, str]]:
    """The control groups of this process that may limit its CPU time: the top of their tree, and the way from it."""
    ways: dict[str, str] = {}
    for line in _lines(system / "proc/self/cgroup"):
        _, controllers, way = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            ways["cgroup" if controllers else "cgroup2"] = way
    for line in _lines(system / "proc/self/mountinfo"):
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split(" ", 2)
        if kind not in ways or (kind == "cgroup" and "cpu" not in options.split(",")):
            continue
        root, place = mount.split(" ")[3:5]
        top = system / place.lstrip("/")
        way = ways[kind].removeprefix(root).strip("/")
        # A container may know its group by the way outside, and see the group itself as the top of the tree.
        yield top, way if (top / way).is_dir() and ".." not in way else ""


def _quota(folder: Path) -> float | None:
    """CPUs that one control group allows; None where it does not limit them."""
    words = " ".join(_lines(folder / "cpu.max")).split()  # version 2
    if not words:
        words = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
    try:
        quota, period = (float(word) for word in words)
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
