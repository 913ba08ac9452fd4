"""Datasets: where frames come from. Each is a folder of its own.

`base` says what a dataset is, finds the one whose layout a folder has, and opens drives. Its spec lists drives, opens
one without reading a pixel (calibration, poses, which frames have which layers), reads a layer of a frame, tells by a
fingerprint that files have changed, and gives the truth to evaluation alone. Callers hold a `Drive`
(`vsrd_ray.data.drive`) and ask it; they never see how files lie.

    <name>/spec.py     SPEC: an object of the protocol `Dataset`
    <name>/…           paths, calibration, poses, layers, classes, truth

Owns: layouts, file formats of input, class tables, messages about what is missing and where to get it.
Does not own: what labels are made of the frames.
Datasets do not import each other. docs/extending.md adds one.
"""
