"""How much of an object must be seen, and how near it must be, for its label to be asked for.

Imports nothing, so that the command line may read it.
"""

MIN_MASK_AREA = 128  # px of mask for an instance to count in a frame (VSRD, the M128 of its frame groups)
MAX_RANGE = 40.0  # metres from the camera to the true centre, for label quality
