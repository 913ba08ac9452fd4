"""KITTI's object benchmark, whose images for training are frames of raw drives.

Line `train_rand[i]`, counted from 1, of train_mapping.txt has date, drive and frame of image i, counted from 0.
"""

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.object_benchmark import ObjectBenchmark
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.calibration import read_camera, read_matrices
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.storage import Location, names_in, read_bytes


def read_benchmark(drive: Drive) -> ObjectBenchmark:
    """What the benchmark says of an open drive.

    Raises:
        InputError: its calibration, the mapping or the list of images for validation cannot be read.
    """
    root, (mapping, order) = drive.root, paths.mapping_files(drive.root)
    numbers, num_images = _numbers(mapping, order, drive.name) if mapping.is_file() and order.is_file() else ({}, 0)
    lists = paths.validation_files(root)
    listed = next((file for file in lists if file.is_file()), None)
    return ObjectBenchmark(
        calibration=read_matrices(root, drive.name),
        T_cam0_cam=inverse(read_camera(root, drive.name, drive.camera.name).T_cam_cam0),
        num_images=num_images,
        numbers=numbers,
        valid=None if listed is None else frozenset(_whole_numbers(listed, _text(listed).split())),
        human=_human(root),
        places=f"{mapping}, {order.name} beside it, and {lists[0]}",
    )


def _numbers(mapping: Location, order: Location, name: str) -> tuple[dict[int, int], int]:
    """Numbers of a drive's images by frame, and how many images all drives have."""
    lines = [line.split() for line in _text(mapping).splitlines()]
    places = _whole_numbers(order, _text(order).replace(",", " ").split())
    if sorted(places) != list(range(1, len(lines) + 1)):
        raise InputError(
            f"{order}: {len(places)} numbers are no order of the {len(lines)} lines of {mapping}: "
            "put both files of KITTI's development kit there"
        )
    numbers: dict[int, int] = {}
    for number, place in enumerate(places):
        if len(words := lines[place - 1]) != 3:
            raise InputError(f"{mapping}, line {place}: expected date, drive and frame, got {words}: restore the file")
        if words[1] == name:
            numbers[_whole_numbers(mapping, words[2:])[0]] = number
    return numbers, len(lines)


def _human(root: Location) -> dict[int, Location]:
    folder = next((one for one in paths.object_label_folders(root) if names_in(one)), None)
    names = [] if folder is None else names_in(folder)
    return {
        number: folder / f"{number:06d}.txt"
        for number in paths.frames_among(names, suffix=".txt", digits=6)
        if folder is not None
    }


def _whole_numbers(file: Location, words: list[str]) -> list[int]:
    if odd := [word for word in words if not (word.isascii() and word.isdecimal())]:
        raise InputError(f"{file}: expected whole numbers, got {odd[0][:40]!r}: restore the file")
    return [int(word) for word in words]


def _text(file: Location) -> str:
    try:
        return read_bytes(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({one_line(error)}): restore the file") from error
