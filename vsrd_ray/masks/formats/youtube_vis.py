"""YouTube-VIS's JSON: videos with their images' names, and an annotation a track, with a mask a frame, or null."""

from typing import Any

from vsrd_ray.errors import InputError
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.jsons import entry, image_numbers, of_drive, score_of, stem_of
from vsrd_ray.masks.rows import Annotation, RowFile, row_file, size_of


def _recognises(content: Content) -> bool:
    found = content.json
    if isinstance(found, dict):
        return {"videos", "annotations"} <= found.keys()
    first = found[0] if isinstance(found, list) and found else None
    return isinstance(first, dict) and "segmentations" in first


def _open(content: Content, drive: Drive) -> RowFile:
    found, place = content.json, f"{content.location}"
    if isinstance(found, list):
        raise InputError(
            f"{place}: results of YouTube-VIS, which name neither images nor classes: put them into its dataset's JSON "
            "as `annotations`"
        )
    video, names = _video(entry(found, "videos", list, place), drive, place)
    frames = image_numbers(names, content.location)
    size = size_of(video, f"{place}, video {video['id']}")
    categories = {
        entry(one, "id", int, f"{place}, categories"): entry(one, "name", str, f"{place}, categories")
        for one in entry(found, "categories", list, place)
    }
    annotations: list[Annotation] = []
    for count, one in enumerate(entry(found, "annotations", list, place)):
        if entry(one, "video_id", int, f"{place}, annotation {count}") == video["id"]:
            annotations += _masks(one, count, [frames[name] for name in names], categories, place)
    stems = {stem_of(name): frame for name, frame in frames.items()}
    return row_file(content.location, annotations, dict.fromkeys(frames.values(), size), drive.classes, stems)


def _video(videos: list[Any], drive: Drive, place: str) -> tuple[dict[str, Any], list[str]]:
    """The video of the drive, and the names of its images: the only one, or the one whose images' folders say so."""
    names = {
        entry(video, "id", int, f"{place}, videos"): entry(video, "file_names", list, f"{place}, videos")
        for video in videos
    }
    texts = [f"{name}" for several in names.values() for name in several]
    wanted = set(of_drive(texts, drive))
    found = [video for video in videos if names[video["id"]] and set(names[video["id"]]) <= wanted]
    if len(found) != 1:
        raise InputError(
            f"{place}: {len(found)} videos may be {drive.name}: give a file of one video, or name folders of images by "
            "their sequences"
        )
    return found[0], [f"{name}" for name in names[found[0]["id"]]]


def _masks(
    values: dict[str, Any], count: int, frames: list[int], categories: dict[int, str], location: str
) -> list[Annotation]:
    """The masks of one track."""
    where = f"annotation {values.get('id', count)}"
    place = f"{location}, {where}"
    segmentations, category = entry(values, "segmentations", list, place), entry(values, "category_id", int, place)
    if len(segmentations) != len(frames):
        raise InputError(f"{place}: {len(segmentations)} masks for {len(frames)} images: restore the file")
    if category not in categories:
        raise InputError(f"{place}: no category {category} in the file: restore it")
    name = None if values.get("iscrowd") else categories[category]
    track = entry({"id": count + 1, **values}, "id", int, place)
    return [
        Annotation(frame, name, track, one, score_of(values, place), f"{where}, frame {frame}")
        for frame, one in zip(frames, segmentations, strict=True)
        if one is not None
    ]


SPEC = MaskFormat("youtube-vis", "YouTube-VIS JSON: an annotation a track", _recognises, _open)
