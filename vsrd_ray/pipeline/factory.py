"""From a configuration to a labeler."""

from collections.abc import Callable

from vsrd_ray.labelers.base import Labeler
from vsrd_ray.labelers.vsrd.config import VSRDConfig

# Makes a labeler from a configuration and a torch device.
LabelerFactory = Callable[[VSRDConfig, str], Labeler]


def build_labeler(config: VSRDConfig, device: str) -> Labeler:
    """The labeler that a configuration names; VSRD is the only one so far."""
    from vsrd_ray.labelers.vsrd import VSRDLabeler  # noqa: PLC0415 - torch takes two seconds, which few processes need

    return VSRDLabeler(config, device)
