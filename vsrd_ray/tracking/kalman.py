"""The Kalman filter of SORT and ByteTrack for boxes in an image, for many tracks at once.

A box is measured as its centre, aspect ratio and height: (cx, cy, a = w/h, h). Each of these moves by a velocity of its
own, and no noise couples two of them. So the filter of eight states is four filters of two, which are written out.

Shapes: N tracks. A state is [5, 4] float64: rows are values, velocities a frame, the variances of the values, the
covariances of values and their velocities, and the variances of the velocities; columns are (cx, cy, a, h), px.
"""

import numpy as np

VALUE, VELOCITY = 0, 1  # rows of a state
HEIGHT = 3  # a column of a state

# Standard deviations as shares of a box's height, and those of the aspect ratio as they are (ByteTrack's filter).
_POSITION, _SPEED = 1 / 20, 1 / 160
_ASPECT, _ASPECT_SPEED, _ASPECT_MEASURED = 1e-2, 1e-5, 1e-1
# How many times as uncertain positions and velocities are when a track begins.
_START_POSITION, _START_SPEED = 2, 10


def started(measured: np.ndarray) -> np.ndarray:  # [N, 4]
    """States [N, 5, 4] of tracks that begin with a measurement and stand still."""
    heights, none = measured[:, HEIGHT], np.zeros_like(measured)
    variances = _variances(_START_POSITION * _POSITION * heights, _ASPECT)
    return np.stack([measured, none, variances, none, _variances(_START_SPEED * _SPEED * heights, _ASPECT_SPEED)], 1)


def predicted(states: np.ndarray) -> np.ndarray:  # [N, 5, 4]
    """States [N, 5, 4] a frame later."""
    values, velocities, variances, shared, speed_variances = np.moveaxis(states, 1, 0)
    heights = values[:, HEIGHT]
    return np.stack(
        [
            values + velocities,
            velocities,
            variances + 2 * shared + speed_variances + _variances(_POSITION * heights, _ASPECT),
            shared + speed_variances,
            speed_variances + _variances(_SPEED * heights, _ASPECT_SPEED),
        ],
        axis=1,
    )


def measured_variances(states: np.ndarray) -> np.ndarray:  # [N, 5, 4]
    """Variances [N, 4] of measurements of such states: the states' own, and the measurement's."""
    values, variances = states[:, VALUE], states[:, 2]
    return variances + _variances(_POSITION * values[:, HEIGHT], _ASPECT_MEASURED)


def updated(states: np.ndarray, measured: np.ndarray) -> np.ndarray:  # [N, 5, 4], [N, 4]
    """States [N, 5, 4] after a measurement of each."""
    values, velocities, variances, shared, speed_variances = np.moveaxis(states, 1, 0)
    total = measured_variances(states)
    gain, speed_gain = variances / total, shared / total
    surprise = measured - values
    return np.stack(
        [
            values + gain * surprise,
            velocities + speed_gain * surprise,
            variances - gain * variances,
            shared - gain * shared,
            speed_variances - speed_gain * shared,
        ],
        axis=1,
    )


def _variances(deviations: np.ndarray, aspect: float) -> np.ndarray:  # [N]
    """Variances [N, 4] of which the aspect ratio has its own standard deviation."""
    each = np.repeat(deviations[:, None], 4, axis=1)
    each[:, 2] = aspect
    return each**2
