import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import make_manifest, make_progress, make_request, make_settings

from vsrd_ray.errors import OutputError
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.runs.manifest import Manifest, check_same_settings, read_inputs, read_manifest
from vsrd_ray.runs.records import Counts, Failure

KEYS = {"status", "config", "config_hash", "versions", "seed", "inputs", "counts", "failures", "seconds"}


def plan(name: str, frames: int, fingerprint: str = "f"):
    return SimpleNamespace(
        drive=SimpleNamespace(name=name),
        num_frames=frames,
        skipped_frames={"no pose": 1},
        fingerprint=fingerprint,
        identity={"poses": fingerprint},
        warnings=("jumps",) if fingerprint == "odd" else (),
    )


def begun(output: Path, *plans) -> Manifest:
    """The manifest of a run that goes on with what is in a folder."""
    manifest = make_manifest(make_request(output))
    for one in plans:
        manifest.add(one)
    manifest.write()
    return manifest


def test_manifest_begins_as_running(tmp_path):
    begun(tmp_path, plan("a", 5))
    manifest = read_manifest(tmp_path)
    assert manifest.keys() >= KEYS
    assert manifest["status"] == "running"
    assert manifest["inputs"]["frames"] == {"a": 5}


def test_sequences_and_seconds_add_up_over_runs(tmp_path):
    for name, frames in (("b", 5), ("a", 7)):
        begun(tmp_path, plan(name, frames)).end(
            status="complete",
            counts=Counts(frames, 1, 2, 3, 3, 0, 9),
            failures=[Failure("g", name, 4, 1, "why")],
            wall_seconds=10.0,
            device_seconds=8.0,
            progress=make_progress(),
        )
    manifest = read_manifest(tmp_path)
    assert manifest["inputs"]["sequences"] == ["a", "b"]
    assert manifest["inputs"]["skipped_frames"] == {"a": {"no pose": 1}, "b": {"no pose": 1}}
    assert manifest["seconds"] == {"wall": 20.0, "device": 8.0}
    assert manifest["failures"] == [
        {"group_id": "g", "sequence": "a", "target_frame": 4, "attempts": 1, "error": "why"}
    ]
    assert manifest["counts"]["groups_ok"] == 3


def test_progress_is_noted_now_and_then(tmp_path, monkeypatch):
    manifest = begun(tmp_path, plan("a", 5))
    manifest.note(make_progress(groups_ok=1))
    assert read_manifest(tmp_path)["progress"]["groups_ok"] == 0
    monkeypatch.setattr("vsrd_ray.runs.manifest.SECONDS_PER_NOTE", 0.0)
    manifest.note(make_progress(groups_ok=2))
    noted = read_manifest(tmp_path)
    assert (noted["status"], noted["progress"]["groups_ok"]) == ("running", 2)


def test_what_is_odd_about_a_sequence_stands_until_it_is_planned_again(tmp_path):
    begun(tmp_path, plan("a", 5, fingerprint="odd"), plan("b", 5))
    assert read_manifest(tmp_path)["warnings"] == {"a": ["jumps"]}
    begun(tmp_path, plan("b", 5))
    assert read_manifest(tmp_path)["warnings"] == {"a": ["jumps"]}
    begun(tmp_path, plan("a", 5))
    assert read_manifest(tmp_path)["warnings"] == {}
    assert read_inputs(tmp_path).identities == {"a": {"poses": "f"}, "b": {"poses": "f"}}


def test_only_what_decides_labels_must_stay(tmp_path):
    begun(tmp_path, plan("a", 5))
    manifest = read_manifest(tmp_path)
    moved = make_request(tmp_path, sequences=("b",), limit=3, trace=True, root=Path("moved"))
    check_same_settings(manifest, make_settings(moved), output=tmp_path)
    for changes, difference in (
        ({"camera": "image_01"}, "camera: image_00 -> image_01"),
        ({"classes": ("car", "bus")}, r"classes: \['car'\] -> \['car', 'bus'\]"),
        ({"dataset": "other"}, "dataset: kitti360 -> other"),
        ({"config": VSRDConfig(seed=4)}, "seed: 0 -> 4"),
    ):
        message = rf"{tmp_path} holds a run with other settings \({difference}\): give another --output"
        with pytest.raises(OutputError, match=message):
            check_same_settings(manifest, make_settings(make_request(tmp_path, **changes)), output=tmp_path)


def test_manifest_of_the_first_version_is_of_its_only_dataset(tmp_path):
    begun(tmp_path, plan("a", 5))
    manifest = read_manifest(tmp_path)
    for key in ("dataset", "kinds"):
        del manifest["inputs"][key]
    check_same_settings(manifest, make_settings(make_request(tmp_path)), output=tmp_path)
    with pytest.raises(OutputError, match="dataset: kitti360 -> other"):
        check_same_settings(manifest, make_settings(make_request(tmp_path, dataset="other")), output=tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"status": "complete"}))
    inputs = read_inputs(tmp_path)
    assert (inputs.dataset, inputs.labeler, inputs.kinds) == ("kitti360", "vsrd", ("boxes",))
    assert (inputs.sequences, inputs.camera, inputs.classes) == (("a",), "image_00", ("car",))
    assert inputs.has_ended and inputs.num_groups is None


def test_folders_without_a_run_are_refused_unless_empty(tmp_path):
    assert read_manifest(tmp_path / "new") is None
    assert read_manifest(tmp_path) is None
    (tmp_path / ".manifest.12.tmp.json").touch()
    assert read_manifest(tmp_path) is None
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputError, match="not empty and holds no run"):
        read_manifest(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        read_manifest(tmp_path / "thesis.txt")


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"status": "complete"})])
def test_other_manifests_are_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OutputError, match="not the manifest of a run"):
        read_manifest(tmp_path)


def test_store_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    def broken(path):
        raise RuntimeError("Unable to locate\n credentials")

    monkeypatch.setattr(Path, "read_text", broken)
    with pytest.raises(OutputError, match=r"json cannot be read \(RuntimeError: Unable .* credentials\): check"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("inputs", [{}, {"camera": "image_00"}, []])
def test_manifest_without_its_inputs_is_none(tmp_path, inputs):
    begun(tmp_path, plan("a", 5))
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"inputs": inputs}))
    with pytest.raises(OutputError, match="not the manifest of a run"):
        read_manifest(tmp_path)
