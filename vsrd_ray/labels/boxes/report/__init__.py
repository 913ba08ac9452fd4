"""A labelling run as one HTML file that needs nothing else: tables, a map, every frame and every instance."""

from vsrd_ray.labels.boxes.report.write import write_report

__all__ = ["write_report"]
