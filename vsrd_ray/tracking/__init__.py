"""Tracking: detections that are told apart in each frame alone become objects with ids over the drive.

`tracker` is ByteTrack as published, one frame after the other; `kalman`, `assignment` and `overlaps` are its parts.
Where poses are known, boxes move as standing objects do (`egomotion`) before tracks are matched, and afterwards tracks
are mended by where they are in the world (`sightings`, `stitching`). `drive` does all of it for one class of a drive.

Owns: ids of instances that come without.
Does not own: files of masks, which masks a drive has, where ids are kept.
"""
