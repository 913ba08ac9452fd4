"""The Grafana dashboard asks for metrics that exist, and shows all of ours."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ray_head import JOBS

DASHBOARD = json.loads((JOBS / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]

# As Ray 2.60 exposes them: `ray_` before every name, `_total` after a counter's, buckets of a histogram.
OURS = {
    "ray_vsrd_groups_total",
    "ray_vsrd_groups_done_total",
    "ray_vsrd_groups_failed_total",
    "ray_vsrd_groups_retried_total",
    "ray_vsrd_labels_written_total",
    "ray_vsrd_group_seconds_bucket",
    "ray_vsrd_gpu_memory_bytes",
}
UNITS = {"short", "percent", "percentunit", "s", "bytes", "Bps"}  # of Grafana


@pytest.fixture(scope="module")
def metrics_of_ray() -> set[str]:
    """The metrics that the installed Ray's own dashboards show."""
    from ray.dashboard.modules.metrics import dashboards

    folder = Path(next(iter(dashboards.__path__)))
    texts = [(folder / f"{name}_dashboard_panels.py").read_text() for name in ("default", "data")]
    return {name for text in texts for name in re.findall(r"\b((?:ray|autoscaler)_[a-z0-9_]+)\{\{", text)}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"([a-zA-Z_:][\w:]*)\{", expression))


def test_every_metric_is_ours_or_rays(metrics_of_ray: set[str]):
    asked = set().union(*map(metrics_in, EXPRESSIONS))
    assert len(metrics_of_ray) > 50
    assert asked - OURS <= metrics_of_ray
    assert {name for name in asked if "vsrd" in name} == OURS


def test_metrics_are_found_in_expressions():
    assert metrics_in("sum by (le) (rate(a_bucket{x=~'1'}[5m])) / b{}") == {"a_bucket", "b"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_is_balanced_and_of_the_chosen_session(expression: str):
    for left, right in ("()", "{}", "[]"):
        assert expression.count(left) == expression.count(right)
    selectors = re.findall(r"\{([^}]*)\}", expression)
    assert selectors and all('SessionName=~"$SessionName"' in selector for selector in selectors)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_says_what_it_shows(panel: dict[str, Any]):
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["legendFormat"] for target in panel["targets"])


def test_panels_have_places_of_their_own():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (place["x"] + dx, place["y"] + dy) for place in places for dx in range(place["w"]) for dy in range(place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_variables_are_those_that_the_panels_use():
    named = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert named == {"datasource", "SessionName"}
