"""One HTML page that needs nothing else and no network: what a kind of label without a page of its own is shown on."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #8884; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 100%; }
img { max-width: 100%; }
"""
# Nothing but what is in the file: no script, no request.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Section:
    """A part of a page."""

    heading: str
    text: str = ""
    rows: Sequence[Mapping[str, Any]] = ()  # a table: columns are the keys of the first row
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])  # caption -> [H, W, 3] uint8, BGR


def write_page(path: Location, title: str, sections: Sequence[Section]) -> int:
    """Write a page, whole or not at all; its size in bytes."""
    body = "".join(map(_section, sections))
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>{body}</body></html>\n"
    )
    data = text.encode()
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return len(data)


def _section(section: Section) -> str:
    text = f"<p>{html.escape(section.text)}</p>" if section.text else ""
    pictures = "".join(_figure(caption, picture) for caption, picture in section.pictures.items())
    return f"<section><h2>{html.escape(section.heading)}</h2>{text}{_table(section.rows)}{pictures}</section>"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    body = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in rows[0])}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{html.escape('' if value is None else str(value))}</td>"
    return f'<td class="number">{value:g}</td>'


def _figure(caption: str, picture: np.ndarray) -> str:
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    source = base64.b64encode(encoded.tobytes()).decode()
    text = html.escape(caption)
    return f'<figure><img src="data:image/jpeg;base64,{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'
