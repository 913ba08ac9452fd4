"""Reports of runs that have little to show: every page opens, says what there is, and leaves the console empty."""

import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hands import count, texts, values
from runs import SEQUENCE, run_command

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

pytestmark = pytest.mark.slow

FRAME = 12
ROUTES = (
    "#summary",
    "#map",
    "#gallery",
    "#gallery/boxes/worst/up",
    "#instances",
    "#groups",
    f"#frame/{SEQUENCE}/{FRAME}",
)


def rewrite(output, labels, groups):
    """Give a run other labels, and other groups (dictionaries)."""
    for folder in ("labels", "groups"):
        shutil.rmtree(output / folder)
    write_parquet(labels.select(LABEL_SCHEMA.names), output / "labels" / f"sequence={SEQUENCE}" / "a.parquet")
    write_parquet(pa.Table.from_pylist(groups, schema=GROUP_SCHEMA), output / "groups" / "a.parquet")


def without_labels(output, root):
    rewrite(output, read_labels(output).slice(0, 0), read_groups(output).to_pylist())


def without_truth(output, root):
    paths.boxes_file(root, SEQUENCE).unlink()


def one_frame(output, root):
    group = read_groups(output).to_pylist()[0] | {"frames": [FRAME], "target_frame": FRAME}
    rewrite(output, read_labels(output).filter(pc.field("frame") == FRAME), [group])


def only_failed(output, root):
    groups = [row | {"status": "failed", "error": "it broke"} for row in read_groups(output).to_pylist()]
    rewrite(output, read_labels(output).slice(0, 0), groups)


@pytest.fixture(scope="module")
def poor_reports(report, street, tmp_path_factory):
    """Makes the report of a spoilt copy of a run, once for each way to spoil it."""
    made = {}

    def make(spoil):
        if spoil not in made:
            folder = tmp_path_factory.mktemp(spoil.__name__)
            output, root = (shutil.copytree(source, folder / source.name) for source in (report.parent, street))
            spoil(output, root)
            run_command("report", output, "--root", root)
            made[spoil] = output / "report.html"
        return made[spoil]

    return make


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("spoil", [without_labels, without_truth, one_frame, only_failed])
def test_every_page_opens(browser, quiet, poor_reports, spoil, width):
    path = poor_reports(spoil)
    browser.set_window_size(width, 900)
    with quiet():
        browser.get(path.as_uri())
        for route in (*ROUTES, *values(browser, "allInstances.slice(0, 2).map(instanceRoute)")):
            browser.execute_script("location.hash = arguments[0]; show()", route)
            assert texts(browser, "h1")[0] not in ("", "Not in this report"), route
            assert values(browser, "document.documentElement.scrollWidth <= window.innerWidth"), route
            assert not any(word in text for text in texts(browser, "main") for word in ("NaN", "undefined", "Infinity"))


def test_what_is_missing_is_said(browser, poor_reports):
    browser.get(f"{poor_reports(without_labels).as_uri()}#map")
    assert any("no labels" in text for text in texts(browser, "main p"))
    browser.execute_script("location.hash = '#gallery/boxes'; show()")
    assert "There is nothing of this kind to show." in texts(browser, "main p") or texts(browser, ".tile .badge.bad")
    browser.get(f"{poor_reports(without_truth).as_uri()}#summary")
    assert any("is not known" in text for text in texts(browser, "main p"))
    browser.get(f"{poor_reports(only_failed).as_uri()}#groups")
    assert set(texts(browser, ".groups.failed td:nth-child(2)")) == {"it broke"}
    browser.get(f"{poor_reports(one_frame).as_uri()}#frame/{SEQUENCE}/{FRAME}")
    assert count(browser, "#next:disabled") == count(browser, "#previous:disabled") == 1
