"""Cameras on the car and what they see: images, instance maps and depth of one moment."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.mei import MEI
from vsrd_ray.synthetic.meshes import Mesh
from vsrd_ray.synthetic.outlines import roughened
from vsrd_ray.synthetic.rasterizer import Raster, rasterize
from vsrd_ray.synthetic.rays import RayFan
from vsrd_ray.synthetic.rig import (
    FISHEYES,
    SURROUND,
    T_CAM0_CAM1,
    T_EGO_CAM0,
    T_EGO_FISHEYE,
    Mount,
    fisheye_models,
    surround_delay,
    surround_mounts,
)
from vsrd_ray.synthetic.scenery import SKY
from vsrd_ray.synthetic.settings import FRAME_PERIOD
from vsrd_ray.synthetic.shading import GroundShadows, Light, PinholeShadows, Shader, pinhole_rays
from vsrd_ray.synthetic.street import Street
from vsrd_ray.synthetic.textures import RichTexture, StreetSurfaces

LEFT, RIGHT = "image_00", "image_01"
_LIGHT_STREAM, _RICH_STREAM = 100, 103
# Of each camera: the grain of its images, and the outlines of its masks.
_STREAMS = {LEFT: (101, 102)} | {
    name: (200 + 2 * i, 201 + 2 * i) for i, name in enumerate((RIGHT, *FISHEYES, *SURROUND))
}
_FISHEYE_REACH = np.radians(92.5)  # from the optical axis; beyond it images are black
_FISHEYE_FOCAL = 0.36  # px of the virtual views for each px of the fisheye image's side


@dataclass(frozen=True)
class View:
    """What one camera sees at one moment."""

    camera: str
    time: float  # s since the first frame
    T_street_cam: np.ndarray  # [4, 4]
    mesh: Mesh  # everything on the street at that moment
    face: np.ndarray  # [H, W] int32, index in the mesh; -1 where there is none
    image: np.ndarray  # [H, W, 3] uint8, RGB
    instance_map: np.ndarray  # [H, W] uint16, exact
    mask: np.ndarray  # [H, W] uint16, the same with rough outlines
    depth: np.ndarray  # [H, W] float32 metres along the optical axis, of fisheyes along the ray; 0 where there is none

    @property
    def semantic_map(self) -> np.ndarray:
        """Semantic ids [H, W] uint8 that go with the mask."""
        return (self.mask // IDS_PER_CLASS).astype(np.uint8)


@dataclass(frozen=True)
class _Exposure:
    """One camera's pixels on faces, before there is a colour."""

    raster: Raster
    valid: np.ndarray | None  # [H, W] bool, whether a pixel sees anything at all; None: all do


class Pinhole:
    """The projection of a camera without distortion."""

    def __init__(self, K: np.ndarray, image_size: tuple[int, int]) -> None:
        self.K = K
        self.image_size = image_size

    def expose(self, faces_cam: np.ndarray) -> _Exposure:
        """What faces [F, 4, 3] each pixel sees."""
        return _Exposure(rasterize(faces_cam, self.K, self.image_size), None)

    def shader(self, light: Light) -> Shader:
        """A shader of this camera."""
        shadows = PinholeShadows(self.K, self.image_size)
        return Shader(pinhole_rays(self.K, self.image_size), light, shadows, focal=float(self.K[0, 0]))


class Fisheye:
    """The projection of a fisheye camera: rays in all directions of a hemisphere, and a little more."""

    def __init__(self, model: MEI) -> None:
        width, height = model.image_size
        directions = model.directions(np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1))
        with np.errstate(invalid="ignore"):
            self._valid = directions[..., 2] >= np.cos(_FISHEYE_REACH)
        self._fan = RayFan(directions[self._valid], focal=_FISHEYE_FOCAL * width)
        self._rays = np.where(self._valid[..., None], directions, [0.0, 0.0, 1.0])
        self._focal = model.gamma[0] / (1 + model.xi)

    def expose(self, faces_cam: np.ndarray) -> _Exposure:
        """What faces [F, 4, 3] each pixel sees; the inverse depth is that along its ray."""
        hits = self._fan.cast(faces_cam)
        raster = Raster(np.full(self._valid.shape, -1, np.int32), np.zeros(self._valid.shape, np.float32))
        raster.face[self._valid] = hits.face
        raster.inverse_depth[self._valid] = 1 / hits.distance
        return _Exposure(raster, self._valid)

    def shader(self, light: Light) -> Shader:
        """A shader of this camera."""
        rays = np.moveaxis(self._rays, -1, 0).astype(np.float32)
        return Shader(rays, light, GroundShadows(), focal=self._focal)


