"""vsrd-ray: 3D boxes from 2D instance masks and camera poses, on Ray.

For notebooks: `open_sequence`, `make_groups`, `label_group`, `read_labels`, `draw_frame` and `load_config`, as
docs/example.py shows. For everything else there is the command `vsrd-ray`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsrd_ray.api import draw_frame, label_group, load_config, make_groups, open_sequence, read_labels

__all__ = ["draw_frame", "label_group", "load_config", "make_groups", "open_sequence", "read_labels"]
__version__ = version("vsrd-ray")


def __getattr__(name: str) -> Any:
    """The names for notebooks, imported when the first is asked for: workers and `--help` need not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("vsrd_ray.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
