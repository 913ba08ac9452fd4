"""What KITTI's object benchmark says of a raw drive: its calibration, and which frames are which of its images."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vsrd_ray.storage import Location


@dataclass(frozen=True)
class ObjectBenchmark:
    """A drive as the object benchmark has it. Boxes there are in rectified camera 0."""

    calibration: Mapping[str, np.ndarray]  # P0 to P3 [3, 4], R0_rect [3, 3], Tr_velo_to_cam and Tr_imu_to_velo [3, 4]
    T_cam0_cam: np.ndarray  # [4, 4] metres, of the camera that is labelled
    num_images: int  # for training, of all drives; 0 where the mapping is not there
    numbers: Mapping[int, int] = field(default_factory=dict)  # of the benchmark's images, by frame
    valid: frozenset[int] | None = None  # numbers of all images for validation; None where no list is there
    human: Mapping[int, Location] = field(default_factory=dict)  # files of people's labels, by number
    places: str = ""  # where mapping and list were looked for, in words
