from pathlib import Path

import cv2
import numpy as np
import pytest

from vsrd_ray.data.drive import Drive
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.instances import read_instance_map
from vsrd_ray.errors import InputError, UnreadableFrameError

SEQUENCE = "2013_05_28_drive_0042_sync"
RNG = np.random.default_rng(0)
INSTANCE_MAP = RNG.integers(0, 45_000, size=(16, 20), dtype=np.uint16)


@pytest.fixture
def sequence(write_sequence) -> Drive:
    return open_drive(write_sequence({0: INSTANCE_MAP}), SEQUENCE)


def mask_file(sequence: Drive) -> Path:
    return paths.mask_file(sequence.root, sequence.name, "image_00", 0)


def write_image(sequence: Drive, height: int, width: int) -> Path:
    path = paths.image_file(sequence.root, sequence.name, "image_00", 0)
    path.parent.mkdir(parents=True)
    assert cv2.imwrite(str(path), RNG.integers(0, 255, size=(height, width, 3), dtype=np.uint8))
    return path


def test_ids_are_read_as_they_were_written(sequence: Drive) -> None:
    instance_map = read_instance_map(sequence, "image_00", 0)
    assert instance_map.dtype == np.uint16
    np.testing.assert_array_equal(instance_map, INSTANCE_MAP)


def test_an_image_of_the_same_size_is_fine(sequence: Drive) -> None:
    write_image(sequence, 16, 20)
    np.testing.assert_array_equal(read_instance_map(sequence, "image_00", 0), INSTANCE_MAP)


def test_a_mask_of_8_bits(sequence: Drive) -> None:
    assert cv2.imwrite(str(mask_file(sequence)), INSTANCE_MAP.astype(np.uint8))
    with pytest.raises(
        InputError, match=r"0000000000\.png: expected a mask of 16 bits in one channel, got 8 bits"
    ) as info:
        read_instance_map(sequence, "image_00", 0)
    assert not isinstance(info.value, UnreadableFrameError)


def test_a_mask_with_colours(sequence: Drive) -> None:
    assert cv2.imwrite(str(mask_file(sequence)), np.zeros((16, 20, 3), np.uint16))
    with pytest.raises(InputError, match="one channel, got colours"):
        read_instance_map(sequence, "image_00", 0)


def test_a_mask_of_another_size(sequence: Drive) -> None:
    assert cv2.imwrite(str(mask_file(sequence)), INSTANCE_MAP[:, :10])
    with pytest.raises(InputError, match=r"expected 20 x 16 px .*, got 10 x 16") as info:
        read_instance_map(sequence, "image_00", 0)
    assert not isinstance(info.value, UnreadableFrameError)


def test_an_image_of_another_size(sequence: Drive) -> None:
    path = write_image(sequence, 16, 40)
    with pytest.raises(InputError, match=rf"{path}: expected 20 x 16 px as in its instance mask, got 40 x 16") as info:
        read_instance_map(sequence, "image_00", 0)
    assert not isinstance(info.value, UnreadableFrameError)


def test_every_truncation_of_a_mask_is_noticed(sequence: Drive) -> None:
    path = mask_file(sequence)
    data = path.read_bytes()
    for length in (*range(0, 50), *range(50, len(data), 37), len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UnreadableFrameError, match=str(path)):
            read_instance_map(sequence, "image_00", 0)


def test_every_flipped_byte_of_a_mask_is_noticed(sequence: Drive) -> None:
    path = mask_file(sequence)
    data = path.read_bytes()
    for position in range(0, len(data), 11):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(UnreadableFrameError, match=str(path)):
            read_instance_map(sequence, "image_00", 0)


def test_a_truncated_image(sequence: Drive) -> None:
    path = write_image(sequence, 16, 20)
    data = path.read_bytes()
    for length in (0, 20, 40, len(data) // 2, len(data) - 4):
        path.write_bytes(data[:length])
        with pytest.raises(UnreadableFrameError, match=str(path)):
            read_instance_map(sequence, "image_00", 0)


def test_no_mask(sequence: Drive) -> None:
    mask_file(sequence).unlink()
    with pytest.raises(InputError, match="no instance mask"):
        read_instance_map(sequence, "image_00", 0)
