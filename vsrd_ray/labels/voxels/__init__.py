"""Voxel grids around the vehicle: what fills space, what is free, and what nobody has seen; a row for each grid."""
