"""Writes a copy of a dataset with degraded masks."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.identity import identity_of
from vsrd_ray.datasets.base import Dataset, MaskWriter, check_camera, dataset_named, dataset_of
from vsrd_ray.degradation.chance import Dice
from vsrd_ray.degradation.frames import Degrader, Ledger
from vsrd_ray.degradation.scan import scan
from vsrd_ray.degradation.settings import DegradeSettings
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, is_folder, listing, relative, take_over
from vsrd_ray.storage.staging import staging
from vsrd_ray.storage.targets import check_folder

RECORD = "degraded.json"
_EDITED = (".txt", ".json", ".xml", ".yaml", ".yml", ".csv")  # files that people change in place
_FIX = "choose another OUTPUT"


def degrade(
    root: Location,
    output: Location,
    settings: DegradeSettings,
    *,
    sequences: Sequence[str] = (),
    camera: str | None = None,
    dataset: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, int]]:
    """Write a copy of a dataset in which the masks of one camera are as a detector and a tracker would make them.

    Equal masks, names and settings write equal bytes. All else of the drives is taken over: text files are copied, and
    all others are hard links where the file system allows. Masks of other cameras are left out. The copy appears when
    it is whole; in an object store file by file.

    Args:
        root: the dataset.
        output: a folder that is empty or not there.
        settings: how bad.
        sequences: names; by default all that have masks.
        camera: by default the dataset's first.
        dataset: its name, where the layout does not tell.
        progress: called after every frame that was read or written with the number of these, and of all.

    Returns:
        Counts of what was done, for each sequence.

    Raises:
        InputError: an output that is not empty or lies within the dataset, or a dataset, sequence, camera or mask that
            cannot be used.
        OutputError: the output cannot be written.
    """
    spec = _writable(root, dataset)
    drives = _drives(spec, root, sequences, camera)
    _check_output(output, root)
    frames = [len(drive.mask_frames) for drive in drives]
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, 2 * sum(frames))  # each is read to find its masks, and again to degrade them

    ledgers: dict[str, Ledger] = {}
    with staging(output) as staged:
        for drive in drives:
            ledgers[drive.name] = _write_masks(drive, staged.folder, settings, step)
            _take_over_others(drive, staged.folder)
        staged.place()
        (staged.folder / RECORD).write_text(json.dumps(_record(drives, settings, ledgers), indent=2) + "\n")
        staged.place(RECORD)
    return {name: dict(ledger.counts) for name, ledger in ledgers.items()}


def _writable(root: Location, name: str | None) -> Any:
    """The dataset under a folder, whose masks can be written."""
    if not is_folder(root):
        raise InputError(f"no dataset folder {root}: give the dataset's folder as ROOT")
    spec = dataset_of(root) if name is None else dataset_named(name)
    if not isinstance(spec, MaskWriter):
        raise InputError(
            f"masks of {spec.title} cannot be written: degrade another dataset, "
            "or give this one `encode_mask` and `files_beside_masks` (docs/extending.md)"
        )
    return spec


def _drives(spec: Dataset, root: Location, names: Sequence[str], camera: str | None) -> list[Drive]:
    """The wanted drives with their masks, each once."""
    camera = spec.cameras[0] if camera is None else camera
    check_camera(camera, spec.cameras)
    if not names or "all" in names:
        names = [name for name in spec.drives(root) if spec.has_layer(root, name, MASKS, camera)]
    drives = [spec.open(root, name, (camera,)) for name in dict.fromkeys(names)]
    for drive in drives:
        if not drive.mask_frames:
            raise InputError(spec.missing(root, drive.name, MASKS, camera))
    if not drives:
        raise InputError(spec.missing(root, None, MASKS, camera))
    return drives


def _check_output(output: Location, root: Location) -> None:
    check_folder(output, fix="give another OUTPUT")
    if isinstance(output, Path) and isinstance(root, Path) and root.resolve() in output.resolve().parents:
        raise InputError(f"{output} lies within ROOT {root}: {_FIX}")
    if listing(output):
        raise InputError(f"{output} is not empty: nothing is overwritten; remove it, or {_FIX}")


def _write_masks(drive: Drive, staged: Path, settings: DegradeSettings, step: Callable[[], None]) -> Ledger:
    seen = scan(drive, step)
    dice = Dice(settings.seed, drive.name, drive.camera.name)
    degrader = Degrader(seen, settings, dice, drive.classes, drive.image_size)
    readable = set(seen.readable)
    for frame in drive.mask_frames:
        file = drive.file(MASKS, drive.camera.name, frame)
        target = staged / relative(file, drive.root)
        if frame in readable:
            instance_map = drive.read(MASKS, drive.camera.name, frame)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_spec(drive).encode_mask(degrader.degraded(instance_map, frame)))
        else:
            take_over(file, target, link=False)
        step()
    degrader.ledger.counts["frames"] = len(seen.readable)
    return degrader.ledger


def _take_over_others(drive: Drive, staged: Path) -> None:
    for file in _spec(drive).files_beside_masks(drive.root, drive.name):
        target = staged / relative(file, drive.root)
        if not target.exists():  # sequences share the calibration
            take_over(file, target, link=file.suffix not in _EDITED)


def _spec(drive: Drive) -> MaskWriter:
    spec: Any = dataset_named(drive.dataset)
    return spec


def _record(drives: list[Drive], settings: DegradeSettings, ledgers: dict[str, Ledger]) -> dict[str, Any]:
    """The content of degraded.json."""
    values = settings.model_dump()
    return {
        "dataset": drives[0].dataset,
        "camera": drives[0].camera.name,
        "seed": values.pop("seed"),
        "settings": values,
        "source": {drive.name: identity_of(drive, (MASKS,)) for drive in drives},
        "counts": {name: dict(ledger.counts) for name, ledger in ledgers.items()},
        "ids": {name: _true_ids(ledger) for name, ledger in ledgers.items()},
        "spans": {name: _spans(ledger) for name, ledger in ledgers.items()},
    }


def _true_ids(ledger: Ledger) -> dict[str, int | None]:
    """The true id of each new one, or None of a false object: of several, the one that it stands for most often."""
    masks: dict[int, dict[int | None, int]] = defaultdict(dict)
    for (new_id, track), span in sorted(ledger.spans.items(), key=_order):
        masks[new_id][track] = span.masks
    return {str(new_id): max(tracks, key=lambda track: tracks[track]) for new_id, tracks in masks.items()}


def _spans(ledger: Ledger) -> list[dict[str, Any]]:
    """Every pair of a new id and a true one, with the frames from and to which it occurs."""
    found = sorted(ledger.spans.items(), key=_order)
    return [{"id": new_id, "true_id": track, **asdict(span)} for (new_id, track), span in found]


def _order(item: tuple[tuple[int, int | None], Any]) -> tuple[int, int]:
    (new_id, track), _ = item
    return new_id, -1 if track is None else track
