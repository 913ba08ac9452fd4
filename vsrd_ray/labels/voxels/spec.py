"""What the house knows of voxel grids. What is heavy is imported where it is used."""

from vsrd_ray.labels.base import Kind
from vsrd_ray.labels.voxels.schema import TABLE

SPEC = Kind(
    name="voxels",
    summary="grids of voxels: classes, free and unknown space, density",
    table=TABLE,
)
