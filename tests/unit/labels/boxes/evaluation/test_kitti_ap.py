import json
import math

import numpy as np
import pyarrow as pa
import pytest
import slow_average_precision as slow
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.labels.boxes.convert import labels_to_kitti
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.evaluation.kitti import DIFFICULTIES, IOUS, KINDS, UNKNOWN_NAME, kitti_ap, kitti_verdicts
from vsrd_ray.labels.boxes.evaluation.run import values_of
from vsrd_ray.labels.boxes.kitti import label_path, read_frame
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
COLUMNS = (
    *("length", "width", "height", "x_cam", "y_cam", "z_cam", "rotation_y"),
    *("bbox_left", "bbox_top", "bbox_right", "bbox_bottom", "truncation"),
)
SCHEMA = pa.schema(
    [
        ("frame", pa.int32()),
        ("class_name", pa.string()),
        ("occlusion", pa.int8()),
        ("mask_area", pa.int32()),
        ("is_moving", pa.bool_()),
    ]
    + [(name, pa.float64()) for name in (*COLUMNS, "confidence")]
)
PERFECT, HALF = 1.0, 0.5


def car(*, x=0.0, z=10.0, frame=0, confidence=0.5, pixels=50.0, **others):
    """A car whose 2D box is so many pixels tall, at a place of its own in the image for each x."""
    row = {"frame": frame, "class_name": "car", "length": 4.0, "width": 2.0, "height": 1.5, "rotation_y": 0.0}
    row |= {
        "x_cam": x,
        "y_cam": 1.6,
        "z_cam": z,
        "truncation": 0.0,
        "occlusion": 0,
        "confidence": confidence,
        "mask_area": 500,
    }
    row["is_moving"] = False
    row |= {"bbox_left": 100 * x, "bbox_right": 100 * x + 80, "bbox_top": 100.0, "bbox_bottom": 100.0 + pixels}
    return row | others


def region(*, x=0.0, frame=0, class_name="car", pixels=80):
    row = {"frame": frame, "class_name": class_name, "box_left": int(100 * x), "box_top": 100}
    return row | {"box_right": int(100 * x) + pixels, "box_bottom": 100 + pixels}


def tables(labels, objects, regions=()):
    columns = pa.schema([field for field in INDEX_SCHEMA if field.name.startswith(("frame", "class", "box"))])
    return (
        pa.Table.from_pylist(list(labels), schema=SCHEMA),
        pa.Table.from_pylist(list(objects), schema=SCHEMA),
        pa.Table.from_pylist(list(regions), schema=columns),
    )


def judge(labels, objects, regions=(), class_name="car"):
    return kitti_ap(kitti_verdicts(*tables(labels, objects, regions), class_name=class_name))


def moderate(labels, objects, regions=(), iou="0.5"):
    """AP in 3D and bird's-eye view, and objects."""
    ap = judge(labels, objects, regions)
    return ap.ap_3d[iou]["moderate"], ap.ap_bev[iou]["moderate"], ap.num_objects["moderate"]


def test_a_perfect_and_an_empty_run():
    assert moderate([car()], [car()]) == (PERFECT, PERFECT, 1)
    assert moderate([], [car()]) == (0.0, 0.0, 1)
    assert np.isnan(moderate([car()], [])[:2]).all()


def test_a_duplicate_and_a_stray_are_false():
    objects = [car(), car(x=20)]
    # true (.9), false (.8), true (.7): precision 1 up to recall .5, then 2/3
    duplicate = [car(confidence=0.9), car(confidence=0.8), car(x=20, confidence=0.7)]
    stray = [car(confidence=0.9), car(x=40, confidence=0.8), car(x=20, confidence=0.7)]
    elsewhere = [car(confidence=0.9), car(confidence=0.8, frame=1), car(x=20, confidence=0.7)]
    for labels in (duplicate, stray, elsewhere):
        assert moderate(labels, objects)[0] == pytest.approx((1 + 2 / 3) / 2)
    # with the least confidence, strays cost nothing
    assert moderate([car(), car(x=20), car(x=40, confidence=0.1)], objects)[0] == PERFECT


