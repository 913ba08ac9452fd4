"""The task that indexes frames on Ray's workers. It needs no torch, and so a worker is soon ready for it."""

import pickle
from typing import Any

from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.errors import VSRDRayError


def index_chunk(row: dict[str, Any]) -> dict[str, Any]:
    """The index of some frames of a sequence.

    Args:
        row: `position`, by which chunks are sorted, and a pickled `part` (`Sequence` with those frames alone).

    Returns:
        `position`; `index`, a pickled table, empty where an input cannot be used; `error`, a text for the user that
        says so, else None.
    """
    part = pickle.loads(row["part"])
    try:
        index, error = pickle.dumps(index_frames(part, all_frames(part))), None
    except VSRDRayError as problem:
        index, error = b"", str(problem)
    return {"position": row["position"], "index": index, "error": error}
