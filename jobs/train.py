"""`vsrd-ray train` as the entry point of a Ray job: the same command, its workers on the cluster that runs the job.

    ray job submit --working-dir . -- python jobs/train.py --workers 8 --device cuda --root s3://… …

The command's options, messages and exit codes are those of `vsrd-ray train`. `--address` is `auto` unless something
else is given, and vsrd_ray is taken from the folder that was submitted, installed or not.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vsrd_ray.cli import main

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    main(["train", *sys.argv[1:]])
