"""Colours of what a camera sees: sun, sky, textures fixed to the street, shadows, haze and grain."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from vsrd_ray.geometry import polygons
from vsrd_ray.synthetic.meshes import Mesh, face_normals
from vsrd_ray.synthetic.rasterizer import NEAR, Raster
from vsrd_ray.synthetic.scenery import ROAD, SIDEWALK, TERRAIN
from vsrd_ray.synthetic.textures import RichTexture, Surfaces

_TEXTURE_SIZE, _TEXELS_PER_METRE = 512, 20.0
_ZENITH = np.array([96.0, 142.0, 204.0], dtype=np.float32)  # RGB
_HORIZON = np.array([214.0, 222.0, 228.0], dtype=np.float32)
_HAZE_DISTANCE = 320.0  # m
_SHADOW = 0.5  # share of light that is left in a shadow
_FAR_OUT = 20_000  # px; corners beyond are drawn there
_MARKS, _MARKS_ADDED = 0.16, 13.0  # of rich texture: share of a colour, and of 255, that one standard deviation adds
_MAP_REACH, _MAP_STEP = 40.0, 0.08  # m, of the map of shadows around a camera
_GRAIN = 1.6  # standard deviation, of 255


@dataclass(frozen=True)
class Light:
    """The sun's place and what is drawn on surfaces, the same for all cameras of a street."""

    sun: np.ndarray  # [3] direction to the sun
    texture: np.ndarray  # [S, S] float32, of standard deviation 1
    shear: np.ndarray  # [2] float32, by which texture moves with height
    rich: RichTexture | None = None  # in place of the texture

    @classmethod
    def random(cls, rng: np.random.Generator, *, heading: float, rich: RichTexture | None = None) -> "Light":
        """A light for a road with a heading, radians about z."""
        azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(42.0, 60.0))
        sun = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
        texture = _fractal_noise(rng)
        # Walls need height in their texture. This shear draws it out along no wall: they follow the road or cross it.
        shear = 0.8 * np.array([np.cos(heading + np.pi / 4), np.sin(heading + np.pi / 4)], dtype=np.float32)
        return cls(sun, texture, shear, rich)


