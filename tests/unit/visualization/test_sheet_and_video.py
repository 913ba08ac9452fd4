import json
import weakref
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from builders import write_evaluation

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.published.annotations import annotate
from vsrd_ray.labelers.vsrd.published.pictures import visualize_annotations
from vsrd_ray.labels.boxes.pictures import annotated, sheet, visualize_labels, write_sheet
from vsrd_ray.labels.boxes.pictures.annotated import open_shown
from vsrd_ray.visualization.video import write_pictures

SEQUENCE = "2013_05_28_drive_0042_sync"
A, B = (10.0, 0.5, 0.0), (12.0, -1.0, 0.0)


@pytest.fixture
def run(write_run, label_row, truth_object):
    rows = [label_row(frame, 26001, A, confidence=frame / 10) for frame in (1, 2, 4)] + [label_row(2, 26002, B)]
    return write_run(rows, [truth_object(1, 1, A), truth_object(2, 2, B)])


def test_scene_knows_what_holds_where(run):
    scene = open_shown(*run)
    assert scene.frames == (1, 2, 3, 4)
    assert scene.labels.in_frame(2).instance_ids.tolist() == [26001, 26002]
    best = scene.labels.where(scene.best)
    assert dict(zip(best.instance_ids.tolist(), best.frames.tolist(), strict=True)) == {26001: 4, 26002: 2}
    # 26002 has too few pixels in frame 1
    assert scene.truth_in(1).instance_ids.tolist() == [26001]
    assert scene.parked_truth().instance_ids.tolist() == [26001, 26002]


def test_frames_without_objects_and_those_that_a_human_reviewed_are_shown(run, lengthen, tmp_path):
    lengthen(*run)
    scene = open_shown(*run)
    assert scene.frames == (1, 2, 3, 4, 5, 6)
    assert len(scene.labels.in_frame(5).frames) == len(scene.labels.in_frame(6).frames) == 0
    assert visualize_labels(*run, tmp_path / "film.mp4") == 6


def test_a_drive_without_anything_to_label_is_shown(write_run, tmp_path):
    output, root = write_run([], [])
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"]["classes"] = ["bus"]
    (output / "manifest.json").write_text(json.dumps(manifest))
    for path in (output / "groups").iterdir():
        path.unlink()
    assert visualize_labels(output, root, tmp_path / "film.mp4") == 4


def test_sheet_is_a_picture_with_and_without_truth_and_evaluation(run, tmp_path):
    output, root = run
    write_sheet(output, root, tmp_path / "a.png", frames=2)
    write_evaluation(output, root)
    write_sheet(output, root, tmp_path / "b.png", frames=2)
    paths.boxes_file(root, SEQUENCE).unlink()
    write_sheet(output, root, tmp_path / "c.png", frames=9)
    first, second, third = (cv2.imread(str(tmp_path / f"{name}.png")) for name in "abc")
    assert first.shape == second.shape and first.shape[1] == third.shape[1] == 1920
    assert (first != second)[:52].any() and not (first != second)[52:].any()  # the title gained the score
    assert third.shape[0] > first.shape[0]  # four frames in two rows


