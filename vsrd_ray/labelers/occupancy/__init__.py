"""Voxels around the vehicle from classes and depth of images, and from LiDAR.

Owns: rays of pixels, ends between them, depth completed from LiDAR, counting, expectation of ends.
Does not own: the grid, its classes and its rows (`vsrd_ray.labels.voxels`).
"""
