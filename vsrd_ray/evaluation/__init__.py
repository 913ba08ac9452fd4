"""How good labels are."""

from vsrd_ray.evaluation.quality import QualityReport, evaluate_run
from vsrd_ray.evaluation.report import format_report

__all__ = ["QualityReport", "evaluate_run", "format_report"]
