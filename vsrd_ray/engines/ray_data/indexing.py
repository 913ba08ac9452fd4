"""The task that indexes frames on Ray's workers. It needs no torch, and so a worker is soon ready for it."""

import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.errors import VSRDRayError


def index_chunk(part: Drive, layers: tuple[str, ...]) -> pa.Table | str:
    """The index of some frames of a sequence; where an input cannot be used, a text for the user that says so."""
    try:
        return index_frames(part, all_frames(part, layers), layers=layers)
    except VSRDRayError as problem:
        return str(problem)
