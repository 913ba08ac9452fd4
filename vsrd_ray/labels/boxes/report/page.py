"""The page that a report is: its template, its style, its program and its numbers in one file."""

import html
import json
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

_SCRIPTS = (
    "data.js",
    "geometry.js",
    "elements.js",
    "drawing.js",
    "charts.js",
    "verdict.js",
    "summary.js",
    "map.js",
    "lists.js",
    "frame.js",
    "edits.js",
    "adding.js",
    "snap.js",
    "store.js",
    "editviews.js",
    "editor.js",
    "instance.js",
    "main.js",
)


def fill_page(content: dict[str, Any]) -> bytes:
    """The whole HTML file."""
    page = _template().substitute(
        title=html.escape(content["title"]),
        style=_read("page.css"),
        plotly=get_plotlyjs(),
        script="\n".join(_read(name) for name in _SCRIPTS),
        content=embedded(content),
    )
    return page.encode()


def embedded(content: dict[str, Any]) -> str:
    """JSON that can stand in a script element: no text in it ends that element or begins a comment."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def served_page(page: bytes) -> bytes:
    """A page that may ask the server that it comes from, and nobody else."""
    return page.replace(b"default-src 'none';", b"default-src 'none'; connect-src 'self';", 1)


@cache
def empty_page_bytes() -> int:
    """Bytes of a page without numbers and pictures."""
    return len(fill_page({"title": ""}))


def _template() -> Template:
    return Template(_read("page.html"))


def _read(name: str) -> str:
    return files("vsrd_ray.labels.boxes.report").joinpath("page", name).read_text("utf-8")
