import pytest

from vsrd_ray.datasets.kitti360.classes import CLASSES


@pytest.mark.parametrize(
    ("instance_id", "name"), [(26001, "car"), (7000, "road"), (44999, "unknown object"), (65535, "unlabeled")]
)
def test_class_names(instance_id: int, name: str) -> None:
    assert CLASSES.name_of(instance_id) == name
