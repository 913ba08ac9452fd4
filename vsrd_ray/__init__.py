"""vsrd-ray: labels for 3D perception from images, masks, poses and LiDAR, on one machine or a Ray cluster.

For notebooks: `label`, `evaluate`, `export` and `read_labels`, and to look closer `open_sequence`, `make_groups`,
`label_group`, `draw_frame` and `load_config`, as docs/example.py shows. The command `vsrd-ray` has everything else.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsrd_ray.api import (
        draw_frame,
        evaluate,
        export,
        label,
        label_group,
        load_config,
        make_groups,
        open_sequence,
        read_labels,
    )

__all__ = [
    "draw_frame",
    "evaluate",
    "export",
    "label",
    "label_group",
    "load_config",
    "make_groups",
    "open_sequence",
    "read_labels",
]
__version__ = version("vsrd-ray")


def __getattr__(name: str) -> Any:
    """The names for notebooks, imported when the first is asked for: workers and `--help` need not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("vsrd_ray.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
