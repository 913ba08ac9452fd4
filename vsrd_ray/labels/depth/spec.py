"""What the house knows of labels of depth. What is heavy is imported where it is used."""

from vsrd_ray.labels.base import Kind
from vsrd_ray.labels.depth.schema import TABLE

SPEC = Kind(
    name="depth",
    summary="depth of each frame with its spread, and free space seen from above",
    table=TABLE,
)