def test_labels_become_a_folder_of_pngs(run, tmp_path):
    output, root = run
    told = []
    assert visualize_labels(output, root, tmp_path / "png", progress=lambda *counts: told.append(counts)) == 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(path.name for path in (tmp_path / "png").iterdir()) == [f"{frame:010d}.png" for frame in (1, 2, 3, 4)]
    assert cv2.imread(str(tmp_path / "png" / "0000000002.png")).shape == (60 + 32, 80, 3)


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_labels_become_a_film(run, tmp_path, name):
    output, root = run
    assert visualize_labels(output, root, tmp_path / name) == 4
    with av.open(str(tmp_path / name)) as film:
        (stream,) = film.streams.video
        assert len(list(film.decode(stream))) == 4 and stream.average_rate == 10
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_film_is_of_the_kind_that_browsers_play(tmp_path):
    """H.264 with colours at half the resolution, and what a browser has to know of it before its pictures."""
    shades = [np.full((101, 201, 3), shade, np.uint8) for shade in (0, 128, 255)]
    assert write_pictures(enumerate(shades), tmp_path / "film.mp4", frames_per_second=12.5) == 3
    data = (tmp_path / "film.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with av.open(str(tmp_path / "film.mp4")) as film:
        (stream,) = film.streams.video
        pictures = [frame.to_ndarray(format="bgr24") for frame in film.decode(stream)]
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (200, 100)
        assert stream.average_rate == 12.5
    np.testing.assert_allclose([picture.mean() for picture in pictures], [0, 128, 255], atol=5)


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_takes_its_pictures_one_by_one(tmp_path, name):
    """Those of a long drive would not fit into memory."""
    alive = []

    def pictures():
        for number in range(200):
            picture = np.full((64, 64, 3), number, np.uint8)
            alive.append(weakref.ref(picture))
            yield number, picture
            del picture
            most.append(sum(ref() is not None for ref in alive))

    most: list[int] = []
    assert write_pictures(pictures(), tmp_path / name) == 200
    assert max(most) < 100


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_that_breaks_off_leaves_what_was_there(tmp_path, name):
    (tmp_path / name).write_text("of yesterday")

    def pictures():
        yield 0, np.zeros((32, 32, 3), np.uint8)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_pictures(pictures(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "of yesterday"


def test_annotations_become_pictures(run, tmp_path):
    _, root = run
    with pytest.raises(InputError, match=f"vsrd-ray annotate --root {root}"):
        visualize_annotations(root, SEQUENCE, "image_00", tmp_path / "png")
    annotate(root, SEQUENCE)
    told = []
    count = visualize_annotations(
        root, SEQUENCE, "image_00", tmp_path / "png", progress=lambda *counts: told.append(counts)
    )
    assert count == 4 and told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert visualize_annotations(root, SEQUENCE, "image_00", tmp_path / "none", classes=("bus",)) == 4
    pictures = [cv2.imread(str(tmp_path / name / "0000000002.png")) for name in ("png", "none")]
    assert (pictures[0] != pictures[1])[:60].any() and (pictures[0] != pictures[1])[60:].any()


def test_an_annotation_that_cannot_be_read_is_named(run, tmp_path):
    _, root = run
    annotate(root, SEQUENCE)
    path = paths.annotation_file(root, SEQUENCE, "image_00", 2)
    path.write_text(json.dumps({"masks": []}))
    with pytest.raises(InputError, match=r"0000000002\.json: not an annotation file"):
        visualize_annotations(root, SEQUENCE, "image_00", tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


def test_what_cannot_be_drawn_is_said(run, tmp_path):
    output, root = run
    with pytest.raises(InputError, match=r"film\.avi: pictures go to a folder"):
        visualize_labels(output, root, tmp_path / "film.avi")
    with pytest.raises(InputError, match=f"no sequence other; it holds {SEQUENCE}"):
        write_sheet(output, root, tmp_path / "a.png", sequence="other")
    for path in (output / "groups").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no labelled frame"):
        write_sheet(output, root, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_run_of_several_sequences_asks_which(run):
    output, root = run
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"]["sequences"].append("other")
    (output / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="say which sequence"):
        open_shown(output, root)
    assert open_shown(output, root, sequence=SEQUENCE).sequence.name == SEQUENCE


def test_large_gifs_are_scaled_down_and_odd_films_cut(tmp_path: Path):
    picture = np.full((101, 1001, 3), 200, np.uint8)
    assert write_pictures([(0, picture), (1, picture)], tmp_path / "a.gif") == 2
    width, height = np.frombuffer((tmp_path / "a.gif").read_bytes()[6:10], "<u2")
    assert (width, height) == (800, 81)
    assert write_pictures([(0, picture)], tmp_path / "a.mp4") == 1
    film = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_WIDTH) == 1000 and film.get(cv2.CAP_PROP_FRAME_HEIGHT) == 100
    film.release()


def test_names_of_boxes_do_not_lie_on_each_other(run):
    """Of two boxes in one place the nearer one is named; one that is partly behind the camera is not."""
    image = np.zeros((200, 400, 3), np.uint8)
    ahead = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (9.0, 12.0)])
    K = np.array([[200.0, 0, 200], [0, 200, 100], [0, 0, 1]])
    annotated._draw_names(image, ["near"], ahead[None], np.array([0]), K=K, size=0.5)
    both = np.zeros_like(image)
    boxes = ahead + np.array([[0, 0, 0.0], [0, 0, 1.0], [0, 0, -10.0]])[:, None]
    annotated._draw_names(both, ["near", "far", "behind"], boxes, np.array([0, 1, 2]), K=K, size=0.5)
    assert image.any() and (image == both).all()


def test_sheet_shows_the_fullest_frame_of_each_part(run):
    scene = open_shown(*run)  # frame 2 has two labels, the others one or none
    assert sheet._fullest(scene, 2) == [2, 4]
    assert sheet._fullest(scene, 9) == [1, 2, 3, 4]
    assert scene.labels.in_frame(2).names() == ["26001 0.20", "26002 0.50"]
    assert scene.parked_truth().names() == ["26001", "26002"]
