"""Pictures of labels, annotations and ground truth."""

from vsrd_ray.visualization.sheet import write_sheet
from vsrd_ray.visualization.video import visualize_annotations, visualize_labels

__all__ = ["visualize_annotations", "visualize_labels", "write_sheet"]
