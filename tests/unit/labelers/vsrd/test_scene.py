import itertools

import numpy as np
import pyarrow as pa
import pytest
from builders import make_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.scene import plan_scene


def row(frame: int, instance_id: int, *, width: int = 50, height: int = 30, on_border: bool = False, **others) -> dict:
    """An index row of a car with a mask that fills its box; instances are far from each other."""
    left = others.pop("left", 1000 * instance_id)
    box = {"box_left": left, "box_top": 20, "box_right": left + width, "box_bottom": 20 + height}
    size = {"area": width * height, "touches_border": on_border, "touches_instance": False}
    return {"frame": frame, "instance_id": instance_id, "class_name": "car", **box, **size, **others}


def windows_of(rows: list[dict], *, classes: tuple[str, ...] = ("car",), **changes) -> list[GroupPlan]:
    index = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    grouping = GroupingSettings(kind="scene", **changes)
    return plan_scene(index, sequence="drive", camera="image_00", settings=grouping, classes=classes)


def test_windows_by_hand() -> None:
    """Three cars along a drive with a gap at 4; the first car is passed again at 90."""
    rows = [row(frame, 1, width=20 + frame) for frame in (0, 1, 2, 3)] + [row(90, 1, width=15, height=12)]
    rows += [row(frame, 2, width=60 - frame) for frame in (2, 3, 5)]
    rows += [row(frame, 3) for frame in (5, 6)] + [{"frame": 4, "skipped": "no pose"}, {"frame": 7}]
    first, second = windows_of(rows, window_instances=2)
    assert first == make_plan(
        "drive-image_00-w00000",
        sequence="drive",
        camera="image_00",
        target_frame=3,  # the later one of two middle ones
        source_frames=(0, 1, 2, 5, 90),
        label_frames=(0, 1, 2, 3, 5, 6, 7, 90),
        instance_ids=(1, 2),
        instance_views=((0, 1, 2, 3, 90), (2, 3, 5)),
        best_frames=(3, 2),
        gap_frames=((5, 6, 7), (0, 1, 6, 7)),  # 3 of 13 masks are missing: two in a row with more than 5 %
        watched_frames=((), (0, 1, 6, 7, 90)),
    )
    assert (second.group_id, second.instance_ids) == ("drive-image_00-w00001", (3,))
    assert (second.target_frame, second.source_frames) == (5, (6,))


def test_instance_of_one_frame_is_a_window_without_sources() -> None:
    (window,) = windows_of([row(7, 1)])
    assert (window.target_frame, window.source_frames, window.instance_views) == (7, (), ((7,),))


def test_best_view_is_the_largest_mask_that_the_border_does_not_cut() -> None:
    cut, whole = row(0, 1, width=90, on_border=True), [row(1, 1, width=40), row(2, 1, width=60), row(3, 1, width=60)]
    assert windows_of([cut, *whole])[0].best_frames == (2,)
    assert windows_of([cut, row(1, 1, width=40, on_border=True)])[0].best_frames == (0,)


def test_small_masks_are_labelled_but_are_no_views() -> None:
    rows = [row(0, 1, height=9), row(1, 1, height=10), row(2, 1, height=30)]
    (window,) = windows_of(rows)
    assert window.instance_views == ((1, 2),) and window.label_frames == (0, 1, 2)
    assert window.source_frames == (1,)


def test_instances_that_are_never_large_enough_for_a_useful_view_have_their_largest_ones() -> None:
    rows = [row(0, 1, height=6), row(1, 1, height=7), row(2, 1, height=7)]
    (window,) = windows_of(rows, min_box_side=5)
    assert window.instance_views == ((1, 2),)


@pytest.mark.parametrize("changes", [{"class_name": "bus"}, {"area": 127}, {"width": 15}])
def test_instances_that_count_nowhere_are_left_out(changes: dict) -> None:
    assert windows_of([row(0, 1, **changes)]) == []
    (window,) = windows_of([row(0, 1, **changes), row(0, 2)])
    assert window.instance_ids == (2,)


def test_other_classes_can_be_asked_for() -> None:
    (window,) = windows_of([row(0, 1, class_name="bus"), row(0, 2)], classes=("car", "bus"))
    assert window.instance_ids == (1, 2)


def test_sequence_without_instances_has_no_window() -> None:
    assert windows_of([]) == windows_of([{"frame": 0}]) == []


def places(frames, left: int, **values) -> dict[int, dict]:
    """Where a mask is in the image in each frame."""
    return {frame: {"left": left + 5 * frame, **values} for frame in frames}


