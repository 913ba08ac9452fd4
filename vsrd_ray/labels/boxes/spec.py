"""What the house knows of boxes."""

from dataclasses import dataclass

import pyarrow as pa

from vsrd_ray.labels.base import Kind
from vsrd_ray.labels.boxes import kitti
from vsrd_ray.labels.boxes.parquet import FOLDER
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location


@dataclass(frozen=True)
class _KittiTexts:
    """KITTI label text beside the tables: one file a frame; see `vsrd_ray.runs.tables.LabelTexts`."""

    folder: str = "kitti"

    def path(self, folder: Location, *, sequence: str, camera: str, frame: int) -> Location:
        return kitti.label_path(folder, sequence=sequence, camera=camera, frame=frame)

    def is_text(self, name: str) -> bool:
        return kitti.is_label_file(name)

    def write(self, path: Location, rows: pa.Table) -> None:
        kitti.write_frame(path, rows)


SPEC = Kind(
    name="boxes",
    summary="3D boxes in the world and in each frame",
    table=LabelTable(
        name="boxes",
        folder=FOLDER,
        schema=LABEL_SCHEMA,
        sort_by=("instance_id",),
        texts=_KittiTexts(),
    ),
)
