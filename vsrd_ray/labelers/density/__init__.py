"""Density fields: how filled each point of space is, from posed images alone (BTS, CVPR 2023; KDBTS, CVPR 2024).

Labels come of a fit of the scene: `measurements` finds depth by stereo or takes that of LiDAR sweeps, `carving` fuses
it into a `field` on a grid, `refinement` moves its surfaces until images agree, and `labeler` writes the grid as voxels
and what each frame's camera sees of it as depth. `networks` holds the published networks.
"""
