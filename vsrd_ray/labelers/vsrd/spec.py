"""What the house knows of VSRD."""

from types import SimpleNamespace

from vsrd_ray.labelers.vsrd.config import VSRDConfig

SPEC = SimpleNamespace(name="vsrd", config=VSRDConfig)
