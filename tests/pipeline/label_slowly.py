"""A driver process to interrupt: label_slowly.py ROOT OUTPUT CONFIG SECONDS_A_GROUP."""

import logging
import sys
from functools import partial
from pathlib import Path

import ray
import standin

from vsrd_ray.config import load_config
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.pipeline.request import LabelRequest
from vsrd_ray.pipeline.run import label

logging.basicConfig(level=logging.INFO, format="%(message)s")
ray.cloudpickle.register_pickle_by_value(standin)
root, output, config, seconds = sys.argv[1:]
request = LabelRequest(
    root=Path(root),
    sequences=("2013_05_28_drive_0000_sync",),
    output=Path(output),
    config=load_config(config),
    pool=PoolRequest(num_actors=(1, 1)),
)
label(request, labeler_factory=partial(standin.StandIn, seconds=float(seconds)))
