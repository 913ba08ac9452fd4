"""From a configuration to a labeler."""

from collections.abc import Callable

from vsrd_ray.config import VSRDConfig
from vsrd_ray.labelers.base import Labeler
from vsrd_ray.labelers.vsrd import VSRDLabeler

# Makes a labeler from a configuration and a torch device.
LabelerFactory = Callable[[VSRDConfig, str], Labeler]


def build_labeler(config: VSRDConfig, device: str) -> Labeler:
    """The labeler that a configuration names; VSRD is the only one so far."""
    return VSRDLabeler(config, device)
