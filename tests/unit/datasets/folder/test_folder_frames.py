"""Which frame the name of an image stands for: padding, gaps, suffixes, times, and names without numbers."""

import pytest

from vsrd_ray.datasets.folder.frames import read_frames, stem_of
from vsrd_ray.errors import InputError


@pytest.fixture
def drive(tmp_path):
    """Makes a drive of empty files."""

    def make(images=(), masks=()):
        for folder, names in (("images", images), ("masks", masks)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / name).touch()
        return tmp_path

    return make


def test_numbers_at_the_end_of_names_are_frames_whatever_padding_and_suffix(drive):
    frames = read_frames(drive(["cam0_0003.PNG", "IMG-7.jpg", "000010.jpeg", ".hidden.png", "notes.txt"]))
    assert frames.images == {3: "cam0_0003.PNG", 7: "IMG-7.jpg", 10: "000010.jpeg"}
    assert frames.numbers == (3, 7, 10)
    assert frames.of_image("somewhere/else/frame_00007.jpg") == 7
    assert frames.of_image("8.png") is None


def test_names_without_numbers_are_counted_in_their_order(drive):
    frames = read_frames(drive(["c2x.png", "b.png", "a.jpg"], ["b.png", "a.jpg.png"]))
    assert frames.images == {0: "a.jpg", 1: "b.png", 2: "c2x.png"}
    assert frames.masks == {0: "a.jpg.png", 1: "b.png"}


def test_names_that_are_seconds_are_times(drive):
    frames = read_frames(drive(["9.500000.png", "10.250000.png"]))
    assert frames.images == {0: "9.500000.png", 1: "10.250000.png"}
    assert frames.times_s == {0: 9.5, 1: 10.25}


def test_numbers_too_large_for_frames_are_names(drive):
    frames = read_frames(drive(["1403636579763555584.png", "1403636579813555456.png"]))
    assert frames.numbers == (0, 1)


def test_masks_without_images_are_frames(drive):
    assert read_frames(drive(masks=["4.png", "6.png"])).numbers == (4, 6)


def test_masks_of_no_image_and_other_pictures_are_named(drive):
    pictures, masks = read_frames(drive(["a.png", "b.png", "c.tif"], ["a.png", "x.png"])).warnings
    assert "1 files such as c.tif are left out" in pictures
    assert "1 masks such as x.png have no image's name" in masks


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["0001.png", "1.jpg"], [], "0001.png and 1.jpg are both of frame 1: remove one of them"),
        (["1.png"], ["a_1.png", "1.png"], "1.png and a_1.png are both of frame 1"),
        (["1.png"], ["1.jpg"], "1.jpg: JPEG changes ids"),
        (["1.png", "preview.png"], [], "1 ends with its frame's number, and preview with none up to"),
        ([], [], "no image, mask or video"),
    ],
)
def test_what_is_refused(drive, images, masks, message):
    with pytest.raises(InputError, match=message):
        read_frames(drive(images, masks))


def test_lines_are_frames_in_order_or_by_number(drive):
    frames = read_frames(drive(["2.png", "4.png", "6.png"]))
    assert list(frames.of_lines(3, place="p")) == [2, 4, 6]
    assert list(frames.of_lines(9, place="p")) == list(range(9))
    for count in (2, 4, 6):
        with pytest.raises(InputError, match=f"p: {count} lines for 3 frames"):
            frames.of_lines(count, place="p")


def test_stems():
    assert stem_of("./images/a.b_12.JPG.png") == "a.b_12"
