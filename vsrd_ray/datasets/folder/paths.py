"""Where one's own drive keeps its files. The only module that spells a name of the layout."""

from vsrd_ray.errors import InputError
from vsrd_ray.poses.colmap import is_model
from vsrd_ray.storage import Location, folders_in, is_folder, names_in, read_bytes

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov")
OTHER_PICTURES = (".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".ppm", ".pgm", ".dng", ".raw")

_CAMERAS = ("camera.yaml", "camera.yml", "camera.json")
_TIMES = ("times.txt", "timestamps.txt")
_TRANSFORMS, _LINES = "transforms.json", "poses.txt"
_MODELS = ("sparse/0", "sparse")


def image_folder(folder: Location) -> Location:
    """Images of a drive."""
    return folder / "images"


def mask_folder(folder: Location) -> Location:
    """16-bit instance masks of a drive."""
    return folder / "masks"


def video_file(folder: Location) -> Location | None:
    """The video of a drive; None where there is none.

    Raises:
        InputError: there are several.
    """
    names = [name for name in names_in(folder) if name.lower().endswith(VIDEO_SUFFIXES)]
    if len(names) > 1:
        raise InputError(f"{folder}: {names[0]} and {names[1]} are videos: give each a folder of its own")
    return folder / names[0] if names else None


def camera_file(folder: Location) -> Location | None:
    """Intrinsics, up and scale of a drive; None where there is no such file."""
    return _only(folder, _CAMERAS, what="a camera")


def times_file(folder: Location) -> Location | None:
    """Times of a drive's images, a line each; None where there is no such file."""
    return _only(folder, _TIMES, what="times")


def poses_place(folder: Location) -> Location | None:
    """What holds the poses of a drive: transforms.json, poses.txt or the folder of a COLMAP model; None for nothing.

    Raises:
        InputError: there are several.
    """
    found = [folder / name for name in (_TRANSFORMS, _LINES) if name in names_in(folder)]
    found += [place for place in (folder / name for name in _MODELS) if is_model(place)][:1]
    if len(found) > 1:
        raise InputError(f"{folder}: poses in {found[0].name} and in {found[1].name}: keep those that are to be used")
    return found[0] if found else None


def other_models(place: Location) -> list[str]:
    """Models that COLMAP has put beside one: parts of the drive that it could not join."""
    return [name for name in folders_in(place.parent) if name != place.name and is_model(place.parent / name)]


def has_pixels(folder: Location) -> bool:
    """Whether a folder holds images, masks or a video where a drive has them."""
    is_video = any(name.lower().endswith(VIDEO_SUFFIXES) for name in names_in(folder))
    return is_video or is_folder(image_folder(folder)) or is_folder(mask_folder(folder))


def is_drive(folder: Location) -> bool:
    """Whether a folder is laid out as a drive: pixels, and poses or a camera file beside them."""
    if not has_pixels(folder):
        return False
    names = names_in(folder)
    if any(name in names for name in (*_CAMERAS[:2], _TRANSFORMS, _LINES)):
        return True
    # other layouts have a camera.json too
    is_ours = _CAMERAS[2] in names and b'"fx"' in read_bytes(folder / _CAMERAS[2])
    return is_ours or any(is_model(folder / name) for name in _MODELS)


def _only(folder: Location, names: tuple[str, ...], *, what: str) -> Location | None:
    found = [name for name in names_in(folder) if name in names]
    if len(found) > 1:
        raise InputError(f"{folder}: {found[0]} and {found[1]} both hold {what}: keep one of them")
    return folder / found[0] if found else None
