"""Datasets that are made here: built-in streets, and copies with bad masks."""
# ruff: noqa: PLC0415

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.errors import InputError
from vsrd_ray.options import PATH, example, progress_bar, sequences_option

if TYPE_CHECKING:
    from vsrd_ray.storage import Location

_LAYERS_HELP = """\
Comma-separated: depth (a map an image), lidar (sweeps), semantics (a class a pixel), panoptic (class and instance of
LiDAR points), occupancy (voxels), right (the second camera), fisheye (two, to the sides), surround (six, and a LiDAR,
as nuScenes has them), or all.  [default: none]"""


@click.command(
    short_help="Write a built-in street, with known truth.",
    epilog=example("synthesize street --frames 60 --cars 12 --seed 1"),
)
@click.argument("out", type=PATH)
@click.option("--frames", type=int, help="Frames of the drive.  [default: 60]")
@click.option("--cars", type=int, help="Parked cars.  [default: 12]")
@click.option("--moving", type=int, help="Cars that drive.  [default: 0]")
@click.option(
    "--shapes",
    type=click.Choice(["usual", "measured"]),
    help="Of cars; measured: outlines and sizes vary as those of real cars do.  [default: usual]",
)
@click.option("--trucks", type=int, help="Parked trucks.  [default: 0]")
@click.option("--buses", type=int, help="Parked buses.  [default: 0]")
@click.option("--caravans", type=int, help="Parked caravans.  [default: 0]")
@click.option("--trailers", type=int, help="Parked trailers.  [default: 0]")
@click.option("--seed", type=int, help="Another seed, another street.  [default: 0]")
@click.option("--image-size", metavar="WxH", help="Pixels.  [default: 1408x376]")
@click.option("--mask-noise", type=float, help="Roughness of mask outlines, pixels.  [default: 1]")
@click.option("--sequence", help="Name of the sequence.  [default: 2013_05_28_drive_0000_sync]")
@click.option("--layers", metavar="NAMES", help=_LAYERS_HELP)
@click.option(
    "--texture",
    type=click.Choice(["plain", "rich"]),
    help="rich: marks on every surface, fine enough to match images by their colours.  [default: plain]",
)
@click.option("--exact-depth", is_flag=True, default=None, help="Beside 16-bit depth maps, write float32 .npy.")
@click.option("--lidar-rings", type=int, help="Rings of the LiDAR.  [default: 64]")
@click.option("--lidar-columns", type=int, help="Rays of a ring in one turn.  [default: 2048]")
@click.option("--lidar-noise", type=float, help="Standard deviation of ranges, metres.  [default: 0.02]")
@click.option("--lidar-dropout", type=float, help="Share of returns that are lost nearby.  [default: 0.04]")
@click.option("--lidar-range", type=float, help="Farthest return, metres.  [default: 100]")
@click.option(
    "--lidar-motion", is_flag=True, default=None, help="Points are where the moving sensor saw them: not corrected."
)
@click.option("--lidar-delay", type=float, help="Seconds from an image to the middle of its sweep.  [default: 0]")
@click.option(
    "--occupancy-grid",
    type=click.Choice(["occ3d", "sscbench"]),
    help="occ3d: 200 x 200 x 16 voxels of 0.4 m; sscbench: 256 x 256 x 32 of 0.2 m, ahead.  [default: occ3d]",
)
@click.option("--fisheye-side", type=int, help="Pixels of the square fisheye images.  [default: 448]")
@click.option("--surround-size", metavar="WxH", help="Pixels of the six images around.  [default: 416x234]")
@click.option("--keyframe-every", type=int, help="Frames from one nuScenes sample to the next.  [default: 5]")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that render frames.  [default: one a core]")
def synthesize(
    out: Location,
    image_size: str | None,
    surround_size: str | None,
    layers: str | None,
    jobs: int | None,
    **others: Any,
) -> None:
    """Write a built-in street with known boxes to OUT, in KITTI-360's layout.

    Layers add what other labelers read, with exact truth: docs/street.md says what each holds and where.
    """
    from pydantic import ValidationError

    from vsrd_ray.pipeline.cores import num_cores
    from vsrd_ray.synthetic import StreetSettings
    from vsrd_ray.synthetic import synthesize as run

    given = {name: value for name, value in others.items() if value is not None}
    if image_size is not None:
        given["image_size"] = _parse_size(image_size, "--image-size")
    if surround_size is not None:
        given["surround_size"] = _parse_size(surround_size, "--surround-size")
    if layers is not None:
        given["layers"] = [name.strip() for name in layers.split(",") if name.strip()]
    try:
        settings = StreetSettings.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(map(_explain, error.errors()))) from error
    written = run(out, settings, progress_bar("frame"), jobs=jobs or num_cores())
    num_others = sum(settings.others.values())
    click.echo(
        f"{settings.sequence} written to {out}: {settings.frames} frames, {settings.cars + settings.moving} cars"
        + (f", {num_others} other vehicles" if num_others else "")
    )
    if settings.layers:
        for name, place in written:
            click.echo(f"  {name}: {place}")
    click.echo(f"Next: vsrd-ray label --root {shlex.quote(str(out))} --sequence {settings.sequence}")


