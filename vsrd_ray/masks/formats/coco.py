"""COCO's JSON: a dataset with tracks, or a bare list of results with scores.

The id of a track has no standard name: `track_id`, `instance_id` or `attributes.track_id`. Results name neither images
nor classes: their image ids are frames, and their classes COCO's own.
"""

from typing import Any

from vsrd_ray.errors import InputError
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.jsons import entry, image_numbers, of_drive, score_of, stem_of
from vsrd_ray.masks.rows import Annotation, RowFile, row_file, size_of

# COCO's numbers of classes on roads.
_COCO = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 6: "bus", 7: "train", 8: "truck", 10: "traffic light"}


def _recognises(content: Content) -> bool:
    found = content.json
    if isinstance(found, dict):
        return {"images", "annotations"} <= found.keys()
    first = found[0] if isinstance(found, list) and found else None
    return isinstance(first, dict) and {"segmentation", "image_id"} <= first.keys()


def _open(content: Content, drive: Drive) -> RowFile:
    return (_results if isinstance(content.json, list) else _dataset)(content, drive)


def _dataset(content: Content, drive: Drive) -> RowFile:
    found, place = content.json, f"{content.location}"
    images = {entry(image, "id", int, f"{place}, images"): image for image in entry(found, "images", list, place)}
    names = {number: entry(image, "file_name", str, f"{place}, image {number}") for number, image in images.items()}
    chosen = image_numbers(of_drive(names.values(), drive), content.location)
    frame_of = {number: chosen[name] for number, name in names.items() if name in chosen}
    sizes = {frame: size_of(images[number], f"{place}, image {number}") for number, frame in frame_of.items()}
    categories = {
        entry(one, "id", int, f"{place}, categories"): entry(one, "name", str, f"{place}, categories")
        for one in entry(found, "categories", list, place)
    }
    annotations: list[Annotation] = []
    for count, one in enumerate(entry(found, "annotations", list, place)):
        where = f"annotation {one['id'] if isinstance(one, dict) and 'id' in one else count}"
        image = entry(one, "image_id", int, f"{place}, {where}")
        if image not in images:
            raise InputError(f"{place}, {where}: no image {image} in the file: restore it")
        if image in frame_of:
            annotations.append(_annotation(one, frame_of[image], categories, place, where))
    stems = {stem_of(name): frame for name, frame in chosen.items()}
    return row_file(content.location, annotations, sizes, drive.classes, stems)


def _results(content: Content, drive: Drive) -> RowFile:
    place = f"{content.location}"
    annotations: list[Annotation] = []
    sizes: dict[int, tuple[int, int]] = {}
    for count, one in enumerate(content.json):
        where = f"result {count}"
        frame = entry(one, "image_id", int, f"{place}, {where}")
        annotations.append(_annotation(one, frame, _COCO, place, where))
        size = entry(entry(one, "segmentation", dict, f"{place}, {where}"), "size", list, f"{place}, {where}")
        sides: dict[str, Any] = dict(zip(("height", "width"), size, strict=False))
        sizes.setdefault(frame, size_of(sides, f"{place}, {where}"))
    return row_file(content.location, annotations, sizes, drive.classes)


def _annotation(
    values: dict[str, Any], frame: int, categories: dict[int, str], location: str, where: str
) -> Annotation:
    place = f"{location}, {where}"
    category = entry(values, "category_id", int, place)
    is_unknown = bool(values.get("iscrowd") or values.get("ignore"))
    if category not in categories and categories is not _COCO and not is_unknown:
        raise InputError(f"{place}: no category {category} in the file: restore it")
    name = None if is_unknown else categories.get(category, f"category {category}")
    return Annotation(frame, name, _track(values, place), values.get("segmentation"), score_of(values, place), where)


def _track(values: dict[str, Any], place: str) -> int | None:
    attributes = values.get("attributes")
    for holder, key in ((values, "track_id"), (values, "instance_id"), (attributes, "track_id")):
        if isinstance(holder, dict) and holder.get(key) is not None:
            return entry(holder, key, int, place)
    return None


SPEC = MaskFormat("coco", "COCO JSON, with track_id; results need tracking", _recognises, _open)
