"""The task that indexes frames on Ray's workers. It needs no torch, and so a worker is soon ready for it."""

from typing import Any

import ray

from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.index import index_frames
from vsrd_ray.errors import VSRDRayError
from vsrd_ray.pipeline.tables import to_bytes


def index_chunk(row: dict[str, Any], *, sequences: dict[str, Any]) -> dict[str, Any]:
    """The index of some frames of a sequence.

    Args:
        row: `sequence` and `frames`.
        sequences: object references of `Sequence`, by name.

    Returns:
        `sequence`; `first_frame`, by which chunks are sorted; `index`, a table as bytes; `error`, a text for the user
        where an input cannot be used, else None.
    """
    sequence: Sequence = ray.get(sequences[row["sequence"]])
    result = {"sequence": row["sequence"], "first_frame": int(row["frames"][0]), "index": b"", "error": None}
    try:
        return result | {"index": to_bytes(index_frames(sequence, [int(frame) for frame in row["frames"]]))}
    except VSRDRayError as error:
        return result | {"error": str(error)}
