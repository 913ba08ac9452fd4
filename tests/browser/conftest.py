"""A real report in a headless Chromium: Debian's packages chromium and chromium-driver, which `.ci/run` installs."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from runs import SEQUENCE, run_command

from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage.atomic import write_parquet

ERROR = 'ValueError: </script><script>document.title = "taken over"</script>'
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --hide-scrollbars --disable-dev-shm-usage"
)


@pytest.fixture(scope="session")
def report(street: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the short street, labelled without Ray, with a failed group whose error is no good text.

    A further group was skipped.
    """
    output = tmp_path_factory.mktemp("report") / "labels"
    run_command("label", "--root", street, "--sequence", SEQUENCE, "--output", output, "--serial")
    failed, skipped = (read_groups(output).slice(0, 1).to_pylist()[0] for _ in range(2))
    failed |= {"group_id": "broken", "status": "failed", "error": ERROR}
    skipped |= {"group_id": "spared", "status": "skipped", "error": "nothing to fit"}
    added = pa.Table.from_pylist([failed, skipped], schema=read_groups(output).schema)
    write_parquet(added, output / "groups" / "added.parquet")
    run_command("report", output, "--root", street)
    return output / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium that keeps what its console says and what it asks for."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install 'vsrd-ray[test]'")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SE_OFFLINE", "true")
        environment.setenv("SE_AVOID_STATS", "true")
        service = webdriver.ChromeService(executable_path=programs[1], log_output=os.devnull)
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_script_timeout(120)
        yield driver
        driver.quit()


@pytest.fixture(scope="module")
def quiet(browser: Any) -> Callable[[], AbstractContextManager[None]]:
    """A context in which the browser's console has to stay empty."""

    @contextmanager
    def watch() -> Iterator[None]:
        browser.get_log("browser")
        yield
        assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []

    return watch


@pytest.fixture
def page(browser: Any, report: Path, quiet: Callable[[], AbstractContextManager[None]]) -> Iterator[Callable[..., Any]]:
    """Opens a place of the report in light colours, and hands out the browser; its console has to stay empty.

    The report is loaded anew, so that nothing is left of what a test did before.
    """

    def open_at(route: str, *, width: int = 1280) -> Any:
        browser.set_window_size(width, 900)
        browser.execute_script("try { localStorage.clear() } catch { /* a page that has none */ }")
        browser.get("about:blank")  # another place of the page that is open would not load it again
        browser.get(f"{report.as_uri()}{route}")
        browser.execute_script("localStorage.clear(); setTheme('light'); show()")
        return browser

    with quiet():
        yield open_at
