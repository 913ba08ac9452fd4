"""What a run does with one drive."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.groups import GroupPlan


@dataclass(frozen=True)
class DrivePlan:
    """A drive with everything that its index says."""

    drive: Drive
    index: pa.Table  # INDEX_SCHEMA
    fingerprint: str  # of the files that the index was made from
    groups: tuple[GroupPlan, ...]
    empty_frames: tuple[int, ...]  # readable frames that have nothing to label
    identity: dict[str, str] = field(default_factory=dict)  # of its inputs by content; see `identity_of`
    warnings: tuple[str, ...] = ()  # sentences on what is odd about its inputs

    @property
    def num_frames(self) -> int:
        """Frames that the drive has, skipped ones included."""
        return len(np.unique(self.index["frame"].to_numpy()))

    @property
    def skipped_frames(self) -> dict[str, int]:
        """Frames that cannot be used: their number for each reason, such as "no pose" or "unreadable mask"."""
        reasons: Iterable[str] = self.index["skipped"].drop_null().to_pylist()
        return dict(sorted(Counter(reason.partition(":")[0] for reason in reasons).items()))

    @property
    def prefix(self) -> str:
        """What the names of the drive's compacted files begin with: its name and, where it has but one, its camera."""
        cameras = list(self.drive.cameras)
        return "-".join([self.drive.name, *(cameras if len(cameras) == 1 else []), ""])
