"""PointSAM (MixSup, ICLR 2024): instances of LiDAR points from the masks of cameras.

`prompts`, `painting`, `images`: masks by models of the user's. `projection`, `keyframe`: what masks say of points.
`clustering`, `refinement`: the published rules. `ground`, `surfaces`, `objects`: ours. `frames` reads what `labeler`
makes rows of.
"""
