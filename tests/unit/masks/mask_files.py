"""Files of masks made by hand, in every format, of the instance maps that they ought to become."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.masks import encode_rle
from vsrd_ray.labels.masks.schema import SCHEMA, encoded
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

CLASS_NAMES = {26: "car", 24: "person", 7: "road", 12: "building"}
MOTS = {26: 1, 24: 2}


def instances(instance_map):
    """Class number, instance number and mask [H, W] of every instance; 0, 0 of what is unknown."""
    for value in np.unique(instance_map).tolist():
        if value == UNKNOWN:
            yield 0, 0, instance_map == value
        elif value % 1000:
            yield *divmod(value, 1000), instance_map == value


def mots_lines(maps):
    """KITTI-MOTS's text."""
    height, width = next(iter(maps.values())).shape
    lines = []
    for frame, instance_map in maps.items():
        for number, instance, mask in instances(instance_map):
            ids = f"{1000 * MOTS[number] + instance - 1} {MOTS[number]}" if number else "10000 10"
            lines.append(f"{frame} {ids} {height} {width} {encode_rle(mask)['counts']}\n")
    return "".join(lines)


def coco(maps, *, name="{:010d}.png", with_ids=True):
    """COCO's dataset with tracks; runs as a list for every other mask."""
    height, width = next(iter(maps.values())).shape
    images = [{"id": 100 + f, "file_name": name.format(f), "width": width, "height": height} for f in maps]
    annotations = []
    for frame, instance_map in maps.items():
        for number, instance, mask in instances(instance_map):
            one = {
                "id": len(annotations),
                "image_id": 100 + frame,
                "category_id": number or 26,
                "iscrowd": int(not number),
            }
            one["segmentation"] = plain_runs(mask) if len(annotations) % 2 else encode_rle(mask)
            if with_ids and number:
                one |= {"track_id": instance} if frame % 2 else {"attributes": {"track_id": instance}}
            annotations.append(one)
    categories = [{"id": number, "name": name} for number, name in CLASS_NAMES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def plain_runs(mask):
    """COCO's runs as a list."""
    values = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff([0, *ends, len(values)]).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if values[0] else runs}


def youtube_vis(maps, *, name="{:010d}.png"):
    """YouTube-VIS's dataset: an annotation a track."""
    height, width = next(iter(maps.values())).shape
    tracks = {}
    for place, instance_map in enumerate(maps.values()):
        for number, instance, mask in instances(instance_map):
            track = tracks.setdefault((number, instance), [None] * len(maps))
            track[place] = encode_rle(mask)
    annotations = [
        {"id": instance or 900, "video_id": 4, "category_id": number or 26, "iscrowd": int(not number)}
        | {"segmentations": segmentations}
        for (number, instance), segmentations in tracks.items()
    ]
    videos = [{"id": 4, "file_names": [name.format(f) for f in maps], "width": width, "height": height}]
    categories = [{"id": number, "name": name} for number, name in CLASS_NAMES.items()]
    return {"videos": videos, "annotations": annotations, "categories": categories}


def cvat(maps):
    """CVAT for video."""
    height, width = next(iter(maps.values())).shape
    tracks = {}
    for frame, instance_map in maps.items():
        for number, instance, mask in instances(instance_map):
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            runs = plain_runs(box.T)["counts"]
            values = {
                "frame": frame,
                "outside": 0,
                "rle": ", ".join(map(str, runs)),
                "left": columns[0],
                "top": rows[0],
            }
            values |= {"width": box.shape[1], "height": box.shape[0]}
            text = " ".join(f'{name}="{value}"' for name, value in values.items())
            tracks.setdefault((number, instance), []).append(f"<mask {text}></mask>")
    body = "".join(
        f'<track id="{instance}" label="{CLASS_NAMES.get(number, "ignore")}">{"".join(masks)}</track>'
        for (number, instance), masks in tracks.items()
    )
    frames = f"<start_frame>{min(maps)}</start_frame><stop_frame>{max(maps)}</stop_frame>"
    size = f"<original_size><width>{width}</width><height>{height}</height></original_size>"
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta><task>{frames}{size}</task></meta>{body}</annotations>"
    )


def write(maps, folder: Path, format: str) -> Path:
    """A file or folder of masks in a format, without stuff but in KITTI-360's own."""
    folder.mkdir(parents=True, exist_ok=True)
    if format in TEXTS:
        name, text = TEXTS[format]
        (folder / name).write_text(text(maps))
        return folder / name
    for frame, instance_map in maps.items():
        FRAMES[format](folder, frame, instance_map)
    return folder


