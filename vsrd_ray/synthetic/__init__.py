"""The built-in street: a made-up drive with known truth, in the layout of KITTI-360.

`settings` says what a street has, `street` builds it from `road`, `vehicles`, `traffic` and `scenery` as meshes in a
frame of its own, `rasterizer` and `shading` turn a mesh into an image and an instance map, and `writer` writes the
drive. Every number comes from streams of the seed, so that equal settings give equal bytes.

Owns: the street, and the exact truth of every layer that it writes.
Does not own: how KITTI-360's files lie (`vsrd_ray.datasets.kitti360.paths`).
"""

from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.writer import synthesize

__all__ = ["StreetSettings", "synthesize"]
