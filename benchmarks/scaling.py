"""Throughput with 1, 2, 4 and 8 logical workers, as many groups for each, and how far it keeps up with their number.

    python -m benchmarks.scaling [--workers 1 2 4 8] [--groups 60] [--seconds 0.6] [--batch-size 4]

A labeler that waits stands in for the optimiser: by default as long as a GPU takes that does 100 groups a minute.
Efficiency is the share of their time that workers wait on a group's behalf, while all of them have work.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.long_drive import measure


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--groups", type=int, default=60, help="for each worker")
    parser.add_argument("--seconds", type=float, default=0.6, help="that each group waits")
    parser.add_argument("--batch-size", type=int, default=4)
    options = parser.parse_args()
    print(
        "| workers | groups | groups/s, steady | against the first | efficiency, steady | groups/s, start and end too |"
    )
    print("|---|---|---|---|---|---|")
    one = None
    for workers in options.workers:
        with tempfile.TemporaryDirectory() as folder:
            run = measure(
                Path(folder),
                groups=options.groups * workers,
                workers=workers,
                seconds=options.seconds,
                batch_size=options.batch_size,
            )
        rate = run.busy * workers / run.sleep
        one = one or rate / workers
        print(
            f"| {workers} | {run.groups} | {rate:.2f} | x {rate / one:.2f} | {run.busy:.1%} "
            f"| {run.groups / run.wall:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
