"""CVAT's XML for video: `track label` > `mask frame outside rle left top width height`.

The runs go row by row through the mask's own box, zeros first.
"""

from collections.abc import Iterator
from xml.etree import ElementTree

from vsrd_ray.data.drive import LAST_FRAME
from vsrd_ray.errors import InputError
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.rle import BoxRuns
from vsrd_ray.masks.rows import Annotation, RowFile, row_file, size_of
from vsrd_ray.storage import read_bytes

_ROOT = "annotations"


def _recognises(content: Content) -> bool:
    return b"<annotations>" in content.head and b"<meta>" in content.head


def _open(content: Content, drive: Drive) -> RowFile:
    place = f"{content.location}"
    tree = _read(content)
    size = _size(tree, place)
    annotations: list[Annotation] = []
    for track in tree.iterfind("track"):
        annotations += _masks(track, size, place)
    if tree.find("image/mask") is not None:
        raise InputError(f"{place}: masks of single images, without tracks: export the task as CVAT for video")
    frames = _frames(tree, [one.frame for one in annotations], place)
    return row_file(content.location, annotations, dict.fromkeys(frames, size), drive.classes)


class _BuilderWithoutDoctype(ElementTree.TreeBuilder):
    """Builds trees from files without a document type, so that a file cannot define entities."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise ValueError(f"document type {name!r} is not expected")


def _read(content: Content) -> ElementTree.Element:
    try:
        parser = ElementTree.XMLParser(target=_BuilderWithoutDoctype())
        tree = ElementTree.fromstring(read_bytes(content.location), parser)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{content.location}: not well-formed XML ({error}): export it again") from None
    if tree.tag != _ROOT:
        raise InputError(f"{content.location}: expected CVAT's <{_ROOT}>, got <{tree.tag}>: export it again")
    return tree


def _size(tree: ElementTree.Element, place: str) -> tuple[int, int]:
    """(width, height) px of the task's images."""
    found = next(tree.iterfind("meta//original_size"), None)
    sides = {side: _whole(found, side) for side in ("width", "height")} if found is not None else {}
    return size_of(sides, f"{place}, meta, original_size")


def _whole(element: ElementTree.Element, name: str) -> int | None:
    text = (element.findtext(name) or "").strip()
    return int(text) if text.isdecimal() and len(text) < 12 else None


def _frames(tree: ElementTree.Element, seen: list[int], place: str) -> list[int]:
    """All frames of the task; where it does not say, those from the first to the last mask."""
    meta = next(tree.iterfind("meta/*"), tree)
    first, last = _whole(meta, "start_frame"), _whole(meta, "stop_frame")
    if first is None or last is None:
        first, last = min(seen, default=0), max(seen, default=-1)
    if last > LAST_FRAME or any(not first <= frame <= last for frame in seen):
        raise InputError(f"{place}: frames beyond those of the task, {first}-{last}: export it again")
    return list(range(first, last + 1))


def _masks(track: ElementTree.Element, size: tuple[int, int], location: str) -> Iterator[Annotation]:
    """The masks of one track where it is seen."""
    where = f"track {track.get('id')}"
    number = _attribute(track, "id", f"{location}, {where}")
    if (label := track.get("label")) is None:
        raise InputError(f"{location}, {where}: no label: export the task again")
    for mask in track.iterfind("mask"):
        if mask.get("outside") == "1":
            continue
        frame = _attribute(mask, "frame", f"{location}, {where}")
        place = f"{where}, frame {frame}"
        yield Annotation(frame, label, number, _segmentation(mask, size, f"{location}, {place}"), 1.0, place)


def _segmentation(mask: ElementTree.Element, size: tuple[int, int], place: str) -> BoxRuns:
    left, top, width, height = (_attribute(mask, name, place) for name in ("left", "top", "width", "height"))
    if not (width and height and left + width <= size[0] and top + height <= size[1]):
        raise InputError(f"{place}: a mask that leaves the image of {size[0]} x {size[1]} px: export the task again")
    try:
        runs = [int(one) for one in (mask.get("rle") or "").split(",")]
    except ValueError:
        raise InputError(f"{place}: runs that are no whole numbers: export the task again") from None
    return BoxRuns(runs, left, top, width, height)


def _attribute(element: ElementTree.Element, name: str, place: str) -> int:
    text = element.get(name) or ""
    if not text.isdecimal() or len(text) > 11:
        raise InputError(f"{place}: expected a whole number as {name!r}, got {text[:20]!r}: export the task again")
    return int(text)


SPEC = MaskFormat("cvat", "CVAT for video XML: masks of tracks", _recognises, _open)