def test_thresholds_and_kinds_are_apart():
    ahead = [car(x=1.0)]  # a quarter of the length ahead: IoU 3 / 5
    raised = [car(y_cam=0.85)]  # half the height above: 1 / 3 in 3D, 1 from above
    for iou, expected in (("0.3", PERFECT), ("0.5", PERFECT), ("0.7", 0.0)):
        assert moderate(ahead, [car()], iou=iou)[:2] == (expected, expected)
    for iou, expected in (("0.3", PERFECT), ("0.5", 0.0), ("0.7", 0.0)):
        assert moderate(raised, [car()], iou=iou)[:2] == (expected, PERFECT)


def test_the_place_is_the_middle_of_the_underside():
    """Twice as high as the object and on the ground, where the object fills its upper half."""
    tall, upper = car(height=3.0), car(y_cam=0.1)
    assert moderate([tall], [upper], iou="0.3")[:2] == (PERFECT, PERFECT)
    assert moderate([tall], [upper], iou="0.5")[:2] == (0.0, PERFECT)
    assert moderate([tall], [car(y_cam=2.35)], iou="0.3")[:2] == (
        0.0,
        PERFECT,
    )  # half of it below the ground: .75 / 3.75


def test_rotation_is_that_of_kittis_text():
    """A car twice as long as wide, turned by 30 degrees: its front goes to -z."""
    turned = car(rotation_y=math.pi / 6, length=8.0)
    front = car(rotation_y=math.pi / 6, length=8.0, x=2 * math.cos(math.pi / 6), z=10 - 2 * math.sin(math.pi / 6))
    ap = judge([front], [turned])
    assert ap.ap_bev["0.5"]["hard"] == PERFECT and ap.ap_bev["0.7"]["hard"] == 0.0  # 6 / 10
    other_way = car(rotation_y=math.pi / 6, length=8.0, x=2 * math.cos(math.pi / 6), z=10 + 2 * math.sin(math.pi / 6))
    assert judge([other_way], [turned]).ap_bev["0.5"]["hard"] == 0.0


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, (True, True, True)),
        ({"bbox_bottom": 140.0}, (False, True, True)),  # 40 px: more than that is easy
        ({"bbox_bottom": 125.0}, (False, False, False)),
        ({"occlusion": 1}, (False, True, True)),
        ({"occlusion": 2}, (False, False, True)),
        ({"occlusion": 3}, (False, False, False)),
        ({"mask_area": 128}, (True, True, True)),
        ({"mask_area": 127}, (False, False, False)),
        ({"truncation": 0.15}, (True, True, True)),
        ({"truncation": 0.2}, (False, True, True)),
        ({"truncation": 0.4}, (False, False, True)),
        ({"truncation": 0.6}, (False, False, False)),
    ],
)
def test_difficulties_say_what_ought_to_be_found(changes, counts):
    """Beside a car that ought to be found: missing the other costs, finding it never does."""
    objects = [car(), car(x=20) | changes]
    missing, found = (judge(labels, objects) for labels in ([car()], [car(confidence=0.4), car(x=20, confidence=0.9)]))
    assert tuple(found.num_objects.values()) == tuple(1 + one for one in counts)
    assert tuple(missing.ap_3d["0.7"].values()) == tuple(HALF if one else PERFECT for one in counts)
    assert tuple(found.ap_3d["0.7"].values()) == (PERFECT,) * 3


def test_labels_too_small_in_the_image_are_left_out():
    stray = car(x=40, confidence=0.9, pixels=30)
    ap = judge([car(), stray], [car()])
    assert ap.ap_3d["0.5"] == {"easy": PERFECT, "moderate": HALF, "hard": HALF}
    stray["bbox_bottom"] = stray["bbox_top"] + 40  # tall enough, though an object has to be taller
    assert judge([car(), stray], [car()]).ap_3d["0.5"]["easy"] == HALF


