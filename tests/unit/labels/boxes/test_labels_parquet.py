import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import make_label, make_labels

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD, has_velocity, velocities_of
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA, corrected_rows, is_human_file, read_labels, read_reviewed
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet


def label_table(frames, instance_id=26001):
    return make_labels(*(make_label(frame, instance_id, camera="x") for frame in frames))


def test_pieces_come_back_sorted_with_their_sequence(tmp_path):
    write_parquet(label_table([5, 3]), tmp_path / "labels" / "sequence=b_0002" / "one.parquet")
    write_parquet(label_table([4]), tmp_path / "labels" / "sequence=b_0002" / "two.parquet")
    write_parquet(label_table([9]), tmp_path / "labels" / "sequence=a_0001" / "one.parquet")
    labels = read_labels(tmp_path)
    assert labels.schema.names == [*LABEL_SCHEMA.names, "sequence"]
    assert list(zip(labels["sequence"].to_pylist(), labels["frame"].to_pylist(), strict=True)) == [
        ("a_0001", 9), ("b_0002", 3), ("b_0002", 4), ("b_0002", 5)
    ]  # fmt: skip
    assert read_labels(tmp_path, sequence="b_0002")["frame"].to_pylist() == [3, 4, 5]
    assert read_labels(tmp_path, sequence="c_0003").num_rows == 0


def test_equal_tables_give_equal_bytes_however_they_are_chunked(tmp_path):
    whole, parts = label_table([1, 2]), pa.concat_tables([label_table([1]), label_table([2])])
    write_parquet(whole, tmp_path / "a.parquet")
    write_parquet(parts, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_file_itself_holds_schema_and_version_but_no_sequence(tmp_path):
    path = tmp_path / "labels" / "sequence=s" / "one.parquet"
    write_parquet(label_table([1]), path)
    stored = pq.ParquetFile(path).schema_arrow
    assert stored.equals(LABEL_SCHEMA, check_metadata=True)
    assert pd.read_parquet(tmp_path / "labels")["sequence"].tolist() == ["s"]


def test_an_empty_dataset_is_an_empty_table(tmp_path):
    (tmp_path / "labels").mkdir()
    assert read_labels(tmp_path).num_rows == 0
    write_parquet(LABEL_SCHEMA.empty_table(), tmp_path / "labels" / "sequence=s" / "none.parquet")
    assert read_labels(tmp_path).num_rows == 0


def test_groups_are_sorted_by_id(tmp_path):
    base = {"sequence": "s", "target_frame": 1, "frames": [1, 2], "instance_ids": [26001], "status": "ok"}
    for name in ("b", "a"):
        row = base | {"group_id": name, "error": None, "attempts": 1, "seconds": 0.5}
        write_parquet(pa.Table.from_pylist([row], schema=GROUP_SCHEMA), tmp_path / "groups" / f"{name}.parquet")
    groups = read_groups(tmp_path)
    assert groups["group_id"].to_pylist() == ["a", "b"] and groups["frames"].to_pylist() == [[1, 2], [1, 2]]


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=f"no labels in {tmp_path}"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match=f"no groups in {tmp_path}"):
        read_groups(tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    path = tmp_path / "labels" / "sequence=s" / "torn.parquet"
    write_parquet(label_table([1]), path.with_name("a.parquet"))
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=rf"^{path}: cannot be .*; remove it, and label again"):
        read_labels(tmp_path)


def test_a_file_that_is_damaged_within_is_named(tmp_path):
    """Its head and its foot are whole, so that what fails is to read its pages."""
    folder = tmp_path / "labels" / "sequence=s"
    write_parquet(label_table([1]), folder / "a.parquet")
    write_parquet(label_table(range(3000)), folder / "b.parquet")
    content = bytearray((folder / "b.parquet").read_bytes())
    content[4:2000] = bytes(byte ^ 0x5A for byte in content[4:2000])
    (folder / "b.parquet").write_bytes(content)
    with pytest.raises(InputError, match=rf"^{folder}/b\.parquet: cannot be read as Parquet \(.+\); remove it"):
        read_labels(tmp_path)


def test_a_file_without_a_column_of_labels_is_named(tmp_path):
    folder = tmp_path / "labels" / "sequence=s"
    write_parquet(label_table([1]), folder / "a.parquet")
    write_parquet(label_table([2]).drop_columns(["y_world"]), folder / "b.parquet")
    with pytest.raises(InputError, match=rf"^{folder}/b\.parquet: no table of labels \(no values of y_world\); remove"):
        read_labels(tmp_path)
    # columns that say nothing about some boxes may be missing, as in labels from before they were there
    write_parquet(label_table([2]).drop_columns(["shape", "silhouette_loss"]), folder / "b.parquet")
    assert read_labels(tmp_path)["shape"].to_pylist() == [[0.5], None]


