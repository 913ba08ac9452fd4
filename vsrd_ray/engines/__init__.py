"""Engines: what does the work of a run, in this process or on Ray, whose only place in the package this is.

A run (`vsrd_ray.pipeline`) is planned, counted and written by its driver. An engine takes groups from the driver's
queue, has workers load and label them, and gives results back. `serial` does so one after the other in this process.
`ray_data` streams groups through Ray Data to a pool of actors, each of which holds a labeler.

Training has two as well: `serial`, and `ray_train`, which runs the same loop in the workers of Ray Train.

`label` and `train` choose the engine of a request. Nothing below this floor imports Ray, so that planning,
reading and evaluating need none; nothing above it does, so that commands start at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsrd_ray.pipeline.queue import Backend
    from vsrd_ray.pipeline.request import LabelRequest, Summary
    from vsrd_ray.pipeline.training import TrainRequest, TrainSummary
    from vsrd_ray.pipeline.work import LabelerFactory


def label(request: "LabelRequest", *, labeler_factory: "LabelerFactory | None" = None) -> "Summary":
    """Label drives into an output folder, in this process or on Ray; see `vsrd_ray.pipeline.run.run`.

    Ray is started where there is something to do, and stopped again, unless this process is connected to one.

    Args:
        request: what to label, how, and where to.
        labeler_factory: makes the labelers of workers; called with the configuration and a torch device. By default the
            one that the configuration names.
    """
    # Workers import this package for a single module of it, and need not wait for the rest.
    from vsrd_ray.labelers.base import build_labeler  # noqa: PLC0415
    from vsrd_ray.pipeline.run import run  # noqa: PLC0415

    return run(request, _backend(request), labeler_factory or build_labeler)


def _backend(request: "LabelRequest") -> "Backend":
    if request.serial:
        from vsrd_ray.engines.serial import SerialBackend  # noqa: PLC0415 - each engine is imported where it is used

        return SerialBackend()
    from vsrd_ray.engines.ray_data.session import RayOnDemand  # noqa: PLC0415

    return RayOnDemand(address=request.address, dashboard=request.dashboard, verbose=request.verbose)


def train(request: "TrainRequest") -> "TrainSummary":
    """Train a network into an output folder; see `vsrd_ray.pipeline.training.run_training`.

    Args:
        request: what to train, on what, and where to; without `workers`, in this process.
    """
    from vsrd_ray.pipeline.training import run_training  # noqa: PLC0415 - see `label`

    if not request.workers:
        from vsrd_ray.engines.serial import SerialTraining  # noqa: PLC0415

        return run_training(request, SerialTraining())
    from vsrd_ray.engines.ray_train import RayTraining  # noqa: PLC0415

    return run_training(request, RayTraining(request))