def test_what_a_label_too_small_alone_finds_is_missed():
    """KITTI's program counts the objects before it looks at a label: such a label is neither right nor wrong."""
    small = car(x=20, pixels=39.9)
    ap = judge([car(), small], [car(), car(x=20, pixels=40.1)])
    assert ap.ap_3d["0.5"] == {"easy": HALF, "moderate": PERFECT, "hard": PERFECT}
    assert ap.num_objects == {"easy": 2, "moderate": 2, "hard": 2}
    assert judge([small], [car(x=20)]).ap_3d["0.5"]["easy"] == 0.0
    # a second label, tall enough, finds it, whatever the confidences
    ap = judge([car(confidence=0.2), car(pixels=39.9, confidence=0.9)], [car()])
    assert ap.ap_3d["0.5"]["easy"] == PERFECT and ap.num_objects["easy"] == 1


def test_similar_classes_need_not_be_found():
    caravan, truck = car(x=20, class_name="caravan"), car(x=20, class_name="truck")
    labels = [car(confidence=0.5), car(x=20, confidence=0.9)]
    assert moderate(labels, [car(), caravan]) == (PERFECT, PERFECT, 1)
    assert moderate(labels, [car(), truck]) == (HALF, HALF, 1)
    assert moderate(labels[:1], [car(), caravan, truck]) == (PERFECT, PERFECT, 1)
    # labels of another class have no part in it
    assert moderate([car(), car(x=20, class_name="truck", confidence=0.9)], [car()]) == (PERFECT, PERFECT, 1)
    assert judge([car(x=20, class_name="truck")], [car(), truck], class_name="truck").ap_3d["0.7"]["hard"] == PERFECT


def test_a_label_in_a_region_without_a_box_does_not_count():
    labels = [car(confidence=0.5), car(x=20, confidence=0.9)]
    for regions, expected in (
        ([region(x=20)], PERFECT),
        ([region(x=20, class_name="caravan")], PERFECT),
        ([region(x=20, class_name="truck")], HALF),
        ([region(x=20, class_name=UNKNOWN_NAME)], PERFECT),
        ([region(x=20, frame=1)], HALF),
        ([region(x=20.3)], PERFECT),  # 50 of its 80 columns lie inside
        ([region(x=20.5)], HALF),  # 30 of 80
    ):
        assert moderate(labels, [car()], regions)[0] == expected
    # what finds an object is true, wherever it lies
    assert moderate([car()], [car()], [region()])[0] == PERFECT


def test_parked_objects_alone():
    objects = [car(), car(x=20, is_moving=True), car(x=40, is_moving=True)]
    lost = car(x=60, confidence=0.9, is_moving=True)
    labels = tables([car(), car(x=20, confidence=0.8), lost], objects)
    every, parked = (kitti_ap(kitti_verdicts(*labels, class_name="car", parked_only=only)) for only in (False, True))
    # a false one first, then two of three: precision 2 / 3 up to recall 2 / 3, of 26 of the 40 levels
    assert every.ap_3d["0.5"]["easy"] == pytest.approx(2 / 3 * 26 / 40) and every.num_objects["easy"] == 3
    assert parked.ap_3d["0.5"]["easy"] == PERFECT and parked.num_objects["easy"] == 1


