"""The built-in street: a made-up sequence with known boxes, in the layout of KITTI-360."""

from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.writer import synthesize

__all__ = ["StreetSettings", "synthesize"]