@click.command(
    short_help="Copy a dataset with masks as detectors make them.",
    epilog=example("degrade street rough --preset mild"),
)
@click.argument("root", type=PATH)
@click.argument("output", type=PATH)
@sequences_option("Sequence to take; may be repeated.  [default: all that have masks]")
@click.option("--camera", help="Whose masks.  [default: the dataset's first, image_00 of KITTI-360]")
@click.option("--dataset", metavar="NAME", help="See `vsrd-ray datasets`.  [default: the one whose layout ROOT has]")
@click.option("--seed", type=int, help="Another seed, other faults.  [default: 0]")
@click.option(
    "--preset",
    type=click.Choice(["mild"]),
    help="mild: --cut .2 --miss .1 --false .1 --ragged 1 --mask-head 28; other options change or add to it.",
)
@click.option(
    "--cut", type=float, metavar="SHARE", help="Share of tracks that are cut in two; the second has a new id."
)
@click.option("--swap", type=float, metavar="SHARE", help="Share of pairs of neighbours that exchange their ids.")
@click.option("--merge", type=float, metavar="SHARE", help="Share of pairs of neighbours that have one id.")
@click.option("--miss", type=float, metavar="SHARE", help="Share of masks that are missing.")
@click.option("--flicker", type=float, metavar="SHARE", help="Share of masks whose class is mistaken.")
@click.option("--false", type=float, metavar="SHARE", help="False objects of a few frames, for each true track.")
@click.option("--shadow", metavar="SHARE", help="Added at the foot, of a mask's height: .1, or .05-.1 for a range.")
@click.option("--erode", type=int, metavar="PX", help="Taken off outlines: 1 to 5 pixels.")
@click.option("--dilate", type=int, metavar="PX", help="Added to outlines: 1 to 5 pixels.")
@click.option(
    "--ragged", type=float, metavar="PX", help="Root mean square of the noise of outlines, at most 10 pixels."
)
@click.option("--mask-head", type=int, metavar="N", help="Cells along each side of a mask's box, such as 28: 4 to 256.")
@click.option("--blocks", type=int, metavar="PX", help="Side of the blocks that masks consist of, such as 8: 2 to 64.")
def degrade(
    *,
    root: Location,
    output: Location,
    sequences: tuple[str, ...],
    camera: str | None,
    dataset: str | None,
    preset: str | None,
    shadow: str | None,
    **others: Any,
) -> None:
    """Write a copy of the dataset in ROOT to OUTPUT with masks as a detector and a tracker would make them.

    Faults are applied in the order of the options, and depend on the seed, the names, the frame and the instance alone.
    All else is taken over. OUTPUT/degraded.json says what was done, and which true id each new one stands for. See
    docs/degrade.md.
    """
    from pydantic import ValidationError

    from vsrd_ray.degradation import PRESETS, DegradeSettings
    from vsrd_ray.degradation import degrade as run

    given = dict(PRESETS[preset]) if preset is not None else {}
    given |= {name: value for name, value in others.items() if value is not None}
    if shadow is not None:
        given["shadow"] = _parse_shares(shadow, "--shadow")
    try:
        settings = DegradeSettings.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(map(_explain, error.errors()))) from error
    bar = progress_bar("mask")
    counts = run(root, output, settings, sequences=sequences, camera=camera, dataset=dataset, progress=bar)
    for name, done in counts.items():
        faults = ", ".join(f"{done[key]} {noun}" for key, noun in _FAULTS.items() if done[key])
        what = f"{done['frames']} frames, {done['masks']} masks of {done['tracks']} objects"
        click.echo(f"{name} written to {output}: {what}" + (f"; {faults}" if faults else ""))
    command = ["vsrd-ray", "label", "--root", str(output), "--sequence", next(iter(counts))]
    click.echo(f"Next: {shlex.join(command + (['--camera', camera] if camera is not None else []))}")


_FAULTS = {
    "cut_tracks": "tracks cut",
    "swapped_pairs": "pairs swapped",
    "merged_pairs": "pairs merged",
    "missed_masks": "masks missed",
    "flickered_masks": "masks of another class",
    "false_objects": "false objects",
    "vanished_masks": "masks without a pixel left",
}


def _parse_shares(text: str, option: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        return float(low), float(high if dash else low)
    except ValueError:
        raise InputError(f"{option} {text}: expected a share or a range of shares, such as .05-.1") from None


def _parse_size(text: str, option: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InputError(f"{option} {text}: expected WIDTHxHEIGHT, such as 1408x376") from None
    return width, height


def _explain(error: Any) -> str:
    if not error["loc"]:
        return error["msg"]
    if error["type"] == "value_error":  # it says what was got
        return f"--{str(error['loc'][0]).replace('_', '-')}: {error['ctx']['error']}"
    return f"--{str(error['loc'][0]).replace('_', '-')}: {error['msg']} (got {error['input']})"
