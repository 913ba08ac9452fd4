"""What a user gives a drive from outside its dataset, such as masks in a file of another format."""

from collections.abc import Mapping
from dataclasses import dataclass

from vsrd_ray.storage import Location, absolute, open_location, relative


@dataclass(frozen=True)
class Given:
    """What comes in place of the dataset's own; picklable, and empty where everything is the dataset's."""

    masks: Location | None = None  # a file, or a folder
    masks_format: str | None = None  # None: the one that the content is in
    poses: str | None = None  # a name such as "oxts"; None: the dataset's own, unless there is a file
    pose_file: Location | None = None  # a file, or a folder of files named like drives
    pose_scale: str | None = None  # "none": the file's positions are metres; None: scaled by the dataset's own poses

    def __bool__(self) -> bool:
        """Whether anything is given."""
        return self != NOTHING_GIVEN

    def record(self, root: Location) -> dict[str, str]:
        """What a manifest holds of it: places below ROOT by their way from there, so that both can move together."""
        masks, pose_file = (None if one is None else _from(root, one) for one in (self.masks, self.pose_file))
        values = {"masks": masks, "masks_format": self.masks_format, "poses": self.poses}
        values |= {"pose_file": pose_file, "pose_scale": self.pose_scale}
        return {name: value for name, value in values.items() if value is not None}

    @staticmethod
    def recorded(record: Mapping[str, str], root: Location) -> "Given":
        """The same of what a manifest holds, beside a ROOT that may lie elsewhere now."""
        masks, pose_file = (_at(root, record[name]) if name in record else None for name in ("masks", "pose_file"))
        return Given(masks, record.get("masks_format"), record.get("poses"), pose_file, record.get("pose_scale"))


NOTHING_GIVEN = Given()


def _from(root: Location, place: Location) -> str:
    try:
        return relative(absolute(place), absolute(root))
    except (ValueError, TypeError):  # it lies elsewhere, or in another kind of store
        return str(absolute(place))


def _at(root: Location, text: str) -> Location:
    is_whole = "://" in text or text.startswith("/") or open_location(text).is_absolute()
    return open_location(text) if is_whole else absolute(root) / text
