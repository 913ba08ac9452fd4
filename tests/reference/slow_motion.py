"""Slow and obvious twin of vsrd_ray/labelers/vsrd/motion.py: a way by many small steps."""

import numpy as np

STEPS = 20_000


def drive(yaw, knots, *, first, last, time):
    """Displacement [3], turn and velocity [3] at a time, of what is in its place with a heading in the middle.

    `knots` [3, Q] are speeds, curvatures and slopes at times that divide first to last evenly; one alone is for all
    times. Before the first time and after the last one all stays as it is there.
    """
    middle, time = (first + last) / 2, np.clip(time, first, last)
    times = np.linspace(middle, time, STEPS + 1)
    halves = (times[1:] + times[:-1]) / 2
    step = (time - middle) / STEPS
    at_halves, (speed, _, slope) = _between(knots, halves, first, last), _between(knots, time, first, last)
    turns = np.concatenate([[0.0], np.cumsum(at_halves[0] * at_halves[1]) * step])
    velocities = _ahead(yaw + (turns[1:] + turns[:-1]) / 2, at_halves[2]) * at_halves[0][:, None]
    return velocities.sum(axis=0) * step, turns[-1], _ahead(yaw + turns[-1], slope) * speed


def _between(knots, times, first, last):
    places = np.linspace(first, last, knots.shape[1]) if knots.shape[1] > 1 else [first]
    return [np.interp(times, places, values) for values in knots]


def _ahead(yaws, slopes):
    return np.stack([np.sin(yaws), -slopes, np.cos(yaws)], axis=-1)


def departure(knots, *, span, spreads, changes):
    """What is held against a motion: its values, and their changes over a second."""
    gap = span / max(knots.shape[1] - 1, 1)
    total = 0.0
    for values, spread, change in zip(knots, spreads, changes, strict=True):
        total += sum((value / spread) ** 2 for value in values)
        total += sum((step / (change * np.sqrt(gap))) ** 2 for step in np.diff(values))
    return total
