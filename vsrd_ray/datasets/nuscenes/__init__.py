"""nuScenes v1.0: any cameras, LiDAR, keyframes and sweeps, from the tables alone, without the devkit.

`tables` streams the JSON tables; `readings` makes of them one compact table of sensor readings, a batch for each scene,
which `cache` keeps in the user's cache folder. `drives` turns a batch into a drive, and says how frames are numbered.
`layers` reads images, points and masks. `boxes` (sample_annotation) and `panoptic` (labels of points) are the truth,
which nothing that labels reads. `classes` is the table of the challenge's classes.

A drive is a scene. Frame 100 k is keyframe k of the scene, for every sensor. A sweep has the number of the hundredth of
the way between its sensor's keyframes at which it was read: equal numbers mean nearly equal times.

Owns: reading nuScenes' layout, and what to say where a part of it is missing.
Does not own: the exports in nuScenes' formats, which belong to the kinds of label.
"""
