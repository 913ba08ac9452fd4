"""How good labels are."""

from vsrd_ray.evaluation.comparison import Comparison, compare_runs
from vsrd_ray.evaluation.quality import QualityReport
from vsrd_ray.evaluation.report import format_comparison, format_report
from vsrd_ray.evaluation.run import evaluate_run

__all__ = ["Comparison", "QualityReport", "compare_runs", "evaluate_run", "format_comparison", "format_report"]
