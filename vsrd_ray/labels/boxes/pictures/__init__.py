"""Pictures of labels, annotations and ground truth."""

from vsrd_ray.labels.boxes.pictures.images import visualize_labels
from vsrd_ray.labels.boxes.pictures.sheet import write_sheet

__all__ = ["visualize_labels", "write_sheet"]
