"""Exports say what they leave out and why, and do not hand over what the tool itself does not believe."""

import json
import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import make_drive, make_label, make_labels
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from vsrd_ray.data.index import SIDES
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD
from vsrd_ray.labels.boxes.formats.splits import with_splits
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import LabelledSequence, is_doubtful
from vsrd_ray.storage import read_table

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = Path("out/labels") / f"sequence={SEQUENCE}"
MOVING, UNSURE = 26001, 26002  # made so below
DOUBTFUL = "16 moving without a velocity, or of a confidence under 0.1 (--keep-doubtful has them)"


@pytest.fixture
def doubtful(here):
    """The run with two of five instances that their labeler does not believe: in each of eight frames."""
    (path,) = LABELS.glob("*.parquet")
    table = read_table(path)
    ids = np.array(table["instance_id"].to_pylist())
    confidences = np.select([ids == MOVING, ids == UNSURE], [0.1, 0.04], table["confidence"].to_numpy())
    velocities = np.where(ids == MOVING, None, 0.0).tolist()
    changed = {"confidence": confidences, "is_moving": ids == MOVING, **dict.fromkeys(VELOCITY_WORLD, velocities)}
    for name, values in changed.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values, LABEL_SCHEMA.field(name).type))
    pq.write_table(table, path)


@pytest.fixture
def export(command):
    def run(format: str, *options: object):
        return command("export", "out", "--root", "root", "--format", format, "--output", format, *options)

    return run


def lines_of(paths: Iterable[Path]) -> list[str]:
    return [line for path in paths for line in path.read_text().splitlines()]


# How many boxes an export hands over as objects, by its own files.
OBJECTS = {
    "kitti": lambda folder: sum(
        not line.startswith("DontCare") for line in lines_of(folder.glob("training/label_2/*"))
    ),
    "kitti-tracking": lambda folder: sum(
        line.split()[1] != "-1" for line in lines_of(folder.glob("training/label_02/*"))
    ),
    "mmdet3d": lambda folder: sum(
        instance["bbox_label_3d"] >= 0
        for info in pickle.loads((folder / "kitti_infos_train.pkl").read_bytes())["data_list"]
        for instance in info["instances"]
    ),
    "openpcdet": lambda folder: len(lines_of(folder.glob("labels/*"))),
    "nuscenes": lambda folder: sum(map(len, json.loads((folder / "results.json").read_text())["results"].values())),
    "coco": lambda folder: sum(
        not entry["iscrowd"] for entry in json.loads((folder / "instances_train.json").read_text())["annotations"]
    ),
    "csv": lambda folder: len(lines_of([folder / "labels.csv"])) - 1,
    "kitti360": lambda folder: 8 * sum(len(np.load(path)) for path in folder.glob("*.npy")),  # each is there once
    "cvat": lambda folder: json.loads((folder / "export.json").read_text())["boxes"],
}


def objects_of(name: str) -> int:
    return OBJECTS[name](Path(name))


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_what_the_labeler_does_not_believe_is_left_out_and_counted(doubtful, export, name):
    result = export(name)
    assert result.exit_code == 0, result.output
    note = json.loads(Path(name, "export.json").read_text())
    if name == "cvat":  # there to be corrected
        assert note["boxes"] == 40 and not note["left_out"]
        return
    assert objects_of(name) == note["boxes"] == 24
    assert f"24 boxes in 8 frames, without {DOUBTFUL}, written to" in result.stdout
    assert sum(note["left_out"].values()) == 16
    assert export(name, "--keep-doubtful").exit_code == 0
    kept = json.loads(Path(name, "export.json").read_text())
    assert objects_of(name) == kept["boxes"] == (32 if name == "kitti360" else 40)
    assert sum(kept["left_out"].values()) == 40 - kept["boxes"]  # windows hold nothing that moves


def test_every_reason_is_counted_once(doubtful, export):
    options = ("--min-confidence", ".05", "--max-range", "20", "--exclude-moving")
    result = export("csv", *options)
    left_out = json.loads(Path("csv/export.json").read_text())["left_out"]
    rows = read_labels(Path("out")).to_pylist()
    far = [np.linalg.norm([row["x_cam"], row["y_cam"] - row["height"] / 2, row["z_cam"]]) > 20 for row in rows]
    near = [row["instance_id"] for row, is_far in zip(rows, far, strict=True) if not is_far]
    expected = {
        "beyond --max-range": sum(far),
        "marked as moving": near.count(MOVING),
        "under --min-confidence": near.count(UNSURE),
    }
    assert left_out == {reason: count for reason, count in expected.items() if count}
    assert all(f"{count} {reason}" in result.stdout for reason, count in left_out.items())
    assert export("csv", "--classes", "bus").exit_code == 0
    assert json.loads(Path("csv/export.json").read_text())["left_out"] == {"of other classes": 40}


def masks() -> dict[tuple[int, int], list[int]]:
    """Mask boxes by frame and instance."""
    rows = read_table(Path(f"out/index/{SEQUENCE}.parquet")).to_pylist()
    return {(row["frame"], row["instance_id"]): [row[f"box_{side}"] for side in SIDES] for row in rows}


