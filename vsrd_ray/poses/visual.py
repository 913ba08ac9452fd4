"""Poses by the images alone: structure from motion with COLMAP, whose package pycolmap is an extra.

Settings are for a car on a road, which looks where it goes: parallaxes are small, and motion is ahead.
https://colmap.github.io
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vsrd_ray.errors import InputError

_FEWEST_FRAMES = 3
_OVERLAP = 10  # frames before and after that an image is matched with, and some farther ones
_FEATURES = 4096  # of an image, at most
_MIN_START_ANGLE, _MIN_ANGLE = 3.0, 0.5  # degrees of parallax, of the first pair and of points
_MAX_FORWARD = 0.9999  # of the first pair's motion
_SEED = 0


def reconstruct(
    images: Iterable[tuple[str, np.ndarray]],
    K: np.ndarray,  # [3, 3] pixels; a pixel (u, v) names its centre
    image_size: tuple[int, int],  # (width, height) px
    destination: Path,
    progress: Callable[[], None] = lambda: None,
) -> int:
    """Write a COLMAP model (cameras.txt, images.txt, points3D.txt) of one camera; how many images it has.

    The model is the largest of those that are found. Its world and its unit are arbitrary. Intrinsics stay as they are.

    Args:
        images: name and pixels [H, W, 3] uint8 of each frame, in their order.
        K: of the camera, without distortion.
        image_size: of all images.
        destination: a folder, which is made.
        progress: called after every image that is taken in.

    Raises:
        InputError: pycolmap is not installed, there are too few images, or they do not tell how the camera moves.
    """
    colmap = _colmap()
    with tempfile.TemporaryDirectory(prefix="vsrd-ray-") as temporary:
        folder, names = Path(temporary), []
        (folder / "images").mkdir()
        for name, image in images:
            cv2.imwrite(str(folder / "images" / name), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
            names.append(name)
            progress()
        if len(names) < _FEWEST_FRAMES:
            raise InputError(f"{len(names)} images do not tell how a camera moves: give {_FEWEST_FRAMES} or more")
        models = _models(colmap, folder, names, K)
        if not models:
            raise InputError(
                f"the {len(names)} images do not tell how the camera moves: it may stand still, or they show little "
                "that stays where it is; give poses in a file as --poses"
            )
        best = max(models.values(), key=lambda model: model.num_reg_images())
        destination.mkdir(parents=True, exist_ok=True)
        best.write_text(str(destination))
        return best.num_reg_images()


def check_installed() -> None:
    """Refuse visual poses where their package is not there.

    Raises:
        InputError: it is not.
    """
    _colmap()


def _colmap() -> Any:
    try:
        import pycolmap  # noqa: PLC0415 - an extra  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(f"--poses visual needs pycolmap ({error}): pip install 'vsrd-ray[visual]'") from error
    pycolmap.logging.minloglevel = 2
    return pycolmap


def _models(colmap: Any, folder: Path, names: list[str], K: np.ndarray) -> dict[int, Any]:
    database = folder / "database.db"
    reader = colmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE"
    # COLMAP's pixel centres lie at halves
    reader.camera_params = ",".join(repr(float(value)) for value in (K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5))
    extraction = colmap.FeatureExtractionOptions()
    extraction.sift.max_num_features = _FEATURES
    pairs = colmap.SequentialPairingOptions()
    pairs.overlap = _OVERLAP
    verification = colmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = _SEED
    matching = colmap.FeatureMatchingOptions()
    mapping = _mapping(colmap)
    threads = int(os.environ.get("OMP_NUM_THREADS") or -1)
    extraction.num_threads = matching.num_threads = threads
    single, cpu = colmap.CameraMode.SINGLE, colmap.Device.cpu
    try:
        colmap.set_random_seed(_SEED)
        colmap.extract_features(database, folder / "images", names, single, reader, extraction, cpu)
        colmap.match_sequential(database, matching, pairs, verification, cpu)
        (folder / "models").mkdir()
        return colmap.incremental_mapping(database, folder / "images", folder / "models", mapping)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"COLMAP cannot go on with these {len(names)} images ({error}): give a file") from error


def _mapping(colmap: Any) -> Any:
    """Options of the mapping; one thread, so that equal images give equal poses."""
    options = colmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed, options.extract_colors = 1, _SEED, False
    options.min_model_size = _FEWEST_FRAMES
    options.ba_refine_focal_length = options.ba_refine_extra_params = False
    mapper = options.mapper
    mapper.num_threads, mapper.random_seed = 1, _SEED
    mapper.init_min_tri_angle, mapper.init_max_forward_motion = _MIN_START_ANGLE, _MAX_FORWARD
    mapper.filter_min_tri_angle = options.triangulation.min_angle = _MIN_ANGLE
    mapper.abs_pose_refine_focal_length = mapper.abs_pose_refine_extra_params = False
    options.triangulation.random_seed = _SEED
    return options
