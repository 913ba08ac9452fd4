"""One's own drives as a dataset: what the rest of the house asks of it."""

from typing import Any

import numpy as np

from vsrd_ray.data.drive import IMAGES, MASKS, Drive
from vsrd_ray.datasets.base import check_camera, check_known
from vsrd_ray.datasets.folder import drives, paths
from vsrd_ray.datasets.folder.classes import CLASSES
from vsrd_ray.datasets.folder.images import read_image, read_mask
from vsrd_ray.errors import InputError
from vsrd_ray.poses.source import OWN, OWN_POSES, PoseSource
from vsrd_ray.storage import Location, absolute, folders_in, is_folder, plain_name


class Folder:
    """One's own drives: see `vsrd_ray.datasets.base.Dataset` for what each of these is."""

    name = "folder"
    title = "one's own drives"
    summary = "one's own drives: images or a video, poses of COLMAP, nerfstudio, KITTI, KITTI-360 or TUM form, masks"
    classes = CLASSES
    cameras = (drives.CAMERA,)
    layers = (IMAGES, MASKS)
    truths = ()
    pose_names = (OWN,)

    def recognises(self, root: Location) -> bool:
        """Where a folder in it has images, masks or a video, and poses or a camera.yaml beside them."""
        return any(paths.is_drive(root / name) for name in folders_in(root))

    def drives(self, root: Location) -> list[str]:
        """Names of the folders that hold images, masks or a video.

        Raises:
            InputError: `root` is no folder, or has none.
        """
        if not (names := drives.list_drives(root)):
            raise InputError(f"{root}: no drive: expected ROOT/<drive>/images, or a video in ROOT/<drive>")
        return names

    def has_layer(self, root: Location, name: str, layer: str, sensor: str) -> bool:
        """Whether there is a folder of images or masks, or a video."""
        folder = root / name
        if layer == MASKS:
            return is_folder(paths.mask_folder(folder))
        return layer == IMAGES and (is_folder(paths.image_folder(folder)) or paths.video_file(folder) is not None)

    def missing(self, root: Location, name: str | None, layer: str, sensor: str) -> str:
        """The folder that is missing, and what belongs into it."""
        folder = root / (name or "<drive>")
        if layer == MASKS:
            return f"no instance masks in {paths.mask_folder(folder)}: put 16-bit PNG there, named as the images are"
        if layer == IMAGES:
            return f"no images in {paths.image_folder(folder)}, and no video: put them there"
        return f"one's own drives have no {layer} here: choose a labeler that needs none, or another dataset"

    def open(self, root: Location, name: str, cameras: tuple[str, ...]) -> Drive:
        """See `Dataset.open`. A drive without poses opens too, and none of its frames can be labelled."""
        return self.open_with_poses(root, name, cameras, OWN_POSES)

    def open_with_poses(self, root: Location, name: str, cameras: tuple[str, ...], poses: PoseSource) -> Drive:
        """See `TakesPoses`: of a file, in whichever form; the drive's own poses, if any, level and scale them."""
        plain_name(name, what="sequence")
        if not paths.has_pixels(root / name):
            check_known(name, self.drives(root), root=root)
        for camera in cameras:
            check_camera(camera, self.cameras)
        own = drives.open_folder(absolute(root) / name, poses)
        images = own.frames.numbers if own.frames.film or own.frames.images else ()
        return Drive(
            dataset=self.name,
            root=absolute(root),
            name=name,
            cameras={drives.CAMERA: own.camera},
            layers={IMAGES: {drives.CAMERA: images}, MASKS: {drives.CAMERA: tuple(own.frames.masks)}},
            warnings=own.warnings,
            pose_scale=own.pose_scale,
        )

    def fingerprint(self, root: Location, name: str, cameras: tuple[str, ...]) -> str:
        """See `Dataset.fingerprint`."""
        return drives.fingerprint(root / name)

    def read(self, drive: Drive, layer: str, sensor: str, frame: int) -> np.ndarray:
        """See `Drive.read`."""
        path = self.file(drive, layer, sensor, frame)
        return read_mask(drive, sensor, path) if layer == MASKS else read_image(drive, sensor, frame, path)

    def file(self, drive: Drive, layer: str, sensor: str, frame: int) -> Location:
        """See `Drive.file`; of a video's frames, the video."""
        place = {MASKS: drives.mask_place, IMAGES: drives.image_place}[layer]
        return place(drive.root / drive.name, frame)

    def truth(self, root: Location, name: str, kind: str) -> Any:
        """There is none."""
        raise InputError(f"one's own drives have no true {kind}: labels of {name} cannot be evaluated")

    def has_truth(self, root: Location, name: str, kind: str) -> bool:
        """There is none."""
        return False

    def split(self, name: str) -> str | None:
        """None is published."""
        return None

    def detail(self, drive: Drive, name: str) -> Any:
        """File or folder of the `poses`, or `facts`: sentences on where poses, up and scale come from."""
        match name:
            case "poses":
                return paths.poses_place(drive.root / drive.name)
            case "facts":
                return drives.open_folder(drive.root / drive.name).facts
            case _:
                return None


SPEC = Folder()
