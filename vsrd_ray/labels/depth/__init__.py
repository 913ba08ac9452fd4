"""Depth of each frame with its spread, and the free space in front of it seen from above; a row for each frame.

`schema` says what a row is, `field` follows rays through the density that the kind `voxels` keeps beside it,
`evaluation` measures both, `formats` hands them over, `report` and `films` show them.
"""
