"""How much of an object must be seen, and how near it must be, for its label to be asked for.

Imports nothing heavy, so that the command line may read it.
"""

import math

from vsrd_ray.errors import InputError

MIN_MASK_AREA = 128  # px of mask for an instance to count in a frame (VSRD, the M128 of its frame groups)
MIN_CONFIDENCE = 0.1  # under which a box is not handed over as an object unless that is asked for
MAX_RANGE = 40.0  # metres from the camera to the true centre, for label quality


def check_range(metres: float) -> None:
    """Refuse a range in which no box could lie.

    Raises:
        InputError: it is not positive and finite.
    """
    if not 0 < metres < math.inf:
        raise InputError(f"the range must be greater than 0 m, and finite, got {metres}")
