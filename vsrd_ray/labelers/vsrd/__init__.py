"""VSRD: boxes by volumetric silhouette rendering."""

from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler

__all__ = ["VSRDLabeler"]
