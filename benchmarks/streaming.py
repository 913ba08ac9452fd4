"""What the engine takes beside the fits: driver memory, object store and time, over drives of 1,000 and 5,000 groups.

    python -m benchmarks.streaming [--groups 1000 5000] [--workers 4] [--seconds 0.25] [--batch-size 8]

A labeler that only waits stands in for the optimiser; all the rest is the real run: 4,000 and 20,000 frames indexed,
planned, loaded, labelled on a local Ray, written as Parquet and KITTI text, and compacted. Overhead is what a worker's
time amounts to beside waiting: (wall x workers - waited) / groups, from the first group's way in to the last result.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.long_drive import measure

_COLUMNS = (
    *("groups", "workers", "s waited each", "groups/s", "overhead, ms a group", "CPU of the driver, ms a group"),
    *("driver GB", "object store GB", "total s"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--groups", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.25, help="that each group waits")
    parser.add_argument("--batch-size", type=int, default=8)
    options = parser.parse_args()
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}")
    runs = []
    for groups in options.groups:
        with tempfile.TemporaryDirectory() as folder:
            run = measure(
                Path(folder),
                groups=groups,
                workers=options.workers,
                seconds=options.seconds,
                batch_size=options.batch_size,
            )
        runs.append(run)
        print(
            f"| {groups} | {run.workers} | {run.sleep:g} | {groups / run.wall:.1f} | {1e3 * run.overhead:.1f} "
            f"| {1e3 * run.driver_cpu / groups:.1f} | {run.driver_gb:.2f} | {run.store_gb:.3f} | {run.total:.0f} |",
            flush=True,
        )
    if len(runs) == 1:
        return
    first, last = runs[0], runs[-1]
    print(
        f"\n{last.groups} against {first.groups} groups: driver memory x {last.driver_gb / first.driver_gb:.2f}, "
        f"object store x {last.store_gb / max(first.store_gb, 1e-3):.2f}"
    )


if __name__ == "__main__":
    main()
