"""How soon a run that was stopped goes on: 50 sequences of 1,000 groups each, of which all but the last are labelled.

    python -m benchmarks.resume [--sequences 50] [--groups 1000]

One sequence is labelled, by a labeler that does not even wait, and what came of it is copied for the others under their
own names. Then a run over all of them is begun, and stopped when it asks for its first group: what is told is the time
until then, Ray's start aside. At first the last sequence has to be indexed, and the second time only to be planned.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.long_drive import GROUPING, Waiting, sequence_name, write_drive
from vsrd_ray import engines
from vsrd_ray.data.index import load_index, write_index
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.drives import fingerprint
from vsrd_ray.engines import serial
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.pipeline.queue import GroupQueue
from vsrd_ray.pipeline.request import LabelRequest
from vsrd_ray.runs.manifest import read_manifest
from vsrd_ray.runs.results import GroupResult

_CAMERA = "image_00"


class _StoppedError(Exception):
    """The run has asked for its first group."""


class _Stopping(serial.SerialEngine):
    """Stops the run as soon as there is something to do."""

    def label(self, queue: GroupQueue) -> Iterator[GroupResult]:
        assert queue.next_batch(0.0)
        raise _StoppedError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resume", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=50)
    parser.add_argument("--groups", type=int, default=1000, help="of each sequence")
    options = parser.parse_args()
    config = VSRDConfig.model_validate({"grouping": GROUPING})
    names = tuple(sequence_name(number) for number in range(options.sequences))
    with tempfile.TemporaryDirectory() as folder:
        root, output = Path(folder, "root"), Path(folder, "output")
        write_drive(root, groups=options.groups, sequence=names[0])
        label = partial(engines.label, labeler_factory=partial(Waiting, seconds=0.0, folder=folder))
        label(LabelRequest(root, names[:1], output, config, serial=True))
        for name in names[1:]:
            _copy_inputs(root, names[0], name)
        for name in names[1:-1]:
            _copy_results(root, output, names[0], name)
        serial.SerialEngine = _Stopping
        for what in ("the last sequence is indexed", "the last sequence is planned"):
            started, cpu = time.perf_counter(), time.process_time()
            try:
                label(LabelRequest(root, names, output, config, serial=True))
            except _StoppedError:
                wall, cpu = time.perf_counter() - started, time.process_time() - cpu
                total = options.sequences * options.groups
                left = f"{total - options.groups} of {total} groups done"
                print(f"{left}, {what}: {wall:.1f} s, of which {cpu:.1f} s are CPU time")


def _copy_inputs(root: Path, source: str, target: str) -> None:
    poses = paths.poses_file(root, target)
    poses.parent.mkdir(parents=True)
    shutil.copy(paths.poses_file(root, source), poses)
    masks = paths.mask_folder(root, target, _CAMERA)
    masks.mkdir(parents=True)
    for path in paths.mask_folder(root, source, _CAMERA).iterdir():
        (masks / path.name).hardlink_to(path)


def _copy_results(root: Path, output: Path, source: str, target: str) -> None:
    """Give a sequence the results of another, as if a run had made them."""
    digests = {name: fingerprint(root, name, _CAMERA) for name in (source, target)}
    index = load_index(output / "index" / f"{source}.parquet", digests[source])
    assert index is not None
    write_index(index, output / "index" / f"{target}.parquet", digests[target])
    for path in [*output.glob(f"groups/{source}-*"), *output.glob(f"labels/sequence={source}/*")]:
        copy = Path(str(path).replace(source, target))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    shutil.copytree(output / "kitti" / source, output / "kitti" / target)
    note = json.loads((output / "index" / f".{source}.finished.json").read_text().replace(source, target))
    note["fingerprint"] = digests[target]
    (output / "index" / f".{target}.finished.json").write_text(json.dumps(note))
    manifest = read_manifest(output)
    assert manifest is not None
    for inputs in (manifest["inputs"]["frames"], manifest["inputs"]["skipped_frames"]):
        inputs[target] = inputs[source]
    manifest["inputs"]["fingerprints"][target] = digests[target]
    (output / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
