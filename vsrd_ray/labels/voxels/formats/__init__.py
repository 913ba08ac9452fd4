"""Voxels as others read them."""
