import io
import logging
import sys

from builders import make_progress

from vsrd_ray.pipeline.progress import GroupProgress, progress_line


def test_line_tells_rate_time_left_and_failures():
    progress = make_progress(planned=1, groups=10, groups_ok=2)
    assert progress_line(progress) == "2/10 groups, starting"
    progress.groups_ok, progress.groups_failed, progress.groups_new, progress.seconds = 4, 1, 3, 90.0
    assert progress_line(progress) == "5/10 groups, 2.0 a minute, 2 min 30 s left, 1 failed"
    progress.seconds, progress.groups_retried = 5400.0, 2
    assert progress_line(progress) == "5/10 groups, 2.0 an hour, 2 h 30 min left, 1 failed, 2 tried again"


def test_line_of_many_sequences_tells_how_many_are_planned():
    progress = make_progress(sequences=9, planned=2, groups=10)
    assert progress_line(progress) == "0/10 groups of 2/9 sequences, starting"


def test_in_a_terminal_there_is_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = make_progress(planned=1, groups=4, groups_ok=1)
    with GroupProgress(progress) as display:
        progress.groups_failed += 1
        display.update()
    drawn = terminal.getvalue().split("\r")
    assert any(line.startswith(" 25%|") and line.rstrip().endswith("| 1/4 groups, starting") for line in drawn)
    assert any(line.startswith(" 50%|") for line in drawn)
    assert drawn[-1].strip() == ""


def test_without_a_terminal_the_last_group_gives_a_line(caplog):
    progress = make_progress(planned=1, groups=2)
    with caplog.at_level(logging.INFO), GroupProgress(progress) as display:
        progress.groups_ok = progress.groups_new = 1
        display.update()
        assert not caplog.records
        progress.groups_ok = progress.groups_new = 2
        display.update()
    (record,) = caplog.records
    assert record.message.startswith("2/2 groups")
