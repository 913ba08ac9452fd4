"""Which poses a drive is opened with."""

from collections.abc import Sequence
from dataclasses import dataclass

from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, folders_in, is_folder, names_in

OWN, OXTS, OXTS_PUBLISHED = "given", "oxts", "oxts-published"
NAMES = (OWN, OXTS, OXTS_PUBLISHED)
VISUAL = "visual"  # made of the images by a run, and a file from then on


@dataclass(frozen=True)
class PoseSource:
    """The dataset's own poses, those of an OxTS unit's packets, or those of a file."""

    name: str = (
        OWN  # one of `NAMES`, of which `OXTS_PUBLISHED` takes packets as they are; counts where there is no file
    )
    file: Location | None = None  # see `files.read_pose_file`
    is_scaled: bool = True  # multiply the file's positions so that its path is as long as the dataset's own


OWN_POSES = PoseSource()


def file_of(place: Location, name: str) -> Location:
    """The pose file of a drive: the place itself or, in a folder, NAME.txt, NAME/images.txt or COLMAP's images.txt.

    Raises:
        InputError: the folder has neither.
    """
    if not is_folder(place):
        return place
    if name in folders_in(place) and "images.txt" in names_in(place / name):
        return place / name / "images.txt"
    names = names_in(place)
    for wanted in (f"{name}.txt", "images.txt"):
        if wanted in names:
            return place / wanted
    raise InputError(f"--poses {place}: no {name}.txt and no images.txt in this folder: give the file")


def check_poses_of(place: Location, names: Sequence[str]) -> None:
    """Refuse one pose file for several drives.

    Raises:
        InputError: there is none for each of them.
    """
    files = [file_of(place, name) for name in names]
    if len(names) > 1 and len(set(files)) < len(names):
        raise InputError(
            f"--poses {place}: one file for {len(names)} sequences: give a folder with a file such as {names[0]}.txt "
            "for each, or label one at a time"
        )