@pytest.mark.parametrize("options", [(), ("--keep-doubtful", "--exclude-moving", "--min-confidence", ".05")])
def test_what_is_not_believed_is_no_background_either(doubtful, export, options):
    for name in ("kitti", "mmdet3d", "coco"):
        assert export(name, *options).exit_code == 0
    expected = {frame: sorted(masks()[frame, instance_id] for instance_id in (MOVING, UNSURE)) for frame in range(8)}
    coco = COCO("coco/instances_train.json")
    infos = pickle.loads(Path("mmdet3d/kitti_infos_train.pkl").read_bytes())["data_list"]
    for frame, boxes in expected.items():
        lines = [line.split() for line in Path(f"kitti/training/label_2/{frame:06d}.txt").read_text().splitlines()]
        ignored = [line for line in lines if line[0] == "DontCare"]
        assert sorted([float(word) for word in line[4:8]] for line in ignored) == boxes
        rest = "-1 -1 -10 -1 -1 -1 -1000 -1000 -1000 -10"
        assert all(" ".join(line[1:4] + line[8:]) == rest for line in ignored)
        instances = [instance for instance in infos[frame]["instances"] if instance["bbox_label"] < 0]
        assert sorted(instance["bbox"] for instance in instances) == boxes
        assert len({tuple(sorted(instance)) for instance in infos[frame]["instances"]}) == 1
        crowds = coco.loadAnns(coco.getAnnIds(imgIds=frame, iscrowd=True))
        assert sorted([x, y, x + w - 1, y + h - 1] for x, y, w, h in (one["bbox"] for one in crowds)) == boxes
        assert {one["attributes"]["instance_id"] for one in crowds} == {MOVING, UNSURE}
        assert all(
            coco.annToMask(one).sum() == one["area"] > 0 and "x_world" not in one["attributes"] for one in crowds
        )
    (ids,) = {line.split(",")[5] for line in Path("kitti/index.csv").read_text().splitlines()[1:]}
    assert ids == "26003 26004 26005" or len(ids.split()) == 3


def test_what_a_filter_of_the_users_leaves_out_is_background(doubtful, export):
    assert export("kitti", "--max-range", "0.5").exit_code == 0
    assert not "".join(path.read_text() for path in Path("kitti/training/label_2").iterdir())


def test_corrections_of_a_default_export_leave_what_it_left_out_as_it_is(doubtful, export, command):
    assert export("kitti").exit_code == 0
    before = {row["instance_id"]: row for row in read_labels(Path("out")).to_pylist() if row["frame"] == 3}
    path = Path("kitti/training/label_2/000003.txt")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    result = command("import", "out", "kitti", "--root", "root", "--format", "kitti")
    assert "1 taken away" in result.stdout
    after = {row["instance_id"]: row for row in read_labels(Path("out")).to_pylist() if row["frame"] == 3}
    for instance_id in (MOVING, UNSURE):
        assert after[instance_id] == before[instance_id] | {"source": "human"}
    assert len(after) == 4
    assert export("kitti").exit_code == 0 and path.read_text().count("DontCare") == 2
    result = command("import", "out", "kitti", "--root", "root", "--format", "kitti", "--confirm-unchanged")
    assert "8 frames imported" in result.stdout
    confidences = {row["instance_id"]: row["confidence"] for row in read_labels(Path("out")).to_pylist()}
    assert confidences[MOVING] == 0.1 and confidences[UNSURE] == 0.04 and set(confidences.values()) == {0.1, 0.04, 1.0}


@given(
    confidence=st.floats(0, 1),
    is_moving=st.sampled_from([True, False, None]),
    velocity=st.sampled_from([(None, None), (0.0, 3.0), (0.0, None)]),
)
def test_a_human_is_believed_and_a_labeler_that_doubts_is_not(confidence, is_moving, velocity):
    velocities = dict(zip(VELOCITY_WORLD, velocity, strict=True))
    (is_out,) = is_doubtful(make_labels(make_label(confidence=confidence, is_moving=is_moving, **velocities)))
    assert is_out == (confidence < 0.1 or (bool(is_moving) and None in velocity and confidence < 1))


# ---- splits ----


def sets(folder: Path) -> dict[str, list[int]]:
    return {
        name: [int(number) for number in (folder / "ImageSets" / f"{name}.txt").read_text().split()]
        for name in ("train", "val", "trainval", "test")
    }


@pytest.mark.parametrize("name", ["kitti", "mmdet3d", "openpcdet", "coco"])
def test_an_empty_val_is_warned_of(here, export, name):
    assert "val is empty" in export(name).stderr
    assert "is empty" not in export(name, "--split", "random:3").stderr


