from pathlib import Path

import pytest

from vsrd_ray.storage.atomic import atomic_write


def test_a_finished_block_puts_the_file_in_place(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "table.parquet"
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".tmp"
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_block_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "labels.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="disk"), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk full")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "labels.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(target):
        pass
    assert target.read_text() == "old"
