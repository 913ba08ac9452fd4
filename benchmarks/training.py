"""Steps and samples a second of training, and memory, for any configuration, on a CPU or a GPU.

    python -m benchmarks.training --config NAME [--steps 50] [--device cuda] [--set KEY=VALUE ...]
    python -m benchmarks.training --config NAME --root ROOT --sequence NAME

Without ROOT it trains on a built-in street. Steps to warm up come first and are not counted; under
`--set optimisation.compile=true` compiling is, so that it wants many steps.
"""

import argparse
import resource
import tempfile
from pathlib import Path

from benchmarks.throughput import device_name
from vsrd_ray.engines import train
from vsrd_ray.labelers.trainables import load_training_config
from vsrd_ray.pipeline.training import TrainRequest, TrainSummary
from vsrd_ray.synthetic import StreetSettings, synthesize

SEQUENCE = "2013_05_28_drive_0000_sync"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--sequence", default=SEQUENCE)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if options.root is None:
            options.root = Path(folder, "street")
            synthesize(options.root, StreetSettings(frames=24, cars=6, image_size=(704, 188), seed=3))
        _run(options, Path(folder, "run"), options.warm_up)
        summary = _run(options, Path(folder, "run"), options.warm_up + options.steps)
    rate, size = summary.progress.rate or 0.0, summary.request.settings.optimisation.batch_size
    if options.device == "cuda":
        memory = f"{summary.progress.memory_bytes / 2**30:.2f} GiB of the GPU"
    else:
        memory = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB of the process"
    print("| configuration | device | batch | steps/s | samples/s | memory, at most |")
    print("|---|---|---|---|---|---|")
    device = device_name(options.device)
    print(f"| {summary.request.title} | {device} | {size} | {rate:.3g} | {rate * size:.3g} | {memory} |")


def _run(options: argparse.Namespace, output: Path, steps: int) -> TrainSummary:
    """Train up to a step, from wherever the folder is, and look at nothing meanwhile."""
    overrides = [*options.overrides, f"optimisation.steps={steps}", "optimisation.schedule=constant"]
    overrides += ["watching.validation_samples=0", f"watching.checkpoint_every={steps}"]
    return train(
        TrainRequest(
            root=options.root,
            sequences=(options.sequence,),
            output=output,
            settings=load_training_config(options.config, overrides),
            title=" ".join([options.config, *options.overrides]),
            teacher=options.teacher,
            device=options.device,
            show_bar=False,
        )
    )


if __name__ == "__main__":
    main()
