import pytest

from vsrd_ray.labels.boxes.report.quality import figure, quality_contents, words

OVERLAP = {"mean": 0.5, "median": 0.6, "share_over_25": 1.0, "share_over_50": 0.5, "share_over_70": None}
ERROR = {"mean": 0.123, "median": 0.1}


def quality(**changes):
    return {
        "count": 4,
        "labelled": 3,
        "coverage": 0.75,
        "iou_3d": OVERLAP,
        "iou_bev": OVERLAP,
        "official_iou_3d": None,
        "center_distance": ERROR,
        "yaw_error_mod_pi_deg": {"mean": None, "median": None},
    } | changes


REPORT = {
    "sequences": ["a", "b"],
    "max_range": 40.0,
    "overall": quality(count=5),
    "static": quality(),
    "static_by_range": {"0 - 15 m": quality(count=1)},
    "moving": quality(count=0),
    "overall_confidence_auc": 0.8,
    "overall_reliability": [{"low": 0.0, "count": 0}, {"low": 0.9, "count": 3}],
    "overall_kept": [{"confidence": 0.9, "share": 0.1, "precision": 1.0}],
    "confidence_auc": 0.9,
    "reliability": [{"low": 0.5, "count": 1}],
    "kept": [],
    "kitti_ap": {"car": {"num_objects": {"easy": 1, "hard": 2}, "ap_3d": {"0.5": {"easy": 0.25, "hard": None}}}},
    "kitti360_ap": {"car": {"num_objects": 7, "ap_3d": {"0.25": 0.5, "0.5": 0.125}}},
}


def table(title):
    (found,) = [entry for entry in quality_contents(REPORT)["tables"] if entry["title"] == title]
    return found


def test_quality_becomes_tables_by_what_is_measured():
    overlap = table("IoU3D")
    assert overlap["columns"] == ["", "count", "labelled", "coverage", "mean", "median", "> 0.25", "> 0.5", "> 0.7"]
    assert overlap["rows"] == [
        ["all", "5", "3", "75 %", "0.500", "0.600", "100 %", "50 %", "–"],
        ["parked", "4", "3", "75 %", "0.500", "0.600", "100 %", "50 %", "–"],
        ["parked, range · 0 - 15 m", "1", "3", "75 %", "0.500", "0.600", "100 %", "50 %", "–"],
    ]
    errors = table("Errors of labelled truth, mean / median")
    assert errors["columns"] == ["", "centre m", "yaw mod π °"]
    assert errors["rows"][1] == ["parked", "0.12 / 0.10", "–"]


def test_average_precision_of_any_depth_becomes_a_table():
    assert table("KITTI AP R40")["rows"] == [
        ["car · objects to find", "1", "2"],
        ["car · AP 3D · 0.5", "0.250", "–"],
    ]
    assert table("KITTI-360 AP, AP 3D") == {
        "title": "KITTI-360 AP, AP 3D",
        "columns": ["", "objects to find", "0.25", "0.5"],
        "rows": [["KITTI-360 AP · car", "7", "0.500", "0.125"]],
    }


def test_headline_facts_and_reliability():
    contents = quality_contents(REPORT)
    assert contents["headline"] == {
        "columns": ["", "all", "parked"],
        "rows": [
            ["true boxes", "5", "4"],
            ["labelled", "75 %", "75 %"],
            ["mean IoU3D", "0.500", "0.500"],
            ["IoU3D > 0.5", "50 %", "50 %"],
        ],
    }
    assert ["sequences", "a, b"] in contents["facts"] and ["farthest truth, m", "40.000"] in contents["facts"]
    assert [entry["low"] for entry in contents["reliability"]] == [0.9]
    assert contents["kept"] == [{"confidence": 0.9, "share": 0.1, "precision": 1.0}]
    assert "kept" not in {entry["title"] for entry in contents["tables"]}  # it is drawn


def test_a_report_of_something_else_is_shown_all_the_same():
    contents = quality_contents({"surprise": {"one": {"a_thing": 1, "iou": 0.5}}})
    assert contents["headline"] is None
    assert contents["tables"] == [
        {"title": "surprise", "columns": ["", "a thing", "IoU"], "rows": [["one", "1", "0.500"]]}
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("coverage", 0.5, "50 %"),
        ("coverage", 0.996, "99.6 %"),
        ("yaw_deg", 0.55, "0.6"),
        ("x", 3, "3"),
        ("x", None, "–"),
        ("x", True, "yes"),
    ],
)
def test_figures_are_as_precise_as_their_kind(name, value, expected):
    assert figure(name, value) == expected


def test_names_are_words():
    assert words("iou_3d") == "IoU3D" and words("mean_ap") == "mean AP"
