"""How the readings of a sensor are numbered as frames of a scene.

Keyframe k is frame 100 k for every sensor. A sweep is numbered by its time, in hundredths of the way from the sensor's
keyframe before it to the one after it; after the last keyframe, hundredths are as long as before it. So frames of two
sensors that have one number were read at nearly the same time (at 2 Hz, within 5 ms beside the sensors' own delay).
Shapes: R readings of one sensor.
"""

import numpy as np

KEYFRAME_STEP = 100
_KEYFRAME_US = 500_000.0  # microseconds from keyframe to keyframe, where a sensor has but one


def number_frames(
    keyframes: np.ndarray,  # [R] which keyframe of the scene a reading belongs to, or comes before
    is_key: np.ndarray,  # [R] bool
    times: np.ndarray,  # [R] microseconds, ascending
) -> np.ndarray:
    """Frame [R] int64 of each reading, ascending; -1 of sweeps before the sensor's first keyframe.

    Raises:
        ValueError: no keyframe, two readings of one keyframe, or more than 99 sweeps between two.
    """
    if not is_key.any():
        raise ValueError("has no keyframe")
    key_frames, key_times = keyframes[is_key].astype(np.int64) * KEYFRAME_STEP, times[is_key].astype(np.float64)
    if (np.diff(key_frames) <= 0).any() or (np.diff(key_times) <= 0).any():
        raise ValueError("has keyframes out of order, or two for one sample")
    frames = np.full(len(times), -1, dtype=np.int64)
    frames[is_key] = key_frames
    rates = np.diff(key_frames) / np.diff(key_times) if len(key_times) > 1 else np.array([KEYFRAME_STEP / _KEYFRAME_US])
    before = np.searchsorted(np.flatnonzero(is_key), np.arange(len(times)), side="right") - 1
    sweeps = np.flatnonzero(~is_key & (before >= 0))
    key = before[sweeps]
    passed = np.rint((times[sweeps] - key_times[key]) * rates[np.minimum(key, len(rates) - 1)]).astype(np.int64)
    frames[sweeps] = key_frames[key] + passed
    if (frames[sweeps] % KEYFRAME_STEP == 0).any() or (np.diff(frames[frames >= 0]) <= 0).any():
        for place in sweeps.tolist():  # some are close to each other, or to a keyframe, whose numbers they may not have
            frame = max(frames[place], frames[place - 1] + 1)
            frames[place] = frame + (frame % KEYFRAME_STEP == 0)
    numbered = frames[frames >= 0]
    if (np.diff(numbered) <= 0).any():
        raise ValueError(f"has more than {KEYFRAME_STEP - 1} sweeps from one keyframe to the next")
    return frames
