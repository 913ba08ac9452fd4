"""Cost and quality of labelling by configuration, side by side in one run, without Ray.

    python -m benchmarks.labelling                            a built-in street, and ../shared/data/kitti_geometry
    python -m benchmarks.labelling --geometry FOLDER           every dataset root in FOLDER with a box XML instead
    python -m benchmarks.labelling --variants kitti360_vsrd fast fast,grouping.num_views=12
    python -m benchmarks.labelling --published-steps 300       run the published configuration too, on a group of each
    python -m benchmarks.labelling --device cuda               groups a minute on a GPU, on the built-in street

A variant is a configuration's name or file, with comma-separated overrides after it. Each runs in a process of its own,
on one thread. The published configuration (and whatever has more than --max-steps steps) is not run to its end: some
steps before and after its residual field comes in are timed and extrapolated, and its boxes are not judged.
"""

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.cost_and_quality import Limits, measure, published_boxes
from benchmarks.datasets import FAST, PUBLISHED, Dataset, datasets_under, read_variant, write_street
from benchmarks.tables import NOTES, THROUGHPUT_NOTES, header, row, throughput_text
from benchmarks.throughput import Amount, device_name, measure_throughput
from vsrd_ray.errors import VSRDRayError
from vsrd_ray.labelers.vsrd.spec import SPEC

DEFAULT_VARIANTS = (PUBLISHED, "demo", FAST, f"{FAST},grouping.kind=vsrd")
GEOMETRY = Path("../shared/data/kitti_geometry")


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    try:
        for variant in options.variants:
            read_variant(variant)
        if options.device == "cuda" and not torch.cuda.is_available():
            parser.error("--device cuda: torch finds no CUDA device; leave --device out to measure on the CPU")
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = "1"  # for the processes that measure
        with tempfile.TemporaryDirectory() as folder:
            street = _alone(write_street, Path(folder), options.seed)
            if options.device == "cuda":
                _show_throughput(street, options)
            else:
                _show_cost_and_quality([street, *_geometry(options.geometry)], options)
    except VSRDRayError as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.labelling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1, help="of the built-in street (%(default)s)")
    parser.add_argument(
        "--geometry", type=Path, default=GEOMETRY, metavar="FOLDER", help="that holds dataset roots (%(default)s)"
    )
    parser.add_argument(
        "--variants", nargs="+", default=DEFAULT_VARIANTS, metavar="VARIANT", help="NAME|FILE[,KEY=VALUE...]"
    )
    parser.add_argument("--groups", type=_positive, help="label only so many groups, spread over the sequence")
    parser.add_argument(
        "--slow-groups", type=_positive, default=3, help="the same for variants with volumetric steps (%(default)s)"
    )
    parser.add_argument(
        "--max-steps", type=_positive, default=500, help="variants with more steps are extrapolated (%(default)s)"
    )
    parser.add_argument(
        "--published-steps",
        type=_positive,
        default=0,
        metavar="N",
        help="compare the boxes of the published configuration after N steps, of one group of each data set (no)",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cuda-groups", type=_positive, default=200, help="labelled on the GPU (%(default)s)")
    parser.add_argument("--cuda-batch", type=_positive, default=_gpu_batch(), help="fitted together (%(default)s)")
    parser.add_argument("--cuda-threads", type=_positive, default=4, help="that load and label (%(default)s)")
    return parser


def _gpu_batch() -> int:
    """Groups that an actor on a GPU is given at once."""
    return SPEC.resources(read_variant(FAST)).gpu_batch


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _geometry(folder: Path) -> list[Dataset]:
    if folder.is_dir():
        return datasets_under(folder)
    print(f"no folder {folder}: its sequences are left out; --geometry names another\n")
    return []


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result, from a new process: its peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(function, arguments)


def _show_cost_and_quality(datasets: list[Dataset], options: argparse.Namespace) -> None:
    limits = Limits(groups=options.groups, slow_groups=options.slow_groups, max_steps=options.max_steps)
    for dataset in datasets:
        print(f"{dataset.title}\n{header(options.variants)}", flush=True)
        published = None
        for variant in options.variants:
            measured = _alone(measure, dataset, variant, limits)
            published = measured if variant == PUBLISHED else published
            print(row(measured, published=published, variants=options.variants), flush=True)
        if options.published_steps:
            print(f"published boxes: {_alone(published_boxes, dataset, options.published_steps)}", flush=True)
        print()
    print(NOTES)


def _show_throughput(street: Dataset, options: argparse.Namespace) -> None:
    amount = Amount(groups=options.cuda_groups, batch=options.cuda_batch, threads=options.cuda_threads)
    print(f"{street.title}, {FAST}, on {device_name(options.device)}: {amount.threads} threads, {amount.batch} a batch")
    for kind in ("vsrd", "scene"):
        print(throughput_text(measure_throughput(street, kind, device=options.device, amount=amount)), flush=True)
    print(THROUGHPUT_NOTES)


if __name__ == "__main__":
    main()
