from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import slow_grouping
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.index import INDEX_SCHEMA, empty_frames
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import choose_sources, instance_groups, plan_groups

CAR = {"class_name": "car", "area": 500, "box_left": 10, "box_top": 20, "box_right": 60, "box_bottom": 50}
TWO_SOURCES = GroupingSettings(num_sources=2)


def index_of(shown: dict[int, Iterable[int]], skipped: Iterable[int] = ()) -> pa.Table:
    """An index in which each frame shows some large cars."""
    rows = []
    for frame, ids in shown.items():
        rows += [{"frame": frame, "instance_id": instance_id, **CAR} for instance_id in ids] or [{"frame": frame}]
    rows += [{"frame": frame, "skipped": "no pose"} for frame in skipped]
    return pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)


def test_groups_by_hand() -> None:
    # Frames 0-6 with a gap at 3; a car b joins at 4.
    shown = {0: [1], 1: [1], 2: [1], 4: [1, 2], 5: [1, 2], 6: [1]}
    groups = instance_groups(index_of(shown, skipped=[3]), TWO_SOURCES, ["car"])
    assert [group.instance_ids for group in groups] == [(1,), (1, 2)]
    assert groups[0].frames == (0, 1, 2, 6)
    assert groups[0].target_frame == 2  # index 4 // 2
    assert groups[0].candidates == (0, 1, 4, 5, 6)
    assert groups[1].frames == (4, 5)
    assert groups[1].target_frame == 5
    assert groups[1].candidates == (0, 1, 2, 4, 6)


def test_the_walk_stops_below_half_and_not_at_half() -> None:
    shown = {0: [1, 2], 1: [1], 2: [3], 3: [1, 2], 4: [1, 2, 3], 5: [1, 2]}
    groups = instance_groups(index_of(shown), TWO_SOURCES, ["car"])
    by_ids = {group.instance_ids: group for group in groups}
    # From frame 5 back to 3; frame 2 shows none of them. Frame 0 has one candidate only and is no target.
    assert by_ids[(1, 2)].frames == (3, 5)
    assert by_ids[(1, 2)].candidates == (3, 4)
    assert (3,) not in by_ids


def test_too_few_candidates_and_frames_without_instances_make_no_target() -> None:
    assert instance_groups(index_of({0: [1], 1: [1]}), TWO_SOURCES, ["car"]) == []
    assert instance_groups(index_of({frame: [] for frame in range(9)}), TWO_SOURCES, ["car"]) == []
    assert instance_groups(index_of({}), TWO_SOURCES, ["car"]) == []


def test_what_counts() -> None:
    index = index_of({frame: [1, 2, 3, 4] for frame in range(3)}).to_pylist()
    changes = {1: {"area": 127}, 2: {"box_right": 25}, 3: {"class_name": "bus"}, 4: {"area": 128, "box_bottom": 36}}
    rows = [{**row, **changes[row["instance_id"]]} for row in index]
    table = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    (group,) = instance_groups(table, TWO_SOURCES, ["car"])
    assert group.instance_ids == (4,)
    (group,) = instance_groups(table, TWO_SOURCES, ["car", "bus"])
    assert group.instance_ids == (3, 4)


def test_a_plan() -> None:
    shown = {frame: [26002, 26001] for frame in range(10, 45)}
    (plan,) = plan_groups(
        index_of(shown), sequence="drive", camera="image_00", settings=GroupingSettings(), classes=["car"]
    )
    assert plan.group_id == "drive-image_00-0000000027"
    assert plan.target_frame == 27
    assert plan.instance_ids == (26001, 26002)
    assert plan.label_frames == tuple(range(10, 45))
    # 34 candidates in 2 runs of 3 and 14 of 2.
    assert plan.source_frames == (11, 14, 17, 19, 21, 23, 25, 28, 30, 32, 34, 36, 38, 40, 42, 44)
    assert plan.instance_views == (tuple(sorted((27, *plan.source_frames))),) * 2
    assert plan.best_frames == (27, 27)


def test_sources_of_as_many_candidates_are_all_of_them() -> None:
    assert choose_sources((3, 5, 9), 3) == (3, 5, 9)


def test_empty_frames() -> None:
    table = index_of({0: [1], 1: [], 2: []}, skipped=[3])
    small = {"frame": 4, "instance_id": 5, **CAR, "area": 1}
    table = pa.concat_tables([table, pa.Table.from_pylist([small], schema=INDEX_SCHEMA)])
    assert empty_frames(table, ["car"]) == [1, 2]
    assert empty_frames(table, ["bus"]) == [0, 1, 2, 4]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_sources=st.integers(1, 5),
    min_shared=st.sampled_from([0.0, 0.3, 0.5, 2 / 3, 1.0]),
)
def test_equals_the_slow_twin(seed: int, num_sources: int, min_shared: float) -> None:
    rng = np.random.default_rng(seed)
    frames = np.flatnonzero(rng.random(40) < 0.85)
    starts, lengths = rng.integers(-5, 40, size=6), rng.integers(1, 30, size=6)
    shown = {
        int(frame): {26001 + n for n in range(6) if starts[n] <= frame < starts[n] + lengths[n] and rng.random() < 0.9}
        for frame in frames
    }
    grouping = GroupingSettings(num_sources=num_sources, min_shared=min_shared)
    groups = instance_groups(index_of(shown), grouping, ["car"])
    expected = slow_grouping.groups(shown, min_shared=min_shared, num_sources=num_sources)
    assert [(list(g.instance_ids), list(g.frames), g.target_frame, list(g.candidates)) for g in groups] == expected
    for group in groups:
        chosen = slow_grouping.sources(group.candidates, num_sources)
        assert list(choose_sources(group.candidates, num_sources)) == chosen
