"""How the boxes benchmark finds the label of a truth, by hand-made cases."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.box_scores import Truths, concatenate, score, ways_of
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD, box_columns

A, B, NEW, FALSE = 26001, 26002, 26003, 26004
PLACES = {A: 0.0, B: 10.0, FALSE: 50.0}


def cars(objects: Sequence[int]) -> UprightBoxes:
    count = len(objects)
    centers = np.stack([[PLACES[one] for one in objects], np.zeros(count), np.zeros(count)], axis=-1)
    return UprightBoxes(centers, np.tile([4.0, 2.0, 1.5], (count, 1)), np.zeros(count))


def truths(*, is_moving: bool = False) -> Truths:
    """Two cars in two frames."""
    ids = np.array([A, B, A, B])
    return Truths(np.array([0, 0, 1, 1]), ids, np.full(4, is_moving), cars(ids.tolist()), np.zeros(4))


def labels(
    *rows: tuple[int, int, int], confidence: float = 0.9, moves: bool = False, tracks: tuple[int, ...] | None = None
) -> pa.Table:
    """Label rows: each a frame, an id, and the object in the place of which its box is; and their tracks."""
    frames, ids, objects = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"frame": pa.array(frames, pa.int32()), "instance_id": pa.array(ids, pa.int32())}
    columns |= {"track_id": pa.array(ids if tracks is None else tracks, pa.int32())}
    columns |= {"confidence": pa.array([confidence] * len(rows), pa.float64())}
    columns |= {"is_moving": pa.array([moves] * len(rows), pa.bool_())}
    columns |= {name: pa.array([1.0 if moves else 0.0] * len(rows), pa.float64()) for name in VELOCITY_WORLD}
    return pa.table(columns | {name: pa.array(values) for name, values in box_columns(cars(objects)).items()})


def span(new_id: int, true_id: int | None, first: int, last: int) -> dict[str, int | None]:
    return {"id": new_id, "true_id": true_id, "first": first, "last": last, "masks": last - first + 1}


def test_good_labels_are_found_by_id_and_by_place() -> None:
    scores = score(truths(), labels((0, A, A), (0, B, B), (1, A, A), (1, B, B)))
    for ious in (scores.by_id, scores.by_place, scores.by_mask):
        np.testing.assert_allclose(ious, 1)
    assert scores.wrong == 0


def test_a_missing_label_counts_0_and_says_nothing() -> None:
    scores = score(truths(), labels((0, A, A)))
    np.testing.assert_allclose(scores.by_id, [1, 0, 0, 0])
    np.testing.assert_allclose(scores.by_place, [1, 0, 0, 0])
    assert scores.is_labelled.tolist() == [True, False, False, False]
    assert scores.wrong == 0
    assert not score(truths(), labels()).by_place.any()


def test_swapped_ids_are_right_by_place_and_wrong_by_id() -> None:
    spans = [span(A, A, 0, 0), span(B, B, 0, 0), span(A, B, 1, 1), span(B, A, 1, 1)]
    scores = score(truths(), labels((0, A, A), (0, B, B), (1, A, B), (1, B, A)), spans)
    np.testing.assert_allclose(scores.by_id, [1, 1, 0, 0])
    np.testing.assert_allclose(scores.by_place, 1)
    np.testing.assert_allclose(scores.by_mask, 1)


def test_the_second_part_of_a_cut_track_has_no_truth_by_id() -> None:
    spans = [span(A, A, 0, 0), span(NEW, A, 1, 1), span(B, B, 0, 1)]
    scores = score(truths(), labels((0, A, A), (0, B, B), (1, NEW, A), (1, B, B)), spans)
    np.testing.assert_allclose(scores.by_id, [1, 1, 0, 1])
    np.testing.assert_allclose(scores.by_place, 1)


def test_by_id_goes_by_tracks() -> None:
    """Parts that are joined count as one, and of swapped ids that are told apart each is right."""
    spans = [span(A, A, 0, 0), span(NEW, A, 1, 1), span(B, B, 0, 1)]
    rows = labels((0, A, A), (0, B, B), (1, NEW, A), (1, B, B), tracks=(A, B, A, B))
    np.testing.assert_allclose(score(truths(), rows, spans).by_id, 1)
    spans = [span(A, A, 0, 0), span(B, B, 0, 0), span(A, B, 1, 1), span(B, A, 1, 1)]
    rows = labels((0, A, A), (0, B, B), (1, A, B), (1, B, A), tracks=(A, B, B, A))
    np.testing.assert_allclose(score(truths(), rows, spans).by_id, 1)


def test_wrong_labels_count_if_they_are_confident() -> None:
    spans = [span(A, A, 0, 1), span(B, B, 0, 1), span(FALSE, None, 0, 0)]
    rows = ((0, A, B), (0, B, B), (1, A, A), (1, B, B), (0, FALSE, FALSE))
    assert score(truths(), labels(*rows), spans).wrong == pytest.approx(2 / 4)  # one car's, and that of no car
    assert score(truths(), labels(*rows, confidence=0.4), spans).wrong == 0


def test_an_unlabelled_mover_is_not_said_to_move() -> None:
    assert score(truths(is_moving=True), labels((0, A, A), moves=True)).said_to_move.tolist() == [True] + 3 * [False]
    assert score(truths(), labels((0, A, A), moves=True)).said_to_move.tolist() == [True]


def test_ways_are_of_all_boxes_of_an_object() -> None:
    """A car that is said to move may stand: its boxes tell."""
    boxes = cars([A, A, B])
    boxes.centers[:2, :2] = [[1.0, 2.0], [4.0, 6.0]]
    truth = TruthBoxes(np.array([A, A, B], dtype=np.int32), ("car",) * 3, boxes, np.array([0, 9, STATIC], np.int32))
    np.testing.assert_allclose(ways_of(truth, np.array([B, A, A])), [0, 5, 5])


def test_headings_are_across_from_45_degrees_on_front_and_rear_alike() -> None:
    turned = labels((0, A, A), (0, B, B), (1, A, A), (1, B, B))
    yaws = pa.array(np.deg2rad([40.0, 50.0, 180.0, -90.0]))
    turned = turned.set_column(turned.column_names.index("yaw_world"), "yaw_world", yaws)
    assert score(truths(), turned).is_across.tolist() == [False, True, False, True]


def test_parts_are_put_together() -> None:
    one = score(truths(), labels((0, A, A)))
    assert len(concatenate([one, one]).where(np.arange(8) < 5).by_id) == 5