def test_rows_of_before_there_were_velocities_are_read_beside_others(tmp_path):
    folder = tmp_path / "labels" / "sequence=s"
    write_parquet(label_table([1]), folder / "a.parquet")
    old = make_labels(make_label(2, 26001, camera="x"), make_label(2, 26002, camera="x", is_moving=True))
    write_parquet(old.drop_columns(list(VELOCITY_WORLD)), folder / "b.parquet")
    labels = read_labels(tmp_path)
    assert labels["velocity_x_world"].to_pylist() == labels["velocity_y_world"].to_pylist() == [0.0, None, None]
    assert velocities_of(labels, has_times=True)[:2].tolist() == [[0, 0], [0, 0]]  # what stands has no other
    assert has_velocity(labels).tolist() == [True, False, False]


def test_damaged_corrections_are_not_labelled_again(tmp_path):
    write_corrections(tmp_path, [2], camera="image_00")
    rows = corrected_rows(tmp_path, sequence="s", camera="image_00")
    assert is_human_file(rows.name)
    rows.write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=rf"^{rows}: cannot .*file in {tmp_path}/corrections, and import .* again"):
        read_labels(tmp_path)


def from_human(table):
    position = table.column_names.index("source")
    return table.set_column(position, "source", pa.array(["human"] * table.num_rows))


def write_corrections(output, reviewed, sequence="s", camera="x"):
    write_parquet(label_table([1, 2, 3]), output / "labels" / f"sequence={sequence}" / "a.parquet")
    human = from_human(label_table([2, 3], instance_id=26002))
    write_parquet(human, corrected_rows(output, sequence=sequence, camera=camera))
    table = pa.Table.from_pylist([{"camera": camera, "frame": frame} for frame in reviewed], schema=REVIEW_SCHEMA)
    write_parquet(table, output / "corrections" / f"{sequence}.parquet")


def sources(table):
    return list(zip(table["frame"].to_pylist(), table["source"].to_pylist(), strict=True))


def test_in_reviewed_frames_corrected_rows_alone_count(tmp_path):
    write_corrections(tmp_path, [1, 2])
    # frame 1 was reviewed and nothing is left in it; the row of 3 is of an import that was killed before it was done
    assert sources(read_labels(tmp_path)) == [(2, "human"), (3, "x")]
    assert sources(read_labels(tmp_path, prefer="auto")) == [(1, "x"), (2, "x"), (3, "x")]
    assert read_reviewed(tmp_path) == {("s", "x"): frozenset({1, 2})}


def test_other_cameras_and_sequences_are_not_reviewed(tmp_path):
    write_corrections(tmp_path, [1, 2], camera="image_01")
    write_parquet(label_table([1]), tmp_path / "labels" / "sequence=t" / "a.parquet")
    assert sources(read_labels(tmp_path)) == [(1, "x"), (2, "x"), (3, "x"), (1, "x")]


def test_reviewed_frames_whose_rows_are_gone_are_not_taken_for_empty(tmp_path):
    write_corrections(tmp_path, [1, 2])
    reviewed, rows = tmp_path / "corrections" / "s.parquet", corrected_rows(tmp_path, sequence="s", camera="x")
    kept = rows.read_bytes()
    rows.unlink()
    said = rf"^{reviewed} lists frames of x .*, but {rows} .* is gone: put that back, or remove {reviewed} as well"
    for read in (read_labels, read_reviewed):
        with pytest.raises(InputError, match=said):
            read(tmp_path)
    assert sources(read_labels(tmp_path, prefer="auto")) == [(1, "x"), (2, "x"), (3, "x")]
    # either mend
    rows.write_bytes(kept)
    assert sources(read_labels(tmp_path)) == [(2, "human"), (3, "x")]
    rows.unlink()
    reviewed.unlink()
    assert sources(read_labels(tmp_path)) == [(1, "x"), (2, "x"), (3, "x")]


def test_a_damaged_table_of_reviewed_frames_is_named(tmp_path):
    write_corrections(tmp_path, [1])
    (tmp_path / "corrections" / "s.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=r"corrections/s\.parquet: cannot be read.*remove it and import again"):
        read_labels(tmp_path)
