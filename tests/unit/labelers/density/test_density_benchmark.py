"""The benchmark of density in its quick form: a fit of a short street, and tiny networks that are hardly trained."""

import re
import sys

import pytest

from benchmarks import density

pytestmark = pytest.mark.slow


def test_quick_form_prints_a_table_for_the_fit_and_for_each_network(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["density", "--quick"])
    density.main()
    head, *parts = re.split(r"^(?=.*: trained for \d+ CPU s$)", capsys.readouterr().out, flags=re.MULTILINE)
    students = ["student of fitted scenes", "the student, further by colours", "the same with fisheyes"]
    titles = [*students, "teacher by colours from scratch"]
    assert [part.partition(":")[0] for part in parts] == titles
    tables = [_rows(part) for part in (head, *parts)]
    assert all(list(table) == list(density.NAMES) for table in tables)
    fit = tables[0]
    assert fit["method"][1] > fit["1 m shell"][1] > fit["all free"][1]  # strict IE_acc
    assert fit["method"][3] > fit["4 m shell"][3]  # IoU
    first, second, third = (table["method"] for table in tables[1:4])
    assert first != second != third != first  # colours have taught the student something, and fisheyes something else
    aucs = [float(found) for found in re.findall(r"AUC (\S+);", head + "".join(parts))]
    assert len(aucs) == 5 and aucs[0] > 0.95 and max(aucs) <= 1


def _rows(text: str) -> dict[str, list[float]]:
    """Figures of each field in a table."""
    lines = {name: re.search(rf"  {name} +((?:\S+ *)+)$", text, flags=re.MULTILINE) for name in density.NAMES}
    return {name: [float(word) for word in line[1].replace("-", "nan").split()] for name, line in lines.items() if line}
