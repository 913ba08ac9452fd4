"""A driver with a labeler that does as it is told: python drive.py '{"root": …}', whose exit code is that of `label`.

Runs that nobody kills can follow each other in one process, by `main`, on the cluster to which `connect` has led it.
"""

import json
import logging
import sys
from functools import partial
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # for what standin.py is made of

import standin
from builders import make_request

from vsrd_ray.engines import label
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.storage import open_location


def connect(address: str) -> None:
    """For all runs of this process: a job's workers, once started, are there for the next run."""
    import ray

    ray.init(address=address, log_to_driver=False)


def main(
    *,
    root: str,
    output: str,
    config: dict,
    sequence: str,
    num_actors: tuple[int, int] = (2, 2),
    batch_size: int = 1,
    seconds: float = 0.0,
    scripts: dict[str, str] | None = None,
    folder: str | None = None,
    one_actor: str | None = None,
    **options,
) -> int:
    request = make_request(
        open_location(output),
        root=open_location(root),
        sequences=(sequence,),
        config=VSRDConfig.model_validate(config),
        pool=PoolRequest(num_actors=tuple(num_actors), batch_size=batch_size, device="cpu"),
        **options,
    )
    if not request.serial:
        standin.send_along()
    factory = partial(standin.Scripted, seconds=seconds, scripts=scripts or {}, folder=folder, one_actor=one_actor)
    return 3 if label(request, labeler_factory=factory).counts.groups_failed else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.exit(main(**json.loads(sys.argv[1])))
