"""A street of toy size, and `vsrd-ray label --config occupancy` on it, for the tests beside this module."""

import pyarrow.parquet as pq
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.synthetic import StreetSettings

STREET = StreetSettings(
    frames=3,
    cars=4,
    seed=4,
    image_size=(352, 96),
    mask_noise=0.0,
    layers=("depth", "lidar", "semantics", "occupancy"),
    lidar_rings=16,
    lidar_columns=512,
)
SEQUENCE = STREET.sequence
MIDDLE = ("--set", "apart=1", "--frames", "1")  # the middle frame, seen with both others


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def label(root, output, *options, config="occupancy"):
    common = ("--root", root, "--sequence", SEQUENCE, "--output", output, "--serial")
    return run("label", "--config", config, *common, *options)


def row_of(output):
    """The one grid of a run."""
    (file,) = (output / "voxels").rglob("*.parquet")
    (row,) = pq.read_table(file).to_pylist()
    return row
