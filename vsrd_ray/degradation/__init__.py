"""Bad masks: copies of datasets whose instance masks are as a detector and a tracker would make them.

`settings` says how bad, `chance` gives random numbers by name, and `scan` finds where every mask is. `tracks` breaks
identities (cut, swap, merge, miss, flicker), `outlines` breaks shapes, `blobs` adds objects that are not there, and
`frames` puts one instance map together. `writer` writes the copy, through the dataset's own seam.

Owns: what is done to masks, and degraded.json.
Does not own: how a dataset's files lie (`vsrd_ray.datasets.base.MaskWriter`).
"""

from vsrd_ray.degradation.settings import PRESETS, DegradeSettings
from vsrd_ray.degradation.writer import degrade

__all__ = ["PRESETS", "DegradeSettings", "degrade"]
