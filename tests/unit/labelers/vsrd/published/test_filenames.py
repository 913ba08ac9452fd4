from pathlib import Path

import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.published.filenames import GROUPED, SAMPLED, sample

SEQUENCE = "2013_05_28_drive_0042_sync"


@pytest.mark.parametrize("drive", ["drive_0001", "drive_0011"])
def test_equal_byte_by_byte_to_the_published_files(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drive: str
) -> None:
    source, name = shared / "data" / "kitti_geometry" / drive, f"2013_05_28_{drive}_sync"
    for folder in ("calibration", "data_poses", "data_2d_raw", "data_2d_semantics"):
        (tmp_path / folder).symlink_to(source / folder)
    groups = sample(tmp_path, name, "image_00", GroupingSettings())
    for file in (GROUPED, SAMPLED):
        ours = tmp_path / "filenames" / "R50-N16-M128-B16" / name / file
        assert ours.read_bytes() == (shared / "reference" / "published" / drive / file).read_bytes()

    monkeypatch.setattr("vsrd_ray.data.index.index_frames", lambda *_: pytest.fail("it is indexed again"))
    again = sample(tmp_path, name, "image_00", GroupingSettings())
    for field in ("instance_ids", "frames", "target_frame", "candidates"):
        assert [getattr(group, field) for group in again] == [getattr(group, field) for group in groups]


def test_other_settings_and_classes(write_sequence) -> None:
    instance_map = np.zeros((16, 20))
    instance_map[3:9, 4:12] = 27001
    root = write_sequence(dict.fromkeys((1, 2, 4), instance_map))
    settings = GroupingSettings(num_sources=2, min_area=10, min_box_side=5, min_shared=0.25)
    assert sample(root, SEQUENCE, "image_00", settings) == []
    folder = paths.filenames_folder(root, SEQUENCE, "R25-N2-M10-B5")
    assert (folder / GROUPED).read_text() == ""
    (group,) = sample(root, SEQUENCE, "image_00", settings, classes=("truck",))
    assert group.target_frame == 2
    image = f"data_2d_raw/{SEQUENCE}/image_00/data_rect/000000000"
    assert (folder / GROUPED).read_text() == f"27001 {image}1.png,{image}2.png,{image}4.png\n"
    assert (folder / SAMPLED).read_text() == f"27001 {image}2.png -1,2\n"
