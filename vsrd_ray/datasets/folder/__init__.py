"""One's own drives: ROOT/<drive>/ with images or a video, a camera, poses of one of several tools, and instance masks.

    paths          names of files and folders; which folders are drives
    frames         which files are there, and which frame each name stands for
    images, film   pixels: of images, masks and videos
    camera         the drive's camera file: intrinsics, which way is up, how long a unit is
    times          times of images
    world          from any world of poses to metres with z up
    drives         puts a drive together, and tells its fingerprint
    classes        the table of its classes

Owns: this layout, camera.yaml, up and scale of worlds that have none.
Does not own: forms of pose files (`vsrd_ray.poses`), what is labelled. docs/folders.md draws the layout.
"""
