"""Writes a street as a KITTI-360 sequence."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, bring, listing, make_folder
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.synthetic.outlines import roughened
from vsrd_ray.synthetic.rasterizer import rasterize
from vsrd_ray.synthetic.scenery import SKY
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.shading import Shader
from vsrd_ray.synthetic.street import Street, build_street, camera_matrix
from vsrd_ray.synthetic.truth import boxes_xml

CAMERA = "image_00"
_BASELINE = 0.6  # m between the left and the right camera
_SHADER_STREAM, _GRAIN_STREAM, _OUTLINE_STREAM = 100, 101, 102


def synthesize(output: Location, settings: StreetSettings, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a street with known boxes as a sequence in the layout of KITTI-360.

    Images and 16-bit instance masks of the left camera, calibration, poses and the box XML. Equal settings write equal
    bytes. The sequence appears only once all of it is there; in an object store its images come last, one by one.

    Args:
        output: ROOT of the dataset; it may hold other sequences with the same calibration.
        settings: the street, the drive and the images.
        progress: called after every frame with the number of frames done and of all frames.

    Raises:
        InputError: `output` holds this sequence already, or was calibrated for other images.
    """
    calibration = _calibration_text(settings)
    _refuse_what_is_there(output, settings, calibration)
    street = build_street(settings)
    make_folder(output)
    with tempfile.TemporaryDirectory(prefix=".street-", dir=output if isinstance(output, Path) else None) as folder:
        staged = Path(folder)
        _write_frames(staged, street, progress)
        _write_text(paths.poses_file(staged, settings.sequence), _poses_text(street))
        _write_text(paths.boxes_file(staged, settings.sequence), boxes_xml(street))
        with atomic_write(paths.calibration_file(output)) as temporary:
            temporary.write_text(calibration)
        for place in _places(settings):
            make_folder(place(output).parent)
            bring(place(staged), place(output))


def render_frame(street: Street, shader: Shader, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame: the image [H, W, 3] uint8 (RGB) and its instance map [H, W] uint16, before outlines are roughened."""
    settings, T_street_cam = street.settings, street.T_street_cam[frame]
    mesh = street.mesh_at(frame)
    faces_cam = (mesh.faces - T_street_cam[:3, 3]) @ T_street_cam[:3, :3]
    raster = rasterize(faces_cam, street.K, settings.image_size)
    instance_map = np.append(mesh.ids, SKY).astype(np.uint16)[raster.face]
    image = shader.shade(
        raster,
        mesh,
        T_street_cam=T_street_cam,
        shadows=street.shadows_at(frame, shader.sun),
        rng=np.random.default_rng([settings.seed, _GRAIN_STREAM, frame]),
    )
    return image, instance_map


def shader_for(street: Street) -> Shader:
    """The light and the textures of a street."""
    settings = street.settings
    return Shader(
        street.K,
        settings.image_size,
        heading=float(street.road.heading_at(settings.drive_length / 2)),
        rng=np.random.default_rng([settings.seed, _SHADER_STREAM]),
    )


def _write_frames(root: Path, street: Street, progress: Callable[[int, int], None] | None) -> None:
    settings, shader = street.settings, shader_for(street)
    paths.image_folder(root, settings.sequence, CAMERA).mkdir(parents=True)
    paths.mask_folder(root, settings.sequence, CAMERA).mkdir(parents=True)
    for frame in range(settings.frames):
        image, instance_map = render_frame(street, shader, frame)
        rng = np.random.default_rng([settings.seed, _OUTLINE_STREAM, frame])
        mask = roughened(instance_map, settings.mask_noise, rng)
        _write_png(paths.image_file(root, settings.sequence, CAMERA, frame), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        _write_png(paths.mask_file(root, settings.sequence, CAMERA, frame), mask)
        if progress is not None:
            progress(frame + 1, settings.frames)


def _places(settings: StreetSettings) -> list[Callable[[Location], Location]]:
    """What a sequence consists of, as functions of ROOT; the images, which mark it as there, come last."""
    sequence = settings.sequence
    return [
        lambda root: paths.boxes_file(root, sequence),
        lambda root: paths.poses_file(root, sequence),
        lambda root: paths.mask_folder(root, sequence, CAMERA),
        lambda root: paths.image_folder(root, sequence, CAMERA),
    ]


def _refuse_what_is_there(output: Location, settings: StreetSettings, calibration: str) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: OUT must be a folder")
    for place in _places(settings):
        if (path := place(output)).is_file() or listing(path):
            raise InputError(f"{path} exists: nothing is overwritten; choose another OUT")
    path = paths.calibration_file(output)
    if path.exists() and path.read_text() != calibration:
        raise InputError(f"{path} is the calibration of other images: nothing is overwritten; choose another OUT")


def _calibration_text(settings: StreetSettings) -> str:
    """perspective.txt: rectified left and right cameras."""
    width, height = settings.image_size
    K = camera_matrix(settings.image_size)
    lines = ["calib_time: 28-May-2013 00:00:00"]
    for camera, offset in (("00", 0.0), ("01", -K[0, 0] * _BASELINE)):
        projection = np.concatenate([K, [[offset], [0.0], [0.0]]], axis=1)
        lines += [
            f"S_rect_{camera}: {width:.6f} {height:.6f}",
            f"R_rect_{camera}: {_numbers(np.eye(3))}",
            f"P_rect_{camera}: {_numbers(projection)}",
        ]
    return "\n".join(lines) + "\n"


def _numbers(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in matrix.ravel())


def _poses_text(street: Street) -> str:
    """cam0_to_world.txt: a frame number and a row-major 4 x 4 matrix a line."""
    lines = []
    for frame, pose in enumerate(street.T_world_cam):
        lines.append(" ".join([str(frame), *(f"{value:.12g}" for value in pose.ravel())]))
    return "\n".join(lines) + "\n"


def _write_text(path: Location, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_png(path: Location, pixels: np.ndarray) -> None:
    # A light compression: these images are read more often than they are sent.
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    path.write_bytes(encoded.tobytes())