def random_scene(seed):
    """Labels that follow objects more or less, in a few crowded frames."""
    rng = np.random.default_rng(seed)
    objects, labels = [], []
    for frame in range(int(rng.integers(1, 4))):
        for _ in range(int(rng.integers(0, 6))):
            place = {"x": rng.uniform(-6, 6), "z": rng.uniform(8, 20), "rotation_y": rng.uniform(-3, 3)}
            shown = {"occlusion": int(rng.integers(0, 4)), "truncation": float(rng.choice([0, 0.2, 0.4, 0.6]))}
            shown["mask_area"] = int(rng.choice([100, 300, 500]))
            name = str(rng.choice(["car", "car", "car", "caravan", "truck"]))
            objects.append(car(frame=frame, pixels=rng.uniform(20, 60), class_name=name, **place, **shown))
        for row in [row for row in objects if row["frame"] == frame for _ in range(int(rng.integers(0, 3)))]:
            moved = {name: row[name] + rng.normal(0, 0.3) for name in ("x_cam", "y_cam", "z_cam", "rotation_y")}
            found = row | moved | {"confidence": int(rng.integers(0, 6)) / 5, "class_name": "car"}
            labels.append(found | {"bbox_bottom": row["bbox_bottom"] + rng.normal(0, 5)})
    regions = [region(x=rng.uniform(-6, 6), frame=int(rng.integers(0, 3)), pixels=200) for _ in range(2)]
    return labels, objects, regions


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31))
def test_equal_to_the_slow_twin(seed):
    labels, objects, regions = random_scene(seed)
    judged = kitti_verdicts(*tables(labels, objects, regions), class_name="car")
    ap = kitti_ap(judged)
    for kind, iou, difficulty in np.ndindex(len(KINDS), len(IOUS), len(DIFFICULTIES)):
        name = DIFFICULTIES[difficulty].name
        options = {"iou": IOUS[iou], "kind": KINDS[kind], "difficulty": name, "class_name": "car"}
        expected, count = slow.kitti_ap(labels, objects, regions, similar=("caravan",), **options)
        table = ap.ap_3d if KINDS[kind] == "3d" else ap.ap_bev
        assert table[str(IOUS[iou])][name] == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert judged.num_objects[kind, iou, difficulty] == count


def scene_with_room(seed):
    """Objects too far from each other for a label to overlap two of them; some labels lie elsewhere."""
    rng = np.random.default_rng(seed)
    objects, labels = [], []
    for frame, place in np.ndindex(3, 6):
        shown = {"occlusion": int(rng.integers(0, 4)), "truncation": float(rng.choice([0, 0.2, 0.4, 0.6]))}
        shown |= {
            "mask_area": int(rng.choice([100, 300, 500])),
            "class_name": str(rng.choice(["car", "car", "caravan"])),
        }
        row = car(frame=frame, x=20.0 * place, pixels=rng.uniform(20, 60), **shown)
        if rng.random() < 0.8:
            objects.append(row)
        for _ in range(int(rng.integers(0, 4))):
            moved = {name: row[name] + rng.normal(0, 0.3) for name in ("x_cam", "y_cam", "z_cam", "rotation_y")}
            bottom = row["bbox_bottom"] + rng.normal(0, 10)
            labels.append(row | moved | {"confidence": rng.random(), "class_name": "car", "bbox_bottom": bottom})
    places = [(int(rng.integers(0, 3)), int(rng.integers(0, 6))) for _ in range(3)]
    return labels, objects, [region(x=20.0 * place, frame=frame) for frame, place in places]


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_the_program_of_kitti_where_it_counts(seed):
    """At every score, the same number of true and of false labels, of as many objects."""
    labels, objects, regions = scene_with_room(seed)
    judged = kitti_verdicts(*tables(labels, objects, regions), class_name="car")
    for kind, iou, difficulty in np.ndindex(len(KINDS), len(IOUS), len(DIFFICULTIES)):
        options = {"iou": IOUS[iou], "kind": KINDS[kind], "difficulty": DIFFICULTIES[difficulty].name}
        verdicts = judged.verdicts[:, kind, iou, difficulty]
        for least in (0.0, 0.3, 0.5, 0.8):
            counted = verdicts[judged.scores >= least]
            found = ((counted == 1).sum(), (counted == 0).sum(), judged.num_objects[kind, iou, difficulty])
            twin = slow.devkit_counts(
                labels, objects, regions, least=least, class_name="car", similar=("caravan",), **options
            )
            assert found == twin


def test_random_scenes_have_something_of_everything():
    """The twin is compared on scenes with true, false and other labels."""
    judged = [kitti_verdicts(*tables(*random_scene(seed)), class_name="car").verdicts for seed in range(30)]
    values, counts = np.unique(np.concatenate(judged), return_counts=True)
    assert values.tolist() == [-1, 0, 1] and counts.min() > 150


