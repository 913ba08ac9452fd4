"""Every format: files made by hand become the instance maps that they were made of, and bad ones are refused."""

import json
import pickle
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for mask_files.py

import mask_files

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.drive import IMAGES, MASKS
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.masks.given import check_masks_of, formats, stamp_of_masks, with_masks

SEQUENCE = "2013_05_28_drive_0042_sync"
CAMERA = "image_00"
HEIGHT, WIDTH = 24, 40
TRACKED = ("bdd100k", "coco", "cvat", "kitti-mots-png", "kitti-mots-txt", "kitti360", "vsrd", "youtube-vis")
UNTRACKED = ("cityscapes", "pointsam", "run")


def a_map(*things):
    """An instance map: rectangles (rows, columns, id) one over the other."""
    instance_map = np.zeros((HEIGHT, WIDTH), np.uint16)
    for rows, columns, value in things:
        instance_map[slice(*rows), slice(*columns)] = value
    return instance_map


# A car that is cut in two, another one at the border, a person, and a crowd; frame 3 shows nothing, frame 5 the end.
MAPS = {
    2: a_map(((4, 12), (3, 20), 26001), ((4, 12), (9, 11), 0), ((10, 24), (30, 40), 26002), ((0, 3), (0, 40), UNKNOWN)),
    3: a_map(),
    4: a_map(((5, 13), (5, 22), 26001), ((2, 9), (30, 33), 24007)),
    5: a_map(((5, 13), (7, 24), 26001)),
}


@pytest.fixture
def drive(write_sequence):
    """A drive of frames 1-6 without masks of its own but one."""
    root = write_sequence({1: a_map()}, dict.fromkeys(range(1, 7), np.eye(4)))
    return open_drive(root, SEQUENCE)


@pytest.fixture
def given(drive, tmp_path):
    """Gives the drive masks in a format."""

    def give(format, maps=MAPS):
        known = {frame: np.where(one == UNKNOWN, 0, one) for frame, one in maps.items()}
        place = mask_files.write(known if format in {"kitti360", "pointsam"} else maps, tmp_path / "given", format)
        return with_masks(drive, place, None)

    return give


def test_every_format_is_tried_here():
    assert set(formats()) == {*TRACKED, *UNTRACKED, "kitti-step"}
    assert all(spec.summary for spec in formats().values())


@pytest.mark.parametrize("format", TRACKED)
def test_masks_are_those_of_the_file_and_the_format_is_found_by_the_content(given, format):
    drive = given(format)
    assert drive.mask_frames == (2, 3, 4, 5)
    assert drive.sources[MASKS].places[CAMERA].format == format
    assert drive.sources[MASKS].opened(drive, CAMERA).has_ids
    sent = pickle.loads(pickle.dumps(drive.part([2, 4])))
    assert sent.mask_frames == (2, 4)
    for frame, expected in MAPS.items():
        found = (sent if frame in (2, 4) else drive).read(MASKS, CAMERA, frame)
        assert found.dtype == np.uint16
        lacks_unknown = format == "kitti360"
        np.testing.assert_array_equal(found, np.where(expected == UNKNOWN, 0, expected) if lacks_unknown else expected)
        assert drive.file(MASKS, CAMERA, frame).is_file()


def test_masks_without_ids_over_frames_say_so(given):
    maps = {frame: one for frame, one in MAPS.items() if one.any()}
    drive = given("pointsam", maps)
    assert not drive.sources[MASKS].opened(drive, CAMERA).has_ids
    for frame, expected in maps.items():
        found = drive.read(MASKS, CAMERA, frame)
        for value in np.unique(expected[expected % 1000 > 0]).tolist():
            (one,) = np.unique(found[expected == value])
            assert one // 1000 == value // 1000 and (found == one).sum() == (expected == value).sum()


