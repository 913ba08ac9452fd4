"""The film that `vsrd-ray visualize` makes, in a browser as it is."""

import pytest
from hands import values, wait_for
from runs import run_command

pytestmark = pytest.mark.slow

FILM = "document.querySelector('video')"


def test_the_film_of_a_run_plays_in_a_browser(browser, quiet, report, street, tmp_path):
    run_command("visualize", "labels", report.parent, "--root", street, "--to", tmp_path / "film.mp4")
    (tmp_path / "page.html").write_text('<!doctype html><link rel="icon" href="data:,"><video src="film.mp4" muted>')
    with quiet():
        browser.get((tmp_path / "page.html").as_uri())
        wait_for(browser, lambda: values(browser, f"{FILM}.error !== null || {FILM}.readyState === 4"))
        assert values(browser, f"{FILM}.error?.message ?? null") is None
        assert values(browser, f"[{FILM}.videoWidth > 100, {FILM}.videoHeight > 100]") == [True, True]
        assert values(browser, f"{FILM}.duration") == pytest.approx(2.4, abs=0.11)  # 24 frames, ten a second
        browser.execute_script(f"{FILM}.playbackRate = 2; {FILM}.play()")
        wait_for(browser, lambda: values(browser, f"{FILM}.ended"))
        assert values(browser, f"{FILM}.getVideoPlaybackQuality().totalVideoFrames") > 1
