"""How good labels are."""

from vsrd_ray.labels.boxes.evaluation.comparison import Comparison, compare_runs
from vsrd_ray.labels.boxes.evaluation.quality import QualityReport
from vsrd_ray.labels.boxes.evaluation.report import format_comparison, format_report
from vsrd_ray.labels.boxes.evaluation.run import evaluate_run

__all__ = ["Comparison", "QualityReport", "compare_runs", "evaluate_run", "format_comparison", "format_report"]
