"""Boxes: the kind of label that stands upright in the world and is written for every frame in which it is seen.

`schema` and `columns` say what a row is, and are the only places that spell its columns. `rows` makes rows of fitted
boxes, `truth` of true ones, `kitti` the KITTI text of a frame. `parquet` and `selection` read them back, with what
people corrected; `corrections` brings that in, by way of `corrected`, `identities` and `reviewed`. `checks` says what
no row holds. `criteria` holds the limits that several protocols share.

    evaluation/   label quality, KITTI and KITTI-360 average precision, confidence, comparison of runs
    formats/      what detectors, benchmarks and tools read
    pictures/     boxes drawn into images, sheets and videos
    report/       one HTML file that shows a run, worst first

Owns: OUTPUT/labels, OUTPUT/kitti and OUTPUT/corrections.
Does not own: geometry of boxes (`vsrd_ray.geometry.boxes`), how boxes are found (`vsrd_ray.labelers`).
"""
