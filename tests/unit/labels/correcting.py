"""What tests of corrected labels share."""

from vsrd_ray.labels.corrections import import_labels


def take(run, source, name="kitti", **options):
    return import_labels(run.output, run.root, source, format=name, **options)


def frame_rows(table, frame):
    return table.filter(table["frame"].to_numpy() == frame)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
