import base64
import json
import re

import cv2
import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA
from vsrd_ray.labels.boxes.report import write_report
from vsrd_ray.labels.boxes.report.budget import ByteBudget, plan_pictures, price_of
from vsrd_ray.labels.boxes.report.choice import ViewChoice, choose_views
from vsrd_ray.labels.boxes.report.page import embedded, empty_page_bytes
from vsrd_ray.labels.boxes.report.pictures import Quality, close_up, frame_picture, read_pixels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.storage import open_location
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
WHOLE = {"bbox_left": 10.0, "bbox_top": 20.0, "bbox_right": 29.0, "bbox_bottom": 39.0}  # the mask of 26001
FINE = Quality(frame_width=1000, view_side=1000, webp=90)


@pytest.fixture
def run_with_images(run):
    """The run, with noise for images, which costs the most bytes."""
    output, root = run
    rng = np.random.default_rng(0)
    for frame in (1, 2, 3, 4):
        path = paths.image_file(root, SEQUENCE, "image_00", frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    return output, root


def content_of(path):
    (text,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(text)


def decoded(uri):
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_a_frames_picture_has_its_image_and_outlines(run_with_images, tables_of):
    tables = tables_of(*run_with_images)
    picture = frame_picture(tables, 3, read_pixels(tables, 3), FINE)
    assert decoded(picture["image"]).shape == (60, 80, 3)
    assert picture["masks"].keys() == {0, 1, 2}
    (outline,) = picture["masks"][2]
    assert {tuple(p) for p in np.reshape(outline, (-1, 2)).tolist()} == {(60, 20), (74, 20), (74, 39), (60, 39)}
    small = frame_picture(tables, 3, read_pixels(tables, 3), Quality(frame_width=40, view_side=40, webp=50))
    assert decoded(small["image"]).shape == (30, 40, 3)


def test_without_images_and_masks_numbers_are_left(run, tables_of):
    output, root = run
    tables = tables_of(output, root)
    assert frame_picture(tables, 0, read_pixels(tables, 0), FINE)["image"] is None
    mask = paths.mask_file(root, SEQUENCE, "image_00", 2)
    mask.write_bytes(mask.read_bytes()[:-20])
    assert frame_picture(tables, 1, read_pixels(tables, 1), FINE) == {"image": None, "masks": {}}
    view = close_up(tables, choose_views(tables, 0)[0], read_pixels(tables, 1), FINE, None)
    assert view["mask"] == [] and view["overlap"] is None


def test_a_close_up_holds_the_body_against_the_mask(run, tables_of):
    """The body is a slab at 10 m that projects to the left half of the mask, 10 x 20 px, and as much beside it."""
    tables = tables_of(*run)
    row = int(np.flatnonzero((tables.rows.frames == 0) & (tables.rows.instances == 0))[0])
    # fx = 50, fy = 40, cx = 10, cy = 8; columns 0 to 19 and rows 20 to 39 at a depth of 10 m, in a camera along x
    left, right = ((edge - 10.0) / 50 * 10 for edge in (-0.5, 19.5))
    top, bottom = ((edge - 8.0) / 40 * 10 for edge in (19.5, 39.5))
    slab = np.array([[x, -u, -v] for x in (10.0, 10.0001) for u in (left, right) for v in (top, bottom)])
    seen = []

    def solids(content):
        seen.append((content["instance_id"], content["frame"]))
        return [slab]

    view = close_up(tables, ViewChoice(row, "large"), read_pixels(tables, 0), FINE, solids)
    assert seen == [(26001, 1)]
    assert view["covered"] == pytest.approx(0.5, abs=0.02)
    assert view["overlap"] == pytest.approx(1 / 3, abs=0.02)
    window_left, window_top, width, height = view["window"]
    assert window_left <= 4 and window_top <= 14 and window_left + width >= 36 and window_top + height >= 46


def test_rows_without_a_body_of_their_own_show_their_box(write_run, label_row, tables_of):
    tables = tables_of(*write_run([label_row(1, 26001, (10.0, -2.0, -5.5))], []))  # projects to the mask's middle
    view, pixels = choose_views(tables, 0)[0], read_pixels(tables, 0)
    with_none, without = (close_up(tables, view, pixels, FINE, solids) for solids in (lambda row: [], None))
    assert with_none["body"] == without["body"] != []
    assert with_none["covered"] > 0.2


def test_a_purse_is_never_overdrawn():
    budget, picture = ByteBudget(100), {"image": "x" * 30}
    price = price_of(picture)
    assert price > len(json.dumps(picture))
    paid = sum(budget.pays(picture) for _ in range(10))
    assert paid == 100 // price and budget.left == 100 - paid * price


def test_pictures_are_worse_before_they_are_fewer(run_with_images, tables_of):
    tables = tables_of(*run_with_images)
    plans = [plan_pictures(tables, num_bytes, None) for num_bytes in (1_000_000, 40_000, 9_000, 0)]
    assert [len(plan.frames) for plan in plans][:2] == [4, 4] and not plans[-1].frames and not plans[-1].views
    quality = [plan.quality.webp for plan in plans]
    assert quality == sorted(quality, reverse=True) and quality[0] > quality[-1]


@pytest.mark.parametrize("room", [20_000, 60_000, 500_000])
def test_a_report_keeps_to_its_bytes(run_with_images, tmp_path, room):
    output, root = run_with_images
    max_bytes, told = empty_page_bytes() + room, []
    path = tmp_path / "r.html"
    written = write_report(output, root, path, max_bytes=max_bytes, progress=lambda *counts: told.append(counts))
    assert path.stat().st_size == written.num_bytes <= max_bytes
    assert told == [(k + 1, len(told)) for k in range(len(told))]
    content = content_of(path)["sequences"][0]
    assert len(content["pictures"]) == written.frame_pictures
    assert sum(map(len, content["views"].values())) == written.close_ups
    if room == 500_000:
        assert (written.frames, written.frame_pictures, written.instances) == (4, 4, 3)
        assert written.close_ups >= 5


def test_frames_that_are_too_many_are_refused(run, tmp_path):
    with pytest.raises(InputError, match=f"4 frames of {SEQUENCE} alone .* report fewer sequences at once, with --seq"):
        write_report(*run, tmp_path / "r.html", max_bytes=100_000)
    assert not (tmp_path / "r.html").exists()


def test_of_too_many_instances_the_doubtful_are_kept_and_the_rest_is_told(run, tmp_path):
    """A report with room for fewer numbers than there are: counts and quality are of the run all the same."""
    whole = write_report(*run, tmp_path / "whole.html")
    content = content_of(tmp_path / "whole.html")
    assert (whole.instances, whole.left_out, content["left_out"]) == (3, 0, 0)
    counts = {"labels": 5, "instances": 2, "moving": 0}
    assert content["counts"] == counts
    others = {name: value for name, value in content.items() if name not in {"sequences", "left_out"}}
    numbers = len(embedded(sequence_with_no_pictures(content)))
    max_bytes = empty_page_bytes() + len(embedded(others)) + int(numbers / 0.75) - 100
    fewer = write_report(*run, tmp_path / "fewer.html", max_bytes=max_bytes)
    content = content_of(tmp_path / "fewer.html")
    assert (fewer.instances, fewer.left_out, content["left_out"]) == (2, 1, 1)
    assert content["sequences"][0]["instances"]["id"] == [26001, 26003]  # ranked_instances: 26003, 26001, 26002
    assert content["counts"] == counts and content["sequences"][0]["frames"] == [1, 2, 3, 4]
    assert fewer.num_bytes <= max_bytes


def sequence_with_no_pictures(content):
    (sequence,) = content["sequences"]
    return sequence | {"pictures": {}, "views": {}}


def test_the_boxes_that_one_prefers_are_shown(run, label_row, tmp_path):
    output, root = run
    moved = label_row(2, 26001, (10.5, 0.5, 0.0)) | WHOLE | {"source": "human", "labeler": "import-kitti"}
    rows = pa.Table.from_pylist([moved], schema=LABEL_SCHEMA)
    write_parquet(rows, output / f"labels/sequence={SEQUENCE}/human-image_00.parquet")
    reviewed = pa.Table.from_pylist([{"camera": "image_00", "frame": 2}], schema=REVIEW_SCHEMA)
    write_parquet(reviewed, output / f"corrections/{SEQUENCE}.parquet")
    for prefer, sources, num_labels in (("human", {"auto", "human"}, 4), ("auto", {"auto"}, 5)):
        write_report(output, root, tmp_path / "r.html", prefer=prefer)
        content = content_of(tmp_path / "r.html")
        assert content["corrections"] == {"frames": 1, "prefer": prefer}
        assert set(content["sequences"][0]["boxes"]["source"]) == sources
        assert content["counts"]["labels"] == num_labels


def test_texts_from_data_stay_texts(run, rewrite, tmp_path):
    output, root = run
    evil = '</script><script>alert("x")</script><!-- &amp;'

    def spoil(groups):
        place = groups.schema.get_field_index("error")
        return groups.set_column(place, groups.schema.field(place), pa.array([evil], pa.string()))

    rewrite(output / "groups" / "b.parquet", spoil)
    write_report(output, root, tmp_path / "r.html")
    assert evil not in (tmp_path / "r.html").read_text()
    assert content_of(tmp_path / "r.html")["groups"]["not_ok"][0]["error"] == evil
    assert json.loads(embedded({"text": evil})) == {"text": evil}


def test_quality_is_asked_for_where_there_is_truth(run, tmp_path):
    output, root = run
    asked = []

    def quality(sequences):
        asked.append(sequences)
        return {"confidence_auc": 0.5}

    write_report(output, root, tmp_path / "r.html", quality=quality)
    assert asked == [[SEQUENCE]] and content_of(tmp_path / "r.html")["quality"]["facts"][0][1] == "0.500"
    paths.boxes_file(root, SEQUENCE).unlink()
    write_report(output, root, tmp_path / "r.html", quality=quality)
    assert asked == [[SEQUENCE]] and content_of(tmp_path / "r.html")["quality"] is None


def test_what_cannot_be_reported_is_said(run, tmp_path):
    output, root = run
    with pytest.raises(InputError, match=f"no sequence other; it holds {SEQUENCE}"):
        write_report(output, root, tmp_path / "r.html", sequences=["other"])
    for folder in ("groups", "labels"):
        for path in (output / folder).rglob("*.parquet"):
            path.unlink()
    with pytest.raises(InputError, match="no labelled frame"):
        write_report(output, root, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_folder_is_no_place_for_a_report(run, tmp_path):
    output, root = run
    with pytest.raises(OutputError, match="is a folder: name the HTML file"):
        write_report(output, root, tmp_path)


def test_runs_and_datasets_of_object_stores_give_the_same_report(run_with_images, s3, tmp_path):
    output, root = run_with_images
    bucket = open_location(s3)
    for name, folder in (("output", output), ("root", root)):
        bucket.fs.put(str(folder), (bucket / name).path, recursive=True)
    write_report(bucket / "output", bucket / "root", bucket / "r.html")
    write_report(output, root, tmp_path / "r.html")
    assert (bucket / "r.html").read_bytes() == (tmp_path / "r.html").read_bytes()


def test_a_run_without_a_single_label_is_reported_too(write_run, truth_object, tmp_path):
    output, root = write_run([], [truth_object(1, 1, (10.0, 0.5, 0.0))])
    written = write_report(output, root, tmp_path / "r.html")
    assert (written.frames, written.instances) == (4, 3) and written.close_ups == 3
    content = content_of(tmp_path / "r.html")["sequences"][0]
    assert content["boxes"]["center"] == [] and set(content["rows"]["box"]) == {-1}


def test_frames_without_objects_have_their_pictures(run_with_images, lengthen, tmp_path):
    lengthen(*run_with_images)
    written = write_report(*run_with_images, tmp_path / "r.html")
    assert (written.frames, written.frame_pictures) == (6, 6)
    content = content_of(tmp_path / "r.html")["sequences"][0]
    assert content["frames"][4] == 5 and content["pictures"]["4"]["masks"] == {}


def test_the_page_reaches_for_nothing(run, tmp_path):
    output, root = run
    write_report(output, root, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "default-src 'none'; img-src data:" in page
    shell = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!#|data:)', shell) and "@import" not in shell and "url(" not in shell
