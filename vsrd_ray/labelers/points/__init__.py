"""PointSAM (MixSup, ICLR 2024): instances of LiDAR points from the masks of cameras.

`projection`, `keyframe`: what masks say of points. `clustering`, `refinement`: the published rules. `ground`,
`surfaces`, `objects`: ours. `labeler` makes rows of both.
"""