class Shadows(Protocol):
    """Finds out how much light shadows leave on the ground that a camera sees."""

    def light(self, shadows: np.ndarray, T_street_cam: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
        """Share of light [H, W] float32.

        Args:
            shadows: [S, 4, 3] convex polygons on the ground, metres, street.
            T_street_cam: [4, 4].
            points: x, y and z [H, W] of what is seen, metres, street.
        """
        ...


class Shader:
    """Turns rasters of one camera into RGB images."""

    def __init__(self, rays: np.ndarray, light: Light, shadows: Shadows, *, focal: float) -> None:
        """Keeps what all images share.

        Args:
            rays: [3, H, W] float32, camera: a pixel's point is its ray times its depth.
            light: of the street.
            shadows: of this camera.
            focal: px a radian, about the middle of the image.
        """
        self._rays = rays
        self._light = light
        self._shadows = shadows
        self._focal = focal

    def shade(
        self,
        raster: Raster,
        mesh: Mesh,
        *,
        T_street_cam: np.ndarray,  # [4, 4]
        shadows: np.ndarray,  # [S, 4, 3] convex polygons on the ground, metres, street
        rng: np.random.Generator,  # of the frame's grain
        surfaces: Surfaces | None = None,  # where rich texture lies
    ) -> np.ndarray:
        """The image [H, W, 3] uint8, RGB."""
        R_street_cam = T_street_cam[:3, :3].astype(np.float32)
        directions = [np.tensordot(row, self._rays, axes=1) for row in R_street_cam]
        # Index -1, where no face is seen, takes the row that is appended for the sky.
        lit = np.concatenate([self._lit_colors(mesh), np.zeros((1, 3), np.float32)])
        image = lit[raster.face]
        seen = raster.face >= 0
        depth = 1 / np.where(seen, raster.inverse_depth, 1)
        points = [d * depth + np.float32(c) for d, c in zip(directions, T_street_cam[:3, 3], strict=True)]
        if self._light.rich is not None and surfaces is not None:
            marks = self._light.rich.at(*self._places_at(raster.face, surfaces, directions, depth, points))
            image *= (1 + _MARKS * marks)[..., None]
            image += (_MARKS_ADDED * marks)[..., None]
        else:
            image *= self._texture_at(raster, mesh, depth, points)[..., None]
        on_ground = np.append(np.isin(mesh.ids, (ROAD, SIDEWALK, TERRAIN)), False)[raster.face]
        light = self._shadows.light(shadows, T_street_cam, points)
        image *= np.where(on_ground, light, np.float32(1))[..., None]
        image += (1 - np.exp(-depth / _HAZE_DISTANCE))[..., None] * (_HORIZON - image)
        image[~seen] = _sky(*(direction[~seen] for direction in directions))
        image = cv2.GaussianBlur(image, (3, 3), 0.55)
        image += (_GRAIN * rng.standard_normal(image.shape[:2], dtype=np.float32))[..., None]
        return np.clip(image, 0, 255).astype(np.uint8)

    def _lit_colors(self, mesh: Mesh) -> np.ndarray:
        """Colours [F, 3] float32 of the faces under sun and sky."""
        normals = face_normals(mesh.faces)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        light = 0.56 + 0.42 * np.clip(normals @ self._light.sun, 0, None) + 0.10 * normals[:, 2]
        return (mesh.colors * light[:, None]).astype(np.float32)

    def _texture_at(self, raster: Raster, mesh: Mesh, depth: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
        """Brightness [H, W] about 1 of a texture that is fixed to the street and fades with distance."""
        x, y, z = points
        shear = self._light.shear
        columns = ((x + shear[0] * z) * _TEXELS_PER_METRE).astype(np.int32) % _TEXTURE_SIZE
        rows = ((y + shear[1] * z) * _TEXELS_PER_METRE).astype(np.int32) % _TEXTURE_SIZE
        strength = np.append(mesh.roughness, 0).astype(np.float32)[raster.face] * np.minimum(1, 18 / depth)
        return 1 + strength * self._light.texture[rows, columns]

    def _places_at(
        self,
        face: np.ndarray,  # [H, W]
        surfaces: Surfaces,
        directions: list[np.ndarray],  # x, y and z [H, W] of the rays, street
        depth: np.ndarray,  # [H, W] metres
        points: list[np.ndarray],  # x, y and z [H, W] metres, street
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places [H, W] on the faces in metres of texture, twice, and metres that a pixel covers there [H, W]."""
        s, t = (_dot(row, points, face) + row[3][face] for row in surfaces.axes)
        square = directions[0] ** 2 + directions[1] ** 2 + directions[2] ** 2
        slant = np.abs(_dot(surfaces.normals, directions, face))
        # A pixel covers more of a slanted surface along the view than across it: what counts is their mean.
        footprint = depth * square**0.75 / np.sqrt(np.maximum(slant, np.float32(0.02))) * np.float32(1 / self._focal)
        return s, t, footprint


def _dot(rows: np.ndarray, values: list[np.ndarray], face: np.ndarray) -> np.ndarray:
    """Products of the faces' [3 or 4, F] first three numbers and pixels' values, 3 of [H, W]."""
    return rows[0][face] * values[0] + rows[1][face] * values[1] + rows[2][face] * values[2]


class PinholeShadows:
    """Shadows drawn straight into the images of a pinhole camera."""

    def __init__(self, K: np.ndarray, image_size: tuple[int, int]) -> None:
        self._K = K
        self._shape = image_size[::-1]

    def light(self, shadows: np.ndarray, T_street_cam: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
        """Share of light [H, W] float32 left by shadows on the ground, soft at their edges."""
        light = np.ones(self._shape, dtype=np.float32)
        shadows_cam = (shadows - T_street_cam[:3, 3]) @ T_street_cam[:3, :3]
        ahead = shadows_cam[shadows_cam[..., 2].max(axis=1) > NEAR]
        uv = polygons.clip(ahead, ahead[..., 2] - NEAR) @ self._K.T
        corners = np.clip(np.rint(uv[..., :2] / uv[..., 2:]), -_FAR_OUT, _FAR_OUT).astype(np.int32)
        for polygon in corners:
            cv2.fillConvexPoly(light, cv2.convexHull(polygon), _SHADOW)
        return cv2.GaussianBlur(light, (7, 7), 2.0)


class GroundShadows:
    """Shadows drawn on a map of the ground around the camera, for images of any projection."""

    def light(self, shadows: np.ndarray, T_street_cam: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
        """Share of light [H, W] float32 left by shadows on the ground, soft at their edges."""
        corner = T_street_cam[:2, 3] - _MAP_REACH
        side = round(2 * _MAP_REACH / _MAP_STEP)
        light = np.ones((side, side), dtype=np.float32)
        for polygon in np.rint((shadows[..., :2] - corner) / _MAP_STEP).astype(np.int32):
            cv2.fillConvexPoly(light, cv2.convexHull(polygon), _SHADOW)
        x, y = (((p - np.float32(c)) / np.float32(_MAP_STEP)) for p, c in zip(points, corner, strict=False))
        smooth = cv2.GaussianBlur(light, (7, 7), 2.0)
        return cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0)


def pinhole_rays(K: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Rays [3, H, W] float32 of all pixels, 1 long along the optical axis."""
    width, height = image_size
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)]).astype(np.float32)


def _sky(east: np.ndarray, north: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Colours [..., 3] of the sky in directions whose parts are given, from the horizon to the zenith."""
    height = np.clip(up / np.sqrt(east**2 + north**2 + up**2), 0, 0.6)[..., None] / 0.6
    return _HORIZON + np.sqrt(height) * (_ZENITH - _HORIZON)


def _fractal_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise [S, S] float32 that repeats without a seam, standard deviation 1, with grains of several sizes."""
    noise = np.zeros((_TEXTURE_SIZE, _TEXTURE_SIZE))
    for size in (0.7, 2.0, 6.0, 24.0):
        layer = gaussian_filter(rng.standard_normal(noise.shape), size, mode="wrap")
        noise += layer / layer.std()
    return (noise / noise.std()).astype(np.float32)
