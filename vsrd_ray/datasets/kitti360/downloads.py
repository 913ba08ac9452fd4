"""What lies in a root folder in place of what is missing there: folders of another name, or unpacked one too deep.

Only messages depend on it: nothing is read from such places.
"""

from collections.abc import Iterator, Mapping, Sequence

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.storage import Location, absolute, folders_in, is_folder, names_in, relative

SEMANTICS, IMAGES, BOXES = "2D semantics", "perspective images", "3D bounding boxes"  # KITTI-360's names
_MOST_NAMED, _MOST_SEARCHED = 5, 50  # folders, of many
# Drives that serve the benchmark, and what of them was never published.
_TEST_DRIVES = ("2013_05_28_drive_0008_sync", "2013_05_28_drive_0018_sync")
_NOT_OF_TEST_DRIVES = (SEMANTICS, BOXES)
# Names that others take, or that an archive has beside the right one: what to do about them.
_OTHER_NAMES = {
    "train": {"train_full": "copy or link what is in it to train"},
    "instance": {
        "semantic": "it has classes and no instances; unpack instance of the same archive",
        "semantic_rgb": "it has colours and no instances; unpack instance of the archive of 2D semantics",
    },
    "cam0_to_world.txt": {"poses.txt": "its poses are of the GPS; unpack cam0_to_world.txt of the same archive"},
    "data_rect": {"data_rgb": "its images are those of a fisheye; unpack data_rect"},
    paths.IMAGE_CAMERAS[0]: {paths.IMAGE_CAMERAS[1]: f"give --camera {paths.IMAGE_CAMERAS[1]}, or unpack the other"},
    paths.IMAGE_CAMERAS[1]: {paths.IMAGE_CAMERAS[0]: f"give --camera {paths.IMAGE_CAMERAS[0]}, or unpack the other"},
}


def no_boxes(root: Location, sequence: str) -> str:
    """What to say where a sequence has no box XML."""
    path = paths.boxes_file(root, sequence)
    return f"no 3D boxes {path}: {what_to_do(root, {sequence: path}, download=BOXES)}"


def no_frames(root: Location, sequence: str, folder: Location, *, what: str, download: str) -> str:
    """What to say where a sequence's folder of masks or images has none: `what` it lacks, and KITTI-360's download."""
    names = [name for name in names_in(folder) if not name.startswith(".")]
    if names and not paths.frames_among(names, suffix=".png"):
        there = f"it holds {len(names)} files such as {names[0]}"
        return f"no {what} in {folder}: {there}; rename them to ten digits and .png, such as 0000000003.png"
    return f"no {what} in {folder}: {what_to_do(root, {sequence: folder}, download=download)}"


def what_to_do(root: Location, places: Mapping[str, Location], *, download: str) -> str:
    """What to do where nothing is in the places of some sequences for what is in one of KITTI-360's downloads."""
    if found := next((found for place in places.values() for found in _elsewhere(root, place)), None):
        return found
    if download in _NOT_OF_TEST_DRIVES and places and all(sequence in _TEST_DRIVES for sequence in places):
        return "those of KITTI-360's test drives are not public: give your own, or take another sequence"
    return f"download KITTI-360's {download} into the root folder"


def missing_file(root: Location, sequence: str) -> str | None:
    """What to say of calibration or poses that lie elsewhere; None where they are there, or nowhere."""
    for path, what in ((paths.calibration_file(root), "calibration"), (paths.poses_file(root, sequence), "poses")):
        if not path.exists() and (found := next(_elsewhere(root, path), None)):
            return f"no {what} file {path}: {found}"
    return None


def no_drives(root: Location, doubled: Sequence[Location]) -> str:
    """What to say where a root folder has no drive; some of its folders may have one of their own name in them."""
    if doubled:
        folder = doubled[0] / doubled[0].name
        return f"no sequence under {root}: {folder} is one folder too deep: move what is in it up by one"
    folders = folders_in(root)
    for other in (*(root / name for name in folders[:_MOST_SEARCHED]), absolute(root).parent):
        if is_folder(paths.poses_root(other)):
            return f"no sequence under {root}, but under {other}: give --root {other}"
    there = f"it holds {', '.join(folders[:_MOST_NAMED])}" if folders else "it holds no folder"
    wanted = f"{paths.poses_root(root).name} and {relative(paths.masks_root(root), root)}"
    return f"no sequence under {root}: {there}, but nothing in {wanted}: check --root, or download them"


def _elsewhere(root: Location, place: Location) -> Iterator[str]:
    """What lies in the stead of a file or folder that is missing, and what to do about it."""
    parts = relative(place, root).split("/")
    for number, part in enumerate(parts):
        for name, fix in _OTHER_NAMES.get(part, {}).items():
            other = root.joinpath(*parts[:number], name, *parts[number + 1 :])
            if other.exists():
                yield f"{other} is there: {fix}"
    for number, part in enumerate(parts):
        deeper = root.joinpath(*parts[: number + 1], *parts[number:])
        if deeper.exists():
            yield f"{deeper} is there, one folder {part!r} too deep: move what is in it up by one"
    for number, part in enumerate(parts[:-1]):
        higher = root.joinpath(*parts[:number], *parts[number + 1 :])
        if higher.exists():
            yield f"{higher} is there, without a folder {part!r} around it: make one, and move it there"
    archive = root / f"{parts[0]}.zip"
    if archive.exists():
        yield f"{archive} is there: unpack it in {root}"
