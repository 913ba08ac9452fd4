"""Instance masks of images, by a detector or segmenter of the user's.

Frames are segmented apart, in any order, and their rows are committed as they come. Which masks are one object over
time is found where they are taken in.

Owns: which frames make a group, settings of the segmenter, rows of what it finds.
Does not own: models (`vsrd_ray.perception`), what a row is (`vsrd_ray.labels.masks`).
"""