TEXTS = {
    "kitti-mots-txt": ("masks.txt", mots_lines),
    "coco": ("masks.json", lambda maps: json.dumps(coco(maps))),
    "youtube-vis": ("masks.json", lambda maps: json.dumps(youtube_vis(maps))),
    "cvat": ("annotations.xml", cvat),
}


def _mots_png(folder, frame, instance_map):
    values = np.zeros_like(instance_map)
    for number, instance, mask in instances(instance_map):
        values[mask] = 1000 * MOTS[number] + instance - 1 if number else 10000
    write_png(folder / f"{frame:06d}.png", values)


def _cityscapes(folder, frame, instance_map):
    values = np.zeros_like(instance_map)
    for number, instance, mask in instances(instance_map):
        values[mask] = 1000 * number + instance - 1 if number else 26
    write_png(folder / f"aachen_{frame:06d}_000019_gtFine_instanceIds.png", values)


def _vsrd(folder, frame, instance_map):
    masks = {}
    for number, instance, mask in instances(instance_map):
        name = CLASS_NAMES.get(number, "ignore")
        masks.setdefault(name, {})[f"{1000 * number + instance}"] = encode_rle(mask)
    (folder / f"{frame:010d}.json").write_text(json.dumps({"masks": masks}))


def _pointsam(folder, frame, instance_map):
    classes = {26: 0, 24: 7}
    semantic, instance_ids = np.full(instance_map.shape, 10), np.full(instance_map.shape, -1)
    for number, instance, mask in instances(instance_map):
        if number:
            semantic[mask], instance_ids[mask] = classes[number], 10 * number + instance
    for kind, values in (("semantic", semantic), ("instance", instance_ids)):
        np.savez(folder / f"{kind}_{frame:010d}.npz", data=values.astype(np.int32))


def write_png8(path: Path, channels) -> None:
    """A PNG of 8 bits a channel, red first."""
    assert cv2.imwrite(str(path), np.stack([channels[n] for n in (2, 1, 0, 3)[: len(channels)]], -1).astype(np.uint8))


def _bdd100k(folder, frame, instance_map):
    red, green, blue, alpha = (np.zeros(instance_map.shape, np.int64) for _ in range(4))
    for number, instance, mask in instances(instance_map):
        red[mask], green[mask] = {26: 3, 24: 1}.get(number, 3), 8 if number else 2
        blue[mask], alpha[mask] = divmod(instance, 256)
    write_png8(folder / f"b1c66a42-{frame:07d}.png", (red, green, blue, alpha))


def step(folder, frame, instance_map):
    """KITTI-STEP's map: instances on the road; what is unknown is void."""
    red, green, blue = (np.zeros(instance_map.shape, np.int64) for _ in range(3))
    for number, instance, mask in instances(instance_map):
        red[mask] = {26: 13, 24: 11}.get(number, 255)
        green[mask], blue[mask] = divmod(instance if number else 0, 256)
    write_png8(folder / f"{frame:06d}.png", (red, green, blue))


FRAMES = {
    "bdd100k": _bdd100k,
    "kitti-step": step,
    "kitti360": lambda folder, frame, instance_map: write_png(folder / f"{frame:010d}.png", instance_map),
    "kitti-mots-png": _mots_png,
    "cityscapes": _cityscapes,
    "vsrd": _vsrd,
    "pointsam": _pointsam,
}


def write_run(maps, output: Path, *, sequence: str, camera: str = "image_00", status: str = "complete") -> Path:
    """OUTPUT of a run that made masks: rows, marks of groups, and what of the manifest counts."""
    rows, marks = [], []
    for frame, instance_map in maps.items():
        for number, (class_number, _, mask) in enumerate(instances(instance_map)):
            row = {"frame": frame, "camera": camera, "detection": number, "class_name": CLASS_NAMES[class_number]}
            rows.append(row | {"score": 0.5 + number / 100, "group_id": f"g{frame}"} | encoded(mask))
        marks.append(
            {"group_id": f"g{frame}", "sequence": sequence, "target_frame": frame, "frames": [frame], "status": "ok"}
        )
    marks.append({"group_id": "g99", "sequence": sequence, "target_frame": 99, "frames": [99], "status": "failed"})
    write_parquet(pa.Table.from_pylist(rows, schema=SCHEMA), output / "masks" / f"sequence={sequence}" / "a.parquet")
    write_parquet(pa.Table.from_pylist(marks, schema=GROUP_SCHEMA), output / "groups" / "a.parquet")
    (output / "manifest.json").write_text(json.dumps({"status": status}))
    return output


def write_png(path: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits."""
    assert cv2.imwrite(str(path), values.astype(np.uint16))
