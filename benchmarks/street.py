"""Seconds that the built-in street takes, layer by layer: python -m benchmarks.street [--frames 60] [--jobs 2].

Each layer alone, per frame, in one process and one thread, beside images and masks alone; then the whole drive with
everything, as `vsrd-ray synthesize --layers all --texture rich` writes it.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from vsrd_ray.synthetic import StreetSettings, synthesize
from vsrd_ray.synthetic.frames import Studio, write_frame
from vsrd_ray.synthetic.settings import LAYERS

BUDGET = 90.0  # s for 60 frames with everything on two cores
_TIMED = (10, 30, 50)  # frames of a drive of 60


def seconds_a_frame(settings: StreetSettings) -> tuple[float, float]:
    """Wall and processor seconds of a frame, after one that is not counted."""
    studio = Studio(settings)
    with tempfile.TemporaryDirectory() as folder:
        write_frame(Path(folder), studio, 0)
        wall, cpu = time.perf_counter(), time.process_time()
        for frame in _TIMED:
            write_frame(Path(folder), studio, frame)
        return (time.perf_counter() - wall) / len(_TIMED), (time.process_time() - cpu) / len(_TIMED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    variants = {
        "images and masks": {},
        "rich texture": {"texture": "rich"},
        **{layer: {"layers": [layer]} for layer in LAYERS},
        "all, rich": {"layers": ["all"], "texture": "rich"},
    }
    for name, values in variants.items():
        wall, cpu = seconds_a_frame(StreetSettings.model_validate(values))
        print(f"{name:18s} {wall:6.2f} s a frame, {cpu:6.2f} s of processor", flush=True)
    settings = StreetSettings.model_validate({"frames": given.frames, "layers": ["all"], "texture": "rich"})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        synthesize(Path(folder), settings, jobs=given.jobs)
        seconds = time.perf_counter() - start
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{given.frames} frames with everything, {given.jobs} processes: {seconds:.1f} s (load {load})")
    print(f"60 frames: {60 * seconds / given.frames:.1f} s of {BUDGET:g} s")


if __name__ == "__main__":
    main()