def test_masks_of_another_drive_and_two_of_one_frame_are_refused(given):
    with pytest.raises(InputError, match=r"has frames 19-19, and .* has poses of frames 1-6: give the masks of this"):
        given("cityscapes", {4: MAPS[4]})  # frames are the last numbers in names
    with pytest.raises(InputError, match="are of frame 19: move one away"):
        given("cityscapes", {4: MAPS[4], 5: MAPS[5]})


def test_cityscapes_crowds_are_unknown_and_ids_are_those_of_one_image(drive, tmp_path):
    place = mask_files.write({4: MAPS[2]}, tmp_path / "given", "cityscapes")
    (file,) = place.iterdir()
    file.rename(place / "aachen_000000_000004_gtFine_instanceIds.png")
    drive = with_masks(drive, place, None)
    np.testing.assert_array_equal(drive.read(MASKS, CAMERA, 4), MAPS[2])
    assert not drive.sources[MASKS].opened(drive, CAMERA).has_ids


def test_coco_results_have_scores_and_no_tracks_and_the_better_one_takes_the_pixels(drive, tmp_path):
    whole = np.ones((HEIGHT, WIDTH), bool)
    part = MAPS[2] == 26001
    results = [
        {"image_id": 4, "category_id": category, "score": score, "segmentation": mask_files.encode_rle(mask)}
        for category, score, mask in ((3, 0.5, whole), (1, 0.9, part), (87, 0.95, MAPS[2] == 26002))
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    drive = with_masks(drive, tmp_path / "results.json", None)
    found = drive.read(MASKS, CAMERA, 4)
    assert set(np.unique(found[part] // 1000)) == {24} and set(np.unique(found[~part] // 1000)) == {26}
    assert drive.warnings and "no class is called category 87" in drive.warnings[0]
    masks = drive.sources[MASKS].opened(drive, CAMERA).masks(4)[1]
    assert [mask.score for mask in masks] == [0.5, 0.9, 0.95]
    assert not drive.sources[MASKS].opened(drive, CAMERA).has_ids


def test_the_nearer_of_two_masks_takes_the_pixels_whatever_their_order(drive, tmp_path):
    near, far = np.zeros((2, HEIGHT, WIDTH), bool)
    near[5:20, 5:20] = True
    far[2:12, 10:30] = True
    for order in ((1, 2), (2, 1)):
        content = mask_files.coco({4: a_map()})
        content["annotations"] = [
            {"id": n, "image_id": 104, "category_id": 26, "track_id": n}
            | {"segmentation": mask_files.encode_rle({1: near, 2: far}[n])}
            for n in order
        ]
        path = tmp_path / f"{order[0]}.json"
        path.write_text(json.dumps(content))
        found = with_masks(drive, path, None).read(MASKS, CAMERA, 4)
        assert (found[near] == 26001).all() and (found[far & ~near] == 26002).all()


def test_polygons_hold_the_pixels_that_pycocotools_gives_them(drive, tmp_path):
    content = mask_files.coco({4: a_map()})
    polygon = [[5.0, 3.0, 15.0, 3.0, 15.0, 9.0, 5.0, 9.0], [20.0, 10.0, 24.0, 10.0, 24.0, 14.0, 20.0, 14.0]]
    one = {"id": 1, "image_id": 104, "category_id": 26, "instance_id": 5, "segmentation": polygon}
    content["annotations"] = [one]
    (tmp_path / "masks.json").write_text(json.dumps(content))
    found = with_masks(drive, tmp_path / "masks.json", "coco").read(MASKS, CAMERA, 4)
    np.testing.assert_array_equal(found, a_map(((3, 9), (5, 15), 26005), ((10, 14), (20, 24), 26005)))


def test_ids_beyond_999_take_free_numbers_and_the_others_stay(drive, tmp_path):
    content = mask_files.coco({4: MAPS[4], 5: MAPS[5]})
    for one in content["annotations"]:
        one.pop("attributes", None)
        one["track_id"] = 70000 if one["category_id"] == 26 else 7
    (tmp_path / "masks.json").write_text(json.dumps(content))
    drive = with_masks(drive, tmp_path / "masks.json", None)
    np.testing.assert_array_equal(drive.read(MASKS, CAMERA, 4), MAPS[4])
    content["annotations"] = [one | {"track_id": n, "id": n} for n in range(1000) for one in content["annotations"][:1]]
    (tmp_path / "more.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"1000 instances of .*, and a drive may have 999: split the drive"):
        with_masks(drive, tmp_path / "more.json", None)


def test_one_coco_file_of_many_drives_and_cameras_gives_each_its_own(drive, tmp_path):
    content = mask_files.coco(MAPS, name=f"{SEQUENCE}/{CAMERA}/{{:010d}}.png")
    for n, folder in enumerate((f"other/{CAMERA}", f"{SEQUENCE}/image_01")):
        others = mask_files.coco({2: a_map(((0, 5), (0, 5), 26009))}, name=f"{folder}/{{:010d}}.png")
        for one in (*others["images"], *others["annotations"]):
            key = "id" if "file_name" in one else "image_id"
            one[key] += 1000 * (n + 1)
        content["images"] += others["images"]
        content["annotations"] += others["annotations"]
    (tmp_path / "masks.json").write_text(json.dumps(content))
    drive = with_masks(drive, tmp_path / "masks.json", None)
    np.testing.assert_array_equal(drive.read(MASKS, CAMERA, 2), MAPS[2])
    with pytest.raises(InputError, match="are both of frame 2: give the masks of one sequence and camera"):
        with_masks(replace(drive, name="third", cameras={"left": drive.camera}), tmp_path / "masks.json", None)


def test_frames_are_found_by_the_names_of_their_images_where_numbers_do_not_tell(drive, tmp_path, monkeypatch):
    names = {frame: f"log__CAM__15324029276{frame:05d}" for frame in MAPS}
    drive = replace(drive, layers={**drive.layers, IMAGES: {CAMERA: tuple(MAPS)}})
    file = type(drive).file
    monkeypatch.setattr(
        type(drive),
        "file",
        lambda self, layer, sensor, frame: (
            Path("images") / f"{names[frame]}.jpg" if layer == IMAGES else file(self, layer, sensor, frame)
        ),
    )
    content = mask_files.coco(MAPS)
    for image, name in zip(content["images"], names.values(), strict=True):
        image["file_name"] = f"{name}.jpg"
    (tmp_path / "masks.json").write_text(json.dumps(content))
    drive = with_masks(drive, tmp_path / "masks.json", None)
    assert drive.mask_frames == (2, 3, 4, 5)
    for frame, expected in MAPS.items():
        np.testing.assert_array_equal(drive.read(MASKS, CAMERA, frame), expected)


def test_masks_of_another_size_are_refused_by_name(given, drive, tmp_path):
    for format in TRACKED:
        place = mask_files.write({4: np.full((20, 30), 26001, np.uint16)}, tmp_path / format, format)
        with pytest.raises(InputError, match=r"frame 4: masks of 30 x 20 px, and the images of image_00 have 40 x 24"):
            with_masks(drive, place, None).read(MASKS, CAMERA, 4)


LINE = mask_files.mots_lines({4: MAPS[5]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4 26001 26 24 40 abc\n", "line 1: class 26: expected 1 .car., 2 .pedestrian. or 10"),
        ("4 2000 1 24 40 abc\n", "line 1: object 2000: expected 1000..1998 of this class"),
        (LINE * 2, "line 2: object 1000 twice in frame 4: remove one"),
        (LINE.replace("24 40", "24 41"), r"line 1: a broken mask \(runs of 960 px in all for 41 x 24 px\)"),
        (LINE[:-3] + "\n", r"line 1: a broken mask \("),
        (LINE + "5 1000 1 24\n", "line 2: expected `frame id class height width rle`, got"),
        (LINE + LINE.replace("4 1000", "4 1001").replace("24 40", "40 24"), "line 2: masks of two sizes in frame 4"),
        (LINE.replace("4 ", "99999999999 ", 1), "has frames 99999999999-99999999999, and"),
    ],
)
def test_bad_mots_text_is_refused_by_line(drive, tmp_path, text, message):
    (tmp_path / "masks.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        with_masks(drive, tmp_path / "masks.txt", None).read(MASKS, CAMERA, 4)


def test_mots_text_may_have_blank_lines_trailing_blanks_and_the_line_ends_of_windows(drive, tmp_path):
    (tmp_path / "masks.txt").write_text("\r\n" + LINE.replace("\n", " \r\n\r\n"))
    np.testing.assert_array_equal(with_masks(drive, tmp_path / "masks.txt", None).read(MASKS, CAMERA, 4), MAPS[5])


def _without(key):
    return lambda content: content["annotations"][0].pop(key)


@pytest.mark.parametrize(
    ("format", "spoil", "message"),
    [
        ("coco", _without("image_id"), "annotation 0: expected a whole number under 'image_id', got None: mend"),
        ("coco", _without("segmentation"), "annotation 0: a mask that cannot be used .no run-length encoding"),
        ("coco", lambda c: c["annotations"][0].update(image_id=7), "annotation 0: no image 7 in the file"),
        ("coco", lambda c: c["annotations"][0].update(category_id=3), "annotation 0: no category 3 in the file"),
        ("coco", lambda c: c["annotations"][0].update(score="high"), "expected a number under 'score', got 'high'"),
        ("coco", lambda c: c["annotations"][0].update(segmentation=[]), "neither polygons of three corners"),
        ("coco", lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "neither polygons of three"),
        ("coco", lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3e9, 4, 5, 6]]), "a polygon far off"),
        ("coco", lambda c: c["annotations"][0]["segmentation"].update(counts="0"), "cannot be used .runs of 0 px"),
        ("coco", lambda c: c["annotations"][0]["segmentation"].update(counts=[-960, 1920]), "of negative length"),
        ("coco", lambda c: c["images"][0].pop("width"), "image 104: expected a width and a height in px, got None"),
        ("coco", lambda c: c["images"][0].update(file_name="last.png"), "image 'last.png': no frame number in its"),
        ("coco", lambda c: c.update(categories=[]), "no category 26 in the file"),
        ("youtube-vis", lambda c: c["annotations"][0]["segmentations"].append(None), "2 masks for 1 images"),
        ("youtube-vis", lambda c: c["videos"].append(c["videos"][0] | {"id": 5}), "2 videos may be"),
    ],
)
def test_bad_json_is_refused_by_annotation(drive, tmp_path, format, spoil, message):
    content = {"coco": mask_files.coco, "youtube-vis": mask_files.youtube_vis}[format]({4: MAPS[5]})
    spoil(content)
    (tmp_path / "masks.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        with_masks(drive, tmp_path / "masks.json", None).read(MASKS, CAMERA, 4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('rle="', 'rle="7, ', "track 1, frame 5: a mask that cannot be used .runs of 143 px in all for 17 x 8 px"),
        ('rle="', 'rle="x, ', "track 1, frame 5: runs that are no whole numbers: export"),
        ('left="7"', 'left="30"', "track 1, frame 5: a mask that leaves the image of 40 x 24 px"),
        ('frame="5"', 'frame="9"', "frames beyond those of the task, 5-5"),
        ("<annotations>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations>", "document type 'a' is not expected"),
        ("</annotations>", "", "not well-formed XML"),
        ("<track ", "<image><mask/></image><track ", "masks of single images, without tracks: export the task as"),
        ("<width>40", "<width>wide", "meta, original_size: expected a width and a height in px, got None x 24"),
    ],
)
def test_bad_cvat_xml_is_refused(drive, tmp_path, old, new, message):
    text = mask_files.cvat({5: MAPS[5]})
    assert old in text
    (tmp_path / "masks.xml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        with_masks(drive, tmp_path / "masks.xml", None).read(MASKS, CAMERA, 5)


def test_a_damaged_file_of_one_frame_costs_that_frame_alone(given, tmp_path):
    for format in ("kitti360", "kitti-mots-png", "vsrd", "pointsam"):
        drive = given(format, {2: MAPS[2], 4: MAPS[4]})
        file = drive.file(MASKS, CAMERA, 4)
        file.write_bytes(file.read_bytes()[:-20])
        spoilt = with_masks(drive, file.parent, format)
        with pytest.raises(UnreadableFrameError, match=re.escape(file.name)):
            spoilt.read(MASKS, CAMERA, 4)
        assert (spoilt.read(MASKS, CAMERA, 2) == 26001).any()
        for one in (tmp_path / "given").iterdir():
            one.unlink()


def test_values_of_maps_out_of_range_are_refused(drive, tmp_path):
    for format, value, message in (
        ("kitti-mots-png", 26001, "value 26001: expected 0, 1000..1998"),
        ("kitti360", 50001, "value 50001: no class 50: expected 0..44"),
    ):
        place = tmp_path / "maps" / format
        place.mkdir(parents=True)
        name = "0000000004.png" if format == "kitti360" else "000004.png"
        mask_files.write_png(place / name, a_map(((1, 5), (1, 5), value)))
        with pytest.raises(InputError, match=message):
            with_masks(drive, place, None).read(MASKS, CAMERA, 4)


def test_nothing_is_unpickled(drive, tmp_path):
    for kind in ("semantic", "instance"):
        np.savez(tmp_path / f"{kind}_0000000004.npz", data=np.array([[{}]], dtype=object))
    with pytest.raises(UnreadableFrameError, match="no npz with an array `data`"):
        with_masks(drive, tmp_path, "pointsam").read(MASKS, CAMERA, 4)


@pytest.mark.parametrize(
    ("name", "content", "format", "message"),
    [
        ("masks.txt", "", None, "an empty file: give one with masks"),
        ("masks.txt", "hello\n", None, "is in no format that is known: name its format with --masks-format, one of"),
        ("masks.json", '{"images": [', None, "not whole JSON"),
        ("masks.json", '{"boxes": []}', None, "is in no format that is known"),
        ("masks.json", json.dumps({"images": [], "annotations": [], "categories": []}), None, "holds no masks"),
        ("masks.txt", LINE, "kitti-mots", "no format 'kitti-mots'; did you mean 'kitti-mots-"),
    ],
)
def test_what_is_in_no_format_is_refused(drive, tmp_path, *, name, content, format, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        with_masks(drive, tmp_path / name, format)


def test_what_is_not_there_and_what_holds_no_masks_is_refused(drive, tmp_path):
    with pytest.raises(InputError, match="no such file or folder: check the path"):
        with_masks(drive, tmp_path / "nothing", None)
    with pytest.raises(InputError, match="none of frame 6 of"):
        with_masks(drive, mask_files.write(MAPS, tmp_path, "coco"), None).read(MASKS, CAMERA, 6)


def test_the_output_of_a_run_that_made_masks_is_read(drive, tmp_path):
    known = {frame: np.where(one == UNKNOWN, 0, one) for frame, one in MAPS.items()}
    output = mask_files.write_run(known, tmp_path / "made", sequence=SEQUENCE)
    drive = with_masks(drive, output, None)
    assert drive.sources[MASKS].places[CAMERA].format == "run"
    assert drive.mask_frames == (2, 3, 4, 5)  # without the group that failed
    for frame, expected in known.items():
        found = drive.read(MASKS, CAMERA, frame)
        np.testing.assert_array_equal(found // 1000, expected // 1000)
        assert len(np.unique(found)) == len(np.unique(expected))
        assert drive.file(MASKS, CAMERA, frame).suffix == ".parquet"
    masks = drive.sources[MASKS].opened(drive, CAMERA).masks(2)[1]
    assert [mask.score for mask in masks] == pytest.approx([0.5, 0.51])
    stamp = stamp_of_masks(output, SEQUENCE)
    (output / "manifest.json").write_text(json.dumps({"status": "complete", "error": None}))
    assert stamp_of_masks(output, SEQUENCE) == stamp  # its rows and marks count
    check_masks_of(output, [SEQUENCE])
    with pytest.raises(InputError, match="nothing there is named other"):
        check_masks_of(output, [SEQUENCE, "other"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "manifest.json").write_text('{"status": "running"}'), "a run that is running: let it end"),
        (lambda run: (run / "manifest.json").write_text("{}"), "not the manifest of a run"),
        (lambda run: (run / "masks").rename(run / "labels"), "the output folder of a run that made no masks"),
        (lambda run: (run / "groups" / "a.parquet").write_bytes(b"PAR1"), "cannot be read"),
        (
            lambda run: shutil.copy2(run / "groups" / "a.parquet", run / "masks" / f"sequence={SEQUENCE}"),
            "without columns",
        ),
    ],
)
def test_a_run_without_whole_masks_is_refused(drive, tmp_path, spoil, message):
    output = mask_files.write_run({4: MAPS[4]}, tmp_path / "made", sequence=SEQUENCE)
    spoil(output)
    with pytest.raises(InputError, match=message):
        with_masks(drive, output, None)


def test_a_folder_by_sequence_and_camera_gives_each_its_own(drive, tmp_path):
    mask_files.write({4: MAPS[5]}, tmp_path / SEQUENCE / CAMERA / "instance", "kitti360")
    (tmp_path / "other.txt").write_text(LINE)
    np.testing.assert_array_equal(with_masks(drive, tmp_path, None).read(MASKS, CAMERA, 4), MAPS[5])
    (tmp_path / f"{SEQUENCE}.txt").write_text(LINE.replace("1000", "1004"))
    np.testing.assert_array_equal(with_masks(drive, tmp_path, None).read(MASKS, CAMERA, 4), MAPS[5])
    with pytest.raises(InputError, match="is in no format that is known"):
        with_masks(replace(drive, name="third"), tmp_path, None)


def test_a_file_that_changes_meanwhile_is_refused(given):
    drive = given("kitti-mots-txt")
    file = drive.file(MASKS, CAMERA, 4)
    file.write_text(LINE * 2)
    from vsrd_ray.masks import given as module

    module._opened.cache_clear()  # as in another process
    with pytest.raises(InputError, match="has changed since the drive was opened: run the same command again"):
        drive.read(MASKS, CAMERA, 4)


def test_maps_of_kitti_step_have_instances_stuff_and_void(given):
    drive = given("kitti-step")
    assert drive.sources[MASKS].places[CAMERA].format == "kitti-step"
    assert drive.sources[MASKS].opened(drive, CAMERA).has_ids
    for frame, expected in MAPS.items():
        road = np.where(expected == 0, 7000, expected)
        np.testing.assert_array_equal(drive.read(MASKS, CAMERA, frame), road)


def test_crowds_of_kitti_step_are_unknown_and_odd_values_are_named(drive, tmp_path):
    def read(red, blue, green=0):
        channels = [np.full((HEIGHT, WIDTH), value) for value in (red, green, blue)]
        mask_files.write_png8(tmp_path / "000004.png", channels)
        return with_masks(drive, tmp_path, None).read(MASKS, CAMERA, 4)

    assert (read(13, 0) == UNKNOWN).all()  # cars without a number
    assert (read(14, 0) == 27000).all()  # trucks are not counted
    with pytest.raises(InputError, match=r"000004\.png: class 40: expected 0\.\.18, or 255 for void"):
        read(40, 0)
    with pytest.raises(InputError, match=r"000004\.png: instance 1024: expected 1\.\.999"):
        read(13, 0, green=4)
    with pytest.raises(InputError, match=r"000004\.png: instance 51200: expected less than 4096"):
        read(13, 0, green=200)