class StreetCamera:
    """One camera of a street's car."""

    def __init__(
        self,
        name: str,
        projection: Pinhole | Fisheye,
        *,
        street: Street,
        light: Light,
        surfaces: StreetSurfaces | None,
        T_ego_cam: np.ndarray,  # [4, 4]
        delay: float = 0.0,  # s after the frame
    ) -> None:
        self.name = name
        self.projection = projection
        self._street = street
        self._light = light
        self._surfaces = surfaces
        self._T_cam0_cam = rigid.inverse(T_EGO_CAM0) @ T_ego_cam
        self._delay = delay
        self._shader = projection.shader(light)

    def render(self, frame: int) -> View:
        """What the camera sees in a frame."""
        street = self._street
        moment = frame + self._delay / FRAME_PERIOD
        T_street_cam = street.T_street_cam_at(moment)
        if self.name != LEFT:
            T_street_cam = T_street_cam @ self._T_cam0_cam
        mesh = street.mesh_at(moment)
        exposure = self.projection.expose((mesh.faces - T_street_cam[:3, 3]) @ T_street_cam[:3, :3])
        raster = exposure.raster
        grain, outline = (np.random.default_rng([street.settings.seed, s, frame]) for s in _STREAMS[self.name])
        image = self._shader.shade(
            raster,
            mesh,
            T_street_cam=T_street_cam,
            shadows=street.shadows_at(moment, self._light.sun),
            rng=grain,
            surfaces=None if self._surfaces is None else self._surfaces.at(moment),
        )
        instance_map = np.append(mesh.ids, SKY).astype(np.uint16)[raster.face]
        seen = raster.face >= 0
        depth = np.divide(1, raster.inverse_depth, out=np.zeros_like(raster.inverse_depth), where=seen)
        if exposure.valid is not None:
            image[~exposure.valid], instance_map[~exposure.valid] = 0, 0
        mask = roughened(instance_map, street.settings.mask_noise, outline)
        time = frame * FRAME_PERIOD + self._delay
        return View(self.name, time, T_street_cam, mesh, raster.face, image, instance_map, mask, depth)


class Cameras:
    """All cameras of a street's car, each made when it is first asked for."""

    def __init__(self, street: Street) -> None:
        self._street = street
        self._made: dict[str, StreetCamera] = {}

    def __getitem__(self, name: str) -> StreetCamera:
        """The camera of a name: image_00 to image_03, or one of nuScenes'."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    @cached_property
    def light(self) -> Light:
        """What all cameras share."""
        settings = self._street.settings
        rich = None
        if settings.texture == "rich":
            rich = RichTexture(np.random.default_rng([settings.seed, _RICH_STREAM]))
        return Light.random(
            np.random.default_rng([settings.seed, _LIGHT_STREAM]),
            heading=float(self._street.road.heading_at(settings.drive_length / 2)),
            rich=rich,
        )

    @cached_property
    def _surfaces(self) -> StreetSurfaces | None:
        return None if self.light.rich is None else StreetSurfaces(self._street)

    @cached_property
    def _fisheyes(self) -> dict[str, MEI]:
        return fisheye_models(self._street.settings.fisheye_side)

    @cached_property
    def _mounts(self) -> dict[str, Mount]:
        return surround_mounts(self._street.settings.surround_size)

    def _make(self, name: str) -> StreetCamera:
        settings, delay = self._street.settings, 0.0
        if name in FISHEYES:
            projection, T_ego_cam = Fisheye(self._fisheyes[name]), T_EGO_FISHEYE[name]
        elif name in SURROUND:
            mount = self._mounts[name]
            projection, T_ego_cam = Pinhole(mount.K, settings.surround_size), mount.T_ego_cam
            delay = surround_delay(name)
        else:
            projection = Pinhole(self._street.K, settings.image_size)
            T_ego_cam = T_EGO_CAM0 if name == LEFT else T_EGO_CAM0 @ T_CAM0_CAM1
        return StreetCamera(
            name,
            projection,
            street=self._street,
            light=self.light,
            surfaces=self._surfaces,
            T_ego_cam=T_ego_cam,
            delay=delay,
        )
