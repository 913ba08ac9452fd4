import pytest
from builders import make_plan

from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.runs.coverage import Coverage


def group(group_id: str, *frames: int) -> GroupPlan:
    return make_plan(group_id, frames)


A, B, C = group("a", 1, 2, 3), group("b", 3, 4), group("c", 4, 5)


def test_frames_are_complete_with_the_last_of_their_groups() -> None:
    coverage = Coverage([A, B, C], labelled=())
    assert coverage.complete_frames() == []
    assert coverage.add(A) == [1, 2]
    assert coverage.add(C) == [5]
    assert coverage.add(B) == [3, 4]
    assert coverage.complete_frames() == [1, 2, 3, 4, 5]


def test_what_is_labelled_already_is_not_waited_for() -> None:
    coverage = Coverage([A, B, C], labelled={"a", "b"})
    assert coverage.complete_frames() == [1, 2, 3]
    assert coverage.add(C) == [4, 5]


@pytest.mark.parametrize(("frames", "groups"), [([1], [A]), ([3, 2], [A, B]), ([3, 4], [A, B, C])])
def test_groups_of_frames_are_named_once(frames: list[int], groups: list[GroupPlan]) -> None:
    assert Coverage([A, B, C], labelled=()).groups_of(frames) == groups
