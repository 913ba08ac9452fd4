"""How good density fields and depth maps are: pure functions of arrays, used by every labeler that writes depth.

`occupancy` holds a field against LiDAR sweeps, `baselines` are fields that game that figure and are printed beside it,
`hidden` compares with known geometry, `depth` with the depth of LiDAR points by Eigen's protocol, and `novel_views`
compares rendered images with photographs.

Owns: figures of single frames, and their means.
Does not own: which frames are compared, where predictions come from, how a table is printed.
"""
