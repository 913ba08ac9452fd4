"""Colours of what a camera sees: sun, sky, textures fixed to the street, shadows, haze and grain."""

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from vsrd_ray.geometry import polygons
from vsrd_ray.synthetic.meshes import Mesh, face_normals
from vsrd_ray.synthetic.rasterizer import NEAR, Raster
from vsrd_ray.synthetic.scenery import ROAD, SIDEWALK, TERRAIN

_TEXTURE_SIZE, _TEXELS_PER_METRE = 512, 20.0
_ZENITH = np.array([96.0, 142.0, 204.0], dtype=np.float32)  # RGB
_HORIZON = np.array([214.0, 222.0, 228.0], dtype=np.float32)
_HAZE_DISTANCE = 320.0  # m
_SHADOW = 0.5  # share of light that is left in a shadow
_FAR_OUT = 20_000  # px; corners beyond are drawn there
_GRAIN = 1.6  # standard deviation, of 255


class Shader:
    """Turns rasters of one street into RGB images."""

    def __init__(self, K: np.ndarray, image_size: tuple[int, int], *, heading: float, rng: np.random.Generator) -> None:
        """Draws the sun's place and the texture.

        Args:
            K: [3, 3] pixels.
            image_size: (width, height), px.
            heading: of the road, radians about z.
            rng: decides where the sun stands and what the texture looks like.
        """
        width, height = image_size
        self._K = K
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        self._rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)]).astype(np.float32)
        azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(42.0, 60.0))
        self.sun = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        self._texture = _fractal_noise(rng)
        # Walls need height in their texture. This shear draws it out along no wall: they follow the road or cross it.
        self._shear = 0.8 * np.array([np.cos(heading + np.pi / 4), np.sin(heading + np.pi / 4)], dtype=np.float32)

    def shade(
        self,
        raster: Raster,
        mesh: Mesh,
        *,
        T_street_cam: np.ndarray,  # [4, 4]
        shadows: np.ndarray,  # [S, 4, 3] convex polygons on the ground, metres, street
        rng: np.random.Generator,  # of the frame's grain
    ) -> np.ndarray:
        """The image [H, W, 3] uint8, RGB."""
        R_street_cam = T_street_cam[:3, :3].astype(np.float32)
        directions = [np.tensordot(row, self._rays, axes=1) for row in R_street_cam]
        # Index -1, where no face is seen, takes the row that is appended for the sky.
        lit = np.concatenate([self._lit_colors(mesh), np.zeros((1, 3), np.float32)])
        image = lit[raster.face]
        seen = raster.face >= 0
        depth = 1 / np.where(seen, raster.inverse_depth, 1)
        image *= self._texture_at(raster, mesh, directions, depth, T_street_cam[:3, 3])[..., None]
        on_ground = np.append(np.isin(mesh.ids, (ROAD, SIDEWALK, TERRAIN)), False)[raster.face]
        image *= np.where(on_ground, self._shadow_map(shadows, T_street_cam), np.float32(1))[..., None]
        image += (1 - np.exp(-depth / _HAZE_DISTANCE))[..., None] * (_HORIZON - image)
        image[~seen] = _sky(*(direction[~seen] for direction in directions))
        image = cv2.GaussianBlur(image, (3, 3), 0.55)
        image += (_GRAIN * rng.standard_normal(image.shape[:2], dtype=np.float32))[..., None]
        return np.clip(image, 0, 255).astype(np.uint8)

    def _lit_colors(self, mesh: Mesh) -> np.ndarray:
        """Colours [F, 3] float32 of the faces under sun and sky."""
        normals = face_normals(mesh.faces)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        light = 0.56 + 0.42 * np.clip(normals @ self.sun, 0, None) + 0.10 * normals[:, 2]
        return (mesh.colors * light[:, None]).astype(np.float32)

    def _texture_at(
        self,
        raster: Raster,
        mesh: Mesh,
        directions: list[np.ndarray],
        depth: np.ndarray,
        camera_street: np.ndarray,
    ) -> np.ndarray:
        """Brightness [H, W] about 1 of a texture that is fixed to the street and fades with distance."""
        x, y, z = (direction * depth + np.float32(c) for direction, c in zip(directions, camera_street, strict=True))
        columns = ((x + self._shear[0] * z) * _TEXELS_PER_METRE).astype(np.int32) % _TEXTURE_SIZE
        rows = ((y + self._shear[1] * z) * _TEXELS_PER_METRE).astype(np.int32) % _TEXTURE_SIZE
        strength = np.append(mesh.roughness, 0).astype(np.float32)[raster.face] * np.minimum(1, 18 / depth)
        return 1 + strength * self._texture[rows, columns]

    def _shadow_map(self, shadows: np.ndarray, T_street_cam: np.ndarray) -> np.ndarray:
        """Share of light [H, W] float32 left by shadows on the ground, soft at their edges."""
        light = np.ones(self._rays.shape[1:], dtype=np.float32)
        shadows_cam = (shadows - T_street_cam[:3, 3]) @ T_street_cam[:3, :3]
        ahead = shadows_cam[shadows_cam[..., 2].max(axis=1) > NEAR]
        uv = polygons.clip(ahead, ahead[..., 2] - NEAR) @ self._K.T
        corners = np.clip(np.rint(uv[..., :2] / uv[..., 2:]), -_FAR_OUT, _FAR_OUT).astype(np.int32)
        for polygon in corners:
            cv2.fillConvexPoly(light, cv2.convexHull(polygon), _SHADOW)
        return cv2.GaussianBlur(light, (7, 7), 2.0)


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