@pytest.fixture
def run(write_run, label_row, truth_object):
    """A run whose label columns in the camera are those that its boxes have there."""
    places = {26001: (10.0, 3.0, 0.0), 26002: (15.0, -2.0, 0.2)}
    truth = [truth_object(number, number % 10, center) for number, center in places.items()]
    output, root = write_run([], truth)
    return output, root, places, label_row


def write_labels(output, root, rows):
    """Label rows of boxes in the world, with their camera columns."""
    from vsrd_ray.datasets.base import open_drive
    from vsrd_ray.labels.boxes.columns import boxes_of
    from vsrd_ray.labels.boxes.rows import columns_in_cameras
    from vsrd_ray.labels.boxes.truth import frame_poses

    table = pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)
    sequence = open_drive(root, SEQUENCE)
    columns = columns_in_cameras(
        frame_poses(sequence, table["frame"].to_numpy()),
        boxes_of(table),
        K=sequence.K,
        image_size=sequence.image_size,
        mask_areas=np.full(len(rows), 300),
    )
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    write_parquet(table.cast(LABEL_SCHEMA), output / "labels" / f"sequence={SEQUENCE}" / "a.parquet")


def test_text_gives_the_figures_of_the_rows(run, monkeypatch):
    output, root, places, label_row = run
    rng = np.random.default_rng(0)
    small = [difficulty.__class__(f"{difficulty.name}", 2.0, 3, 0.9) for difficulty in DIFFICULTIES]
    monkeypatch.setattr("vsrd_ray.labels.boxes.evaluation.kitti.DIFFICULTIES", small)
    rows = [
        label_row(frame, instance, np.add(center, rng.normal(0, 0.2, 3)), confidence=rng.uniform(0.3, 0.9))
        for instance, center in places.items()
        for frame in (1, 2, 4)
    ]
    write_labels(output, root, rows)
    report = evaluate_run(output, root)
    labels_to_kitti(output, output / "text")
    text_rows = []
    for frame in (1, 2, 4):
        for one in read_frame(label_path(output / "text", sequence=SEQUENCE, camera="image_00", frame=frame)):
            row = dict(zip(("bbox_left", "bbox_top", "bbox_right", "bbox_bottom"), one.box_xyxy, strict=True))
            row |= dict(zip(("height", "width", "length"), one.dimensions_hwl, strict=True))
            row |= dict(zip(("x_cam", "y_cam", "z_cam"), one.bottom_cam, strict=True))
            row |= {"rotation_y": one.rotation_y, "truncation": one.truncated, "occlusion": one.occluded}
            text_rows.append(
                row | {"frame": frame, "class_name": one.type.lower(), "confidence": one.score, "is_moving": False}
            )
    text = pa.Table.from_pylist(text_rows, schema=SCHEMA)
    monkeypatch.setattr(
        "vsrd_ray.labels.boxes.evaluation.sequences.kitti_verdicts",
        lambda _, *others, **names: kitti_verdicts(text, *others, **names),
    )
    again = evaluate_run(output, root)
    assert len(text_rows) == len(read_labels(output)) == 6
    assert 0 < report.kitti_ap["car"].ap_3d["0.5"]["hard"] <= 1
    assert again.kitti_ap == report.kitti_ap


def test_ap_is_written_as_json_without_nan(run):
    output, root, places, label_row = run
    write_labels(output, root, [label_row(1, 26001, places[26001])])
    report = evaluate_run(output, root)
    written = json.loads(json.dumps(values_of(report, root), allow_nan=False))
    assert written["kitti_ap"]["car"]["ap_3d"]["0.7"] == dict.fromkeys(("easy", "moderate", "hard"))
    assert written["kitti_ap"]["car"]["num_objects"]["hard"] == 0
    assert set(written["kitti360_ap"]["car"]["ap_3d"]) == {"0.25", "0.5"}
