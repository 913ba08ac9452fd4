"""How long nuScenes' tables take to open, and how much memory: python -m benchmarks.nuscenes_tables [--scale 0.1].

Writes made-up tables as large as trainval's, times the scale, to a temporary folder; opens a scene in a fresh process,
which reads them all, and in another, which finds what the first one kept; then plans every scene, with its index, as
`label --config pointsam --sequence all` does: LiDAR sweeps, images of keyframes and their masks are empty files.
At scale 1 they are 2.7 million rows of sample_data and of ego_pose, and take about 2.4 GB of disk.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

VERSION = "v1.0-trainval"
SCENES, SAMPLES = 850, 40  # of a scene
# Readings between two keyframes, 0.5 s apart, as nuScenes' sensors have them.
CHANNELS = {
    **{
        f"CAM_{side}": ("camera", 6)
        for side in ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
    },
    "LIDAR_TOP": ("lidar", 10),
    **{f"RADAR_{side}": ("radar", 7) for side in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT")},
}
NOW = 1_532_402_927_000_000  # microseconds
BOXES = 34  # annotations of a sample


def main() -> None:
    """Write tables, open them twice, and print seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.1, help="part of trainval's 850 scenes (default: 0.1)")
    parser.add_argument("--opens", type=Path, help=argparse.SUPPRESS)  # what the fresh processes do
    arguments = parser.parse_args()
    if arguments.opens is not None:
        print(json.dumps(_open(arguments.opens)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        rows = write_tables(root, max(1, round(SCENES * arguments.scale)))
        touch_files(root, max(1, round(SCENES * arguments.scale)))
        size = sum(path.stat().st_size for path in root.rglob("*.json"))
        print(f"scale {arguments.scale:g}: {rows} rows of sample_data, {size / 1e6:.0f} MB of tables")
        environment = {**os.environ, "XDG_CACHE_HOME": str(Path(folder, "cache"))}
        for title in ("first", "second"):
            command = [sys.executable, "-m", "benchmarks.nuscenes_tables", "--opens", str(root)]
            found = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
            print(
                f"{title} opening, peak {found.pop('peak MB'):.0f} MB, s (of which CPU): "
                + ", ".join(f"{name} {wall:.2f} ({cpu:.2f})" for name, (wall, cpu) in found.items())
            )
        kept = sum(path.stat().st_size for path in Path(folder, "cache").rglob("*.arrow"))
        print(f"kept between runs: {kept / 1e6:.0f} MB")


def _open(root: Path) -> dict[str, object]:
    # ruff: noqa: PLC0415 - in the fresh process alone
    from vsrd_ray.data.index import all_frames, index_frames
    from vsrd_ray.datasets.nuscenes.spec import SPEC
    from vsrd_ray.labelers.base import Wanted, spec_of
    from vsrd_ray.labelers.configs import load_config
    from vsrd_ray.pipeline.plan import plan_drive

    def planned() -> None:
        config = load_config("pointsam")
        layers = spec_of(config).needs(config).layers
        for name in SPEC.drives(root):
            assert all(SPEC.has_layer(root, name, layer, SPEC.cameras[0]) for layer in layers)
            digest = SPEC.fingerprint(root, name, SPEC.cameras)
            drive = SPEC.open(root, name, SPEC.cameras)
            index = index_frames(drive, all_frames(drive, layers), layers=layers)
            plan = plan_drive(drive, index, fingerprint=digest, config=config, wanted=Wanted(()))
            assert len(plan.groups) == SAMPLES

    steps = {
        "a scene": lambda: SPEC.open(root, "scene-0001", SPEC.cameras),
        "its boxes": lambda: SPEC.truth(root, "scene-0001", "boxes"),
        "all scenes": planned,
    }
    found: dict[str, object] = {}
    for title, step in steps.items():
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        found[title] = time.perf_counter() - wall, time.process_time() - cpu
    return found | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def write_tables(root: Path, num_scenes: int) -> int:
    """Write all tables of some scenes, and say how many rows of sample_data there are."""
    folder = root / VERSION
    folder.mkdir(parents=True)
    scenes = range(num_scenes)
    _write(folder, "scene", ({"token": _token(1, s), "name": f"scene-{s + 1:04d}"} for s in scenes))
    _write(
        folder,
        "sample",
        (
            {"token": _token(2, s, k), "timestamp": NOW + s * 100_000_000 + k * 500_000, "scene_token": _token(1, s)}
            for s in scenes
            for k in range(SAMPLES)
        ),
    )
    sensors = [{"token": _token(3, c), "channel": n, "modality": m} for c, (n, (m, _)) in enumerate(CHANNELS.items())]
    _write(folder, "sensor", sensors)
    _write(folder, "calibrated_sensor", (row for s in scenes for row in _calibrated(s)))
    num_rows = _write(folder, "sample_data", (row for s in scenes for row in _readings(s)))
    _write(folder, "ego_pose", (_pose(row) for s in scenes for row in _readings(s)))
    _write(folder, "category", [{"token": _token(4), "name": "vehicle.car", "description": "", "index": 17}])
    instances = ({"token": _token(5, s, i), "category_token": _token(4)} for s in scenes for i in range(BOXES))
    _write(folder, "instance", instances)
    _write(folder, "sample_annotation", (row for s in scenes for row in _annotations(s)))
    return num_rows


def touch_files(root: Path, num_scenes: int) -> None:
    """Make empty files of LiDAR sweeps, of keyframes' images, and of their masks."""
    for channel in CHANNELS:
        for folder in ("samples", "sweeps", "masks"):
            (root / folder / channel).mkdir(parents=True)
    for reading in (row for scene in range(num_scenes) for row in _readings(scene)):
        channel = reading["filename"].split("/")[1]
        if channel == "LIDAR_TOP" or (channel.startswith("CAM") and reading["is_key_frame"]):
            path = root / reading["filename"]
            path.touch()
            for kind in ("semantic", "instance") if channel.startswith("CAM") else ():
                (root / "masks" / channel / f"{kind}_{path.stem}.npz").touch()


def _token(*numbers: int) -> str:
    """A token of 32 hexadecimal digits that looks like chance, as nuScenes' do."""
    value = 1
    for number in numbers:
        value = (value * 0x9E3779B97F4A7C15F39CC0605CEDC835 + number + 1) % (1 << 128)
    return f"{value:032x}"


def _calibrated(scene: int) -> Iterator[dict]:
    intrinsic = [[1266.4, 0.0, 816.3], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]]
    for c, (modality, _) in enumerate(CHANNELS.values()):
        yield {
            "token": _token(6, scene, c),
            "sensor_token": _token(3, c),
            "translation": [1.7, 0.016, 1.51],
            "rotation": [0.5, -0.5, 0.5, -0.5] if modality == "camera" else [1.0, 0.0, 0.0, 0.0],
            "camera_intrinsic": intrinsic if modality == "camera" else [],
        }


def _readings(scene: int) -> Iterator[dict]:
    """Rows of sample_data, channel by channel."""
    start = NOW + scene * 100_000_000
    for c, (channel, (modality, rate)) in enumerate(CHANNELS.items()):
        for n in range((SAMPLES - 1) * rate + 1):
            timestamp, is_key = start + n * 500_000 // rate, n % rate == 0
            suffix = {"camera": "jpg", "lidar": "pcd.bin", "radar": "pcd"}[modality]
            folder = "samples" if is_key else "sweeps"
            token = _token(7, scene, c, n)
            yield {
                "token": token,
                "sample_token": _token(2, scene, -(-n // rate)),
                "ego_pose_token": token,
                "calibrated_sensor_token": _token(6, scene, c),
                "timestamp": timestamp,
                "fileformat": suffix.removesuffix(".bin"),
                "is_key_frame": is_key,
                "height": 900 if modality == "camera" else 0,
                "width": 1600 if modality == "camera" else 0,
                "filename": f"{folder}/{channel}/n015-2018-07-24-11-22-45+0800__{channel}__{timestamp}.{suffix}",
                "prev": token,
                "next": token,
            }


def _pose(reading: dict) -> dict:
    metres = (reading["timestamp"] - NOW) / 1e6 * 7.123456789
    return {
        "token": reading["ego_pose_token"],
        "timestamp": reading["timestamp"],
        "rotation": [0.5720320396729045, -0.0016977771610471, 0.0117980019301837, -0.8201446642457809],
        "translation": [411.3039349319818 + metres, 1180.8903791765097 - metres, 0.0],
    }


def _annotations(scene: int) -> Iterator[dict]:
    for k in range(SAMPLES):
        for i in range(BOXES):
            yield {
                "token": _token(8, scene, k, i),
                "sample_token": _token(2, scene, k),
                "instance_token": _token(5, scene, i),
                "visibility_token": "4",
                "attribute_tokens": [_token(9)],
                "translation": [373.256 + k, 1130.419 + i, 0.8],
                "size": [1.9, 4.5, 1.6],
                "rotation": [0.9831098797903924, 0.0, 0.0, 0.1830162950628168],
                "prev": "",
                "next": "",
                "num_lidar_pts": 5,
                "num_radar_pts": 0,
            }


def _write(folder: Path, name: str, rows: Iterator[dict] | list[dict]) -> int:
    """A table as nuScenes writes it: a value a line."""
    count = 0
    with (folder / f"{name}.json").open("w") as file:
        for row in rows:
            file.write(("[\n" if count == 0 else ",\n") + json.dumps(row, indent=0))
            count += 1
        file.write("\n]")
    return count


if __name__ == "__main__":
    main()
