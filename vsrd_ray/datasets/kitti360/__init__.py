"""KITTI-360: rectified perspective cameras, 16-bit instance masks, poses, and boxes as truth.

`paths` is the only module that spells a path of the dataset. `calibration`, `poses`, `images` and `instances` read one
kind of file each and check it. `drives` puts a drive together and tells
its fingerprint; `boxes` reads the box XML, which nothing that labels does. `classes` is the table of its classes.

Owns: reading KITTI-360, and what to say where a download is missing.
Does not own: KITTI text and KITTI-360's own evaluation, which belong to boxes.
"""