def test_a_random_split_is_one_stretch_that_the_seed_decides(here, export):
    found = []
    for seed in (0, 0, 1, 2, 3, 4):
        assert export("kitti", "--split", f"random:{seed}").exit_code == 0
        parts = sets(Path("kitti"))
        assert len(parts["val"]) == 2 and parts["val"][1] == parts["val"][0] + 1
        assert sorted(parts["train"] + parts["val"]) == parts["trainval"] == list(range(8)) and not parts["test"]
        found.append(tuple(parts["val"]))
    assert found[0] == found[1] and len(set(found)) > 1


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_file_names_the_part_of_each_sequence(here, export, part):
    Path("split.txt").write_text(f"\ufeff# mine\n\nmy drive, val\n{SEQUENCE};{part}  # all of it\n")
    result = export("kitti", "--split", "split.txt")
    assert result.exit_code == 0, result.output
    assert sets(Path("kitti"))[part] == list(range(8))
    assert ("val is empty" in result.stderr) == (part != "val")
    assert Path("kitti/testing").is_dir() == (part == "test")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SEQUENCE} training\n", "line 1: expected SEQUENCE and train, val or test"),
        (f"{SEQUENCE}\n", "line 1"),
        (f"{SEQUENCE} train\n{SEQUENCE} val\n", "line 2: 2013_05_28_drive_0000_sync is in train already"),
        ("2013_05_28_drive_0003_sync val\n", f"no line for {SEQUENCE}"),
        ("", f"no line for {SEQUENCE}"),
        (b"\xff\xfe\x00", "no text"),
    ],
)
def test_a_file_that_is_no_split_is_named_and_nothing_is_written(export, refused, text, said):
    Path("split.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(export("kitti", "--split", "split.txt"), "split.txt", said)
    assert not Path("kitti").exists()


@pytest.mark.parametrize("split", ["random:", "random:-1", "random:x", "random:1.5", "missing.txt", "", "root", "VSRD"])
def test_a_split_that_is_none_is_refused(export, refused, split):
    refused(export("kitti", "--split", split), "--split")


@pytest.mark.parametrize("name", ["csv", "kitti-tracking", "nuscenes", "kitti360", "cvat"])
def test_a_split_is_refused_where_a_format_has_none(export, refused, name):
    refused(export(name, "--split", "random:0"), f"the format {name} has no train, val and test")


@given(count=st.integers(0, 40), seed=st.integers(0, 10**6))
def test_a_random_split_has_a_fifth_in_val(count, seed):
    frames = tuple(range(0, 3 * count, 3))
    labelled = LabelledSequence(make_drive("s"), frames, make_labels())
    (one,) = with_splits([labelled], f"random:{seed}")
    val = [n for n, part in enumerate(one.splits) if part == "val"]
    assert len(one.splits) == count and set(one.splits) <= {"train", "val"}
    assert len(val) == (-(-count // 5) if count > 1 else 0) and val == list(
        range(val[0], val[0] + len(val)) if val else []
    )


# ---- nuScenes ----

DRIVING, NO_VELOCITY = dict.fromkeys(VELOCITY_WORLD, 3.0), dict.fromkeys(VELOCITY_WORLD)


@pytest.mark.parametrize(
    ("class_name", "values", "attribute"),
    [
        ("car", {}, "vehicle.parked"),
        ("car", {"is_moving": None}, ""),
        ("car", {"num_views": 1}, ""),
        ("car", {"num_views": 1, "is_moving": True} | DRIVING, "vehicle.moving"),
        ("car", {"is_moving": True} | NO_VELOCITY, ""),  # no standing box explains it, and nothing else does
        ("car", {"num_views": None, "source": "human"}, "vehicle.parked"),  # as the labeler judged the instance
        ("bicycle", {}, ""),  # who looks for a rider?
        ("bicycle", {"is_moving": True} | DRIVING, ""),
        ("person", {}, ""),
        ("person", {"is_moving": True} | DRIVING, "pedestrian.moving"),
    ],
)
def test_attributes_claim_only_what_was_judged(class_name, values, attribute):
    from vsrd_ray.labels.boxes.formats.nuscenes import _box

    row = make_label(class_name=class_name, **{"is_moving": False, "num_views": 9} | values)
    assert _box(row, "token", [0.0, 0.0])["attribute_name"] == attribute


def test_a_box_that_a_human_has_drawn_is_not_said_to_be_parked(here, export, command):
    assert export("kitti").exit_code == 0
    path = Path("kitti/training/label_2/000003.txt")
    path.write_text(path.read_text() + "Car 0 0 0 0 0 1 1 1.5 1.8 4.2 30 1.5 40 0.3\n")
    assert "1 added" in command("import", "out", "kitti", "--root", "root", "--format", "kitti").stdout
    assert export("nuscenes").exit_code == 0
    boxes = json.loads(Path("nuscenes/results.json").read_text())["results"][f"{SEQUENCE}-image_00-0000000003"]
    assert [box["attribute_name"] for box in boxes].count("") == 1


def test_classes_that_nuscenes_lacks_are_counted(here, export):
    (path,) = LABELS.glob("*.parquet")
    table = read_table(path)
    names = ["pole" if n % 5 == 0 else "car" for n in range(40)]
    pq.write_table(table.set_column(table.column_names.index("class_name"), "class_name", pa.array(names)), path)
    result = export("nuscenes")
    assert "32 boxes in 8 frames, without 8 of the class pole, which nuScenes does not have, written" in result.stdout
    assert objects_of("nuscenes") == json.loads(Path("nuscenes/export.json").read_text())["boxes"] == 32
