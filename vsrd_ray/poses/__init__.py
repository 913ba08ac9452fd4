"""Poses that do not come with a dataset's own layout: pose files, OxTS packets, and how good poses are.

`files` reads the text forms in which tools write poses, `colmap` and `nerfstudio` models with their cameras. `oxts`
makes poses of the packets of KITTI's GPS and IMU. `align` levels poses of an arbitrary world, and scales them, by
others. `check` says when steps jitter so that labels suffer.

Owns: forms of pose files, motion of an OxTS unit, scale and gravity.
Does not own: where a dataset keeps its poses, and which camera they are of.
`T_a_b` maps coordinates of b into a; matrices are [4, 4] float64, metres.
"""
