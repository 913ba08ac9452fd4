"""What took longer than there is work: rewritten in linear time, with the results of before. Nothing is timed here."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmarks import growth
from vsrd_ray.data import masks
from vsrd_ray.labelers.vsrd import outlines
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import instance_groups, plan_groups
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report.choice import choose_views
from vsrd_ray.labels.boxes.report.tables import read_tables
from vsrd_ray.runs.coverage import Coverage
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups

seeds = st.integers(0, 2**32 - 1)


def salted(seed: int) -> np.ndarray:
    """Blobs, holes and specks, at least one pixel, [H, W] bool."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 50, 2)
    smooth = ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma=rng.uniform(0, 3))
    mask = smooth >= np.quantile(smooth, rng.uniform(0, 0.99))
    return mask ^ (rng.random(mask.shape) < rng.choice([0, 0.02, 0.3]))


def slow_without_specks(mask: np.ndarray, min_share: float) -> np.ndarray:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(contour) for contour in contours]
    kept = [contour for contour, area in zip(contours, areas, strict=True) if area >= min_share * max(areas)]
    filled = np.zeros(mask.shape, dtype=np.uint8)
    cv2.drawContours(filled, kept, contourIdx=-1, color=1, thickness=cv2.FILLED)
    return filled.astype(bool)


@settings(max_examples=200, deadline=None)
@given(seed=seeds, min_share=st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_masks_are_freed_of_the_same_specks(seed, min_share):
    mask = salted(seed)
    assert np.array_equal(masks.without_specks(mask, min_share), slow_without_specks(mask, min_share))


def test_areas_of_specks_are_compared_with_the_largest_once(monkeypatch):
    looks = 0

    def counted(areas: list[float], **options: float) -> float:
        nonlocal looks
        looks += 1
        return max(areas, **options)

    monkeypatch.setattr(masks, "max", counted, raising=False)
    assert masks.without_specks(growth._salt(400)).sum() == 400
    assert looks <= 1


def slow_normals(loop: np.ndarray, chord: int) -> np.ndarray:
    du, dv = (np.roll(loop, -chord, axis=0) - np.roll(loop, chord, axis=0)).T
    normals = np.stack([-dv, du], axis=-1)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)


@settings(max_examples=200, deadline=None)
@given(seed=seeds)
def test_contours_of_many_parts_have_the_same_normals(seed):
    mask = salted(seed)
    if not mask.any():
        mask[0, 0] = True
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    loops = [contour[:, 0].astype(np.float64) for contour in found]
    contour = outlines._contour(mask)
    assert np.array_equal(contour.points, np.concatenate(loops))
    assert np.array_equal(contour.normals, np.concatenate([slow_normals(loop, 4) for loop in loops]))
    smooth = [slow_normals(loop, min(len(loop) // 3, max(4, round(0.04 * len(loop))))) for loop in loops]
    assert np.array_equal(contour.smooth_normals, np.concatenate(smooth))


def test_groups_of_a_car_that_waits_share_the_frames_around_them():
    """They had a copy each: of 20,000 frames that was more than most machines hold."""
    index = growth._index(growth._standing(200))
    found = instance_groups(index, GroupingSettings(), ["car"])
    assert len(found) > 50
    assert len({id(group.around.base) for group in found}) == 1
    for group in found:
        assert len(group.candidates) == 199 and group.target_frame not in group.candidates
    plans = plan_groups(index, sequence="a", camera="b", settings=GroupingSettings(), classes=["car"])
    assert all(len(plan.source_frames) == 16 and plan.target_frame not in plan.source_frames for plan in plans)


def test_views_of_an_instance_are_those_found_among_all_rows(here):
    inputs, groups = read_inputs(here / "out"), read_groups(here / "out")
    tables = read_tables(
        here / "out", here / "root", inputs.sequences[0], inputs=inputs, labels=read_labels(here / "out"), groups=groups
    )
    assert tables is not None and len(tables.instance_ids) > 2
    for instance, rows in enumerate(tables.rows_of_instances):
        assert rows.tolist() == np.flatnonzero(tables.rows.instances == instance).tolist()
        assert {int(tables.rows.instances[view.row]) for view in choose_views(tables, instance)} == {instance}
    nobody = replace(tables, rows=replace(tables.rows, instances=tables.rows.instances[:0]))
    assert [len(rows) for rows in nobody.rows_of_instances] == [0] * len(tables.instance_ids)


@pytest.mark.parametrize("prepare", [growth._many_groups, growth._long_groups])
def test_texts_of_long_groups_hold_all_rows_of_their_frames(prepare: Callable, tmp_path):
    prepare(70, tmp_path)()  # more than are written at once
    texts = sorted((tmp_path / "kitti").rglob("*.txt"))
    assert len(texts) == 70
    of_each = 1 if prepare is growth._many_groups else 8
    assert {len(text.read_text().splitlines()) for text in texts} == {of_each}


@given(st.lists(st.sets(st.integers(0, 8), min_size=1), max_size=8))
def test_frames_are_complete_once_their_last_group_is_labelled(frames):
    groups = [growth._group(n, tuple(sorted(some)), 26001) for n, some in enumerate(frames)]
    coverage, complete = Coverage(groups, labelled=()), []
    for n, group in enumerate(groups):
        complete += coverage.add(group)
        assert sorted(complete) == sorted(set().union(*frames) - set().union(*frames[n + 1 :], set()))


@pytest.mark.parametrize("part", growth.PARTS, ids=lambda part: part.name)
def test_every_part_of_the_benchmark_runs(part, tmp_path):
    part.prepare(max(part.size // 500, 4), tmp_path)()
