"""The grouping files of VSRD's published tools: text files of instance groups and of their targets' sources."""

from collections.abc import Sequence
from pathlib import Path

from vsrd_ray.data.index import cached_index
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.drives import fingerprint
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import InstanceGroup, instance_groups
from vsrd_ray.labelers.vsrd.published.annotations import open_with_masks
from vsrd_ray.storage import Location
from vsrd_ray.storage.staging import staging

GROUPED = "grouped_image_filenames.txt"
SAMPLED = "sampled_image_filenames.txt"


def sample(
    root: Location,
    sequence: str,
    camera: str,
    settings: GroupingSettings,
    classes: Sequence[str] = ("car",),
) -> list[InstanceGroup]:
    """Write the two grouping files of a sequence; the instance groups, one for each of their lines.

    They lie in `filenames/<name of the settings>/<sequence>/` under `root`, and name images relative to `root`. The
    sequence's index is made first where there is none, or its inputs have changed.

    Raises:
        InputError: input that cannot be used; see `open_with_masks` and `Drive.read`.
    """
    opened = open_with_masks(root, sequence, camera)
    if " " in sequence:
        raise InputError(
            f"sequence {sequence!r}: the published tools' files have spaces between names: rename its folders"
        )
    opened.check_classes(classes)
    index_file = paths.annotation_index_file(root, sequence, camera)
    index = cached_index(opened, index_file, fingerprint(root, sequence, camera))
    groups = instance_groups(index, settings, classes)
    with staging(paths.filenames_folder(root, sequence, settings.name)) as staged:
        for name, line in ((GROUPED, _grouped_line), (SAMPLED, _sampled_line)):
            (staged.folder / name).write_text("".join(line(group, sequence, camera) for group in groups))
        staged.place()
    return groups


def _grouped_line(group: InstanceGroup, sequence: str, camera: str) -> str:
    images = (_image(sequence, camera, frame) for frame in group.frames)
    return f"{_ids(group)} {','.join(images)}\n"


def _sampled_line(group: InstanceGroup, sequence: str, camera: str) -> str:
    offsets = (str(frame - group.target_frame) for frame in group.candidates)
    return f"{_ids(group)} {_image(sequence, camera, group.target_frame)} {','.join(offsets)}\n"


def _ids(group: InstanceGroup) -> str:
    return ",".join(sorted(str(instance_id) for instance_id in group.instance_ids))


def _image(sequence: str, camera: str, frame: int) -> str:
    return paths.image_file(Path(), sequence, camera, frame).as_posix()