def test_ids_that_may_be_of_one_object_are_fitted_together() -> None:
    """A track goes on under another id, behind some that are nearer to its first part."""
    before, after = places(range(10), 100, width=40), places(range(11, 20), 100, width=60)
    rows = [row(frame, 1, **values) for frame, values in before.items()]
    rows += [row(frame, 9, **values) for frame, values in after.items()]
    rows += [row(frame, n) for n in (2, 3, 4) for frame in range(10 + n, 15 + n)]
    assert windows_of(rows, window_instances=1)[0].instance_ids == (1, 9)
    elsewhere = [entry if entry["instance_id"] != 9 else row(entry["frame"], 9) for entry in rows]
    assert [len(window.instance_ids) for window in windows_of(elsewhere, window_instances=1)] == [1] * 5


def test_views_beside_a_nearer_object_whose_mask_is_missing_are_left_out() -> None:
    near = places([frame for frame in range(30) if frame % 5 != 2], 100, width=80, height=60)
    far = places(range(30), 170, width=40)
    rows = [row(frame, 1, **values) for frame, values in near.items()]
    rows += [row(frame, 2, **values) for frame, values in far.items()]
    (window,) = windows_of(rows, num_views=30)
    assert window.gap_frames[0][:6] == (2, 7, 12, 17, 22, 27)
    assert window.instance_views[0] == tuple(near)
    assert window.instance_views[1] == tuple(near)  # the frames without it tell nothing of the farther one
    apart = [row(frame, 2) for frame in range(30)]
    assert windows_of(rows[: len(near)] + apart, num_views=30)[0].instance_views[1] == tuple(range(30))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_views=st.integers(1, 8), window_instances=st.integers(1, 5))
def test_what_holds_for_any_street(seed: int, num_views: int, window_instances: int) -> None:
    rng = np.random.default_rng(seed)
    frames = np.flatnonzero(rng.random(60) < 0.8)
    rows = [
        row(
            int(frame), n, width=int(rng.integers(1, 40)), height=int(rng.integers(1, 40)), on_border=rng.random() < 0.4
        )
        for n, (start, length) in enumerate(rng.integers((-5, 1), (60, 30), size=(rng.integers(1, 15), 2)))
        for frame in frames
        if start <= frame < start + length and rng.random() < 0.9
    ]
    values = {"num_views": num_views, "window_instances": window_instances}
    windows = windows_of(rows, **values)
    assert windows == windows_of([rows[i] for i in rng.permutation(len(rows))], **values)
    assert len({window.group_id for window in windows}) == len(windows)

    at = {(entry["instance_id"], entry["frame"]): entry for entry in rows}
    side = {key: min(e["box_right"] - e["box_left"], e["box_bottom"] - e["box_top"]) for key, e in at.items()}
    counting = {key[0] for key, entry in at.items() if entry["area"] >= 128 and side[key] >= 16}
    ids = [instance_id for window in windows for instance_id in window.instance_ids]
    assert sorted(ids) == sorted(counting)  # each in exactly one window
    sizes = [len(window.instance_ids) for window in windows]
    assert max(sizes, default=0) <= window_instances and max(sizes, default=0) - min(sizes, default=0) <= 1
    for earlier, later in itertools.pairwise(windows):
        assert max(earlier.best_frames) <= min(later.best_frames)
    for window in windows:
        union = {frame for views in window.instance_views for frame in views}
        assert window.target_frame in window.best_frames
        assert set(window.source_frames) == union - {window.target_frame}
        shown = {frame for instance_id, frame in at if instance_id in window.instance_ids}
        for numbers in (window.instance_ids, window.source_frames, window.label_frames, *window.instance_views):
            assert list(numbers) == sorted(set(numbers))
        around = {frame for some in (*window.gap_frames, *window.watched_frames) for frame in some}
        assert set(window.label_frames) == shown | around
        for instance_id, gaps in zip(window.instance_ids, window.gap_frames, strict=True):
            assert not any((instance_id, frame) in at for frame in gaps)
        for instance_id, views, best in zip(
            window.instance_ids, window.instance_views, window.best_frames, strict=True
        ):
            useful = [frame for frame in frames if side.get((instance_id, frame), -1) >= 10]
            assert set(views) <= set(useful) and len(views) == min(len(useful), num_views)
            whole = [frame for frame in views if not at[instance_id, frame]["touches_border"]]
            assert best == max(whole or views, key=lambda frame: (at[instance_id, frame]["area"], -frame))
