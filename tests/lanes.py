"""How `pytest -n --dist loadfile` hands tests to its workers.

A worker gets whole modules. Those of a lane all go to one worker: they share what takes long to make, such as a Ray.
What takes longest begins first, so that no worker is left with it at the end.
"""

from typing import Any

import pytest

LANES = {
    "one Ray": (  # the fixtures local_ray and labelled
        "tests/cli/test_bad_input.py",
        "tests/cli/test_commands.py",
        "tests/cli/test_evaluate.py",
        "tests/cli/test_label.py",
        "tests/cli/test_label_options.py",
        "tests/cli/test_pages.py",
        "tests/cli/test_status.py",
        "tests/pipeline/test_evaluating.py",
        "tests/pipeline/test_feed_actor.py",
        "tests/pipeline/test_labelers_on_ray.py",
        "tests/pipeline/test_run.py",
        "tests/pipeline/test_scene_runs.py",
    ),
    "one browser": ("tests/browser/",),  # and one report
}
# The rest follows as it was collected.
FIRST = (
    "tests/pipeline/test_failures.py",
    "one Ray",
    "one browser",
    "tests/cli/test_processes.py",
    "tests/jobs/test_submit.py",
    "tests/jobs/test_autoscaling.py",
    "tests/pipeline/test_watching.py",
    "tests/pipeline/test_object_stores_run.py",
)


def lane(nodeid: str) -> str:
    """The lane of a test, or else its module."""
    module = nodeid.partition("::")[0]
    return next((name for name, places in LANES.items() if module.startswith(places)), module)


def place(nodeid: str) -> int:
    """Where in the queue the lane of a test comes."""
    name = lane(nodeid)
    return FIRST.index(name) if name in FIRST else len(FIRST)


def scheduler(config: pytest.Config, log: Any) -> Any:
    """For pytest-xdist; None where another distribution than by modules is asked for."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Lanes(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lane(nodeid)

    return Lanes(config, log)
