"""KITTI's raw data: rectified colour cameras 02 and 03, LiDAR, OxTS packets, and boxes of people as truth.

`paths` is the only module that spells a path of the dataset. `calibration`, `packets`, `times` and `layers` read one
kind of file each and check it. `posing` makes the cameras' poses of packets or of a pose file. `drives` puts a drive
together and tells its fingerprint; `truth` reads tracklets and the tracking benchmark's boxes, which nothing that
labels does. `classes` is the table of its classes, numbered as KITTI-MOTS numbers its masks.

Owns: reading KITTI's raw data, its tracking benchmark's boxes and KITTI-MOTS's PNG masks of the same drives.
Does not own: forms of pose files and the motion of an OxTS unit (`vsrd_ray.poses`).
"""
