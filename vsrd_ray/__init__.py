"""vsrd-ray: 3D boxes from 2D instance masks and camera poses, on Ray."""

from importlib.metadata import version

__version__ = version("vsrd-ray")
