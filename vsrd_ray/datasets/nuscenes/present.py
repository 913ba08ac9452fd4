"""Which files of a scene are there: images and sweeps, masks, and what LiDAR points say of pixels.

A release has hundred thousands of them: a folder is listed once, and again when it changes.
"""

import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

from vsrd_ray.data.drive import DEPTH, SEMANTICS
from vsrd_ray.storage import Location, is_folder, names_in

SPARSE_FOLDERS = {DEPTH: "depth_gt", SEMANTICS: "seg_gt_lidarseg"}  # of what LiDAR points say of pixels
_MAPS, _NPZ = ("semantic_", "instance_"), ".npz"


def frames_there(root: Location, files: Mapping[int, str]) -> tuple[int, ...]:
    """Frames, ascending, whose files are there."""
    there = files_there(root, files.values())
    return tuple(sorted(files if len(there) == len(files) else (one for one, file in files.items() if file in there)))


def files_there(root: Location, files: Collection[str]) -> set[str]:
    """Those of some files that are in their folders."""
    wanted = set(files)
    folders = {file[: file.rfind("/")] for file in wanted}
    return set().union(
        *(wanted & _listed(root, folder, when_changed(root, folder), f"{folder}/") for folder in folders)
    )


def frames_with_masks(root: Location, camera: str, files: Mapping[int, str]) -> tuple[int, ...]:
    """Frames, ascending, whose images have masks."""
    stems = _masked(root, f"masks/{camera}")
    if not stems:
        return ()
    # `_stem`, without a call for each of hundred thousands
    found = [one for one, file in files.items() if file[file.rfind("/") + 1 : file.rfind(".")] in stems]
    return tuple(sorted(found))


def when_changed(root: Location, folder: str) -> int | None:
    """When a local folder changed, ns; None where it is not there, and 0 in an object store."""
    if not isinstance(root, Path):
        return 0
    try:
        return os.stat(f"{root}/{folder}").st_mtime_ns  # noqa: PTH116 - a path costs more than a look
    except OSError:
        return None


@lru_cache(maxsize=32)
def _listed(root: Location, folder: str, changed: int | None, prefix: str = "") -> frozenset[str]:
    """Names of the files in a folder, of which a release has hundred thousands: it is listed again once it changes."""
    return frozenset(prefix + name for name in names_in(root / folder)) if changed is not None else frozenset()


def _masked(root: Location, folder: str) -> frozenset[str]:
    """Stems of images of which a folder has both maps."""
    return _masked_as_it_was(root, folder, when_changed(root, folder))


@lru_cache(maxsize=32)
def _masked_as_it_was(root: Location, folder: str, changed: int | None) -> frozenset[str]:
    names = _listed(root, folder, changed)
    semantic, instance = (
        {name[len(kind) : -len(_NPZ)] for name in names if name.startswith(kind) and name.endswith(_NPZ)}
        for kind in _MAPS
    )
    return frozenset(semantic & instance)


def mask_files(root: Location, camera: str, image: str) -> tuple[Location, Location]:
    """The semantic and the instance map of an image, in the published form of PointSAM's: masks/<camera>/…npz."""
    semantic, instance = mask_names(image)
    folder = root / "masks" / camera
    return folder / semantic, folder / instance


def mask_names(image: str) -> tuple[str, str]:
    """Names of both."""
    semantic, instance = (f"{kind}{_stem(image)}{_NPZ}" for kind in _MAPS)
    return semantic, instance


def _stem(file: str) -> str:
    return file[file.rfind("/") + 1 : file.rfind(".")]


def sparse_file(root: Location, layer: str, image: str) -> Location:
    """The file with a layer of the pixels that LiDAR points fall on, of an image."""
    return root / SPARSE_FOLDERS[layer] / _sparse_name(image)


def _sparse_name(image: str) -> str:
    return f"{image.rpartition('/')[2]}.bin"


def sparse_layers(root: Location, files: Mapping[str, Mapping[int, str]]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Frames by layer and camera, of the images of each camera, of the layers of which there is a folder."""
    return {
        layer: {channel: frames_with_sparse(root, layer, images) for channel, images in files.items()}
        for layer, folder in SPARSE_FOLDERS.items()
        if is_folder(root / folder)
    }


def frames_with_sparse(root: Location, layer: str, files: Mapping[int, str]) -> tuple[int, ...]:
    """Frames whose images have a file of such a layer."""
    folder = SPARSE_FOLDERS[layer]
    names = _listed(root, folder, when_changed(root, folder))
    return tuple(frame for frame, image in files.items() if _sparse_name(image) in names)
