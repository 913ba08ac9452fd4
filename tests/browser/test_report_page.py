"""What a user does with a report: looks, sorts, walks through it, shares a place."""

import json
import re

import cv2
import numpy as np
import pytest
from hands import act, attributes, click, count, press, press_button, route, texts, values, wait_for
from runs import SEQUENCE
from selenium.webdriver.common.keys import Keys

from vsrd_ray.labels.boxes.parquet import read_labels

pytestmark = pytest.mark.slow

FRAME, INSTANCES = f"#frame/{SEQUENCE}/12", "#instances/worst/up"
PICTURES = {  # what has to be painted on each page
    "#summary": ".tile .picture",
    "#map": "#map",
    "#gallery": ".tile .picture, .tile .plan",
    "#gallery/boxes/range/down": ".tile .picture",
    INSTANCES: ".tile .picture",
    FRAME: ".stack .picture, .stack .plan",
    "#groups": "table",
    "#nowhere/at/all": ".tile .picture",
}
# Left, top, right and bottom px of those that lie in the window, whole.
IN_WINDOW = """
    const bottom = document.querySelector("footer").getBoundingClientRect().top;
    return [...document.querySelectorAll(arguments[0])].map((some) => some.getBoundingClientRect())
        .filter((place) => place.top >= 0 && place.bottom <= bottom && place.height > 20)
        .map((place) => [place.left, place.top, place.right, place.bottom].map(Math.round));
"""

# The outlines and the pictures of each view.
VIEWS = """[...document.querySelectorAll(".views figure")].map((figure) =>
    [["path.outline", "d"], ["image", "href"]].map(([selector, name]) =>
        [...figure.querySelectorAll(selector)].map((some) => some.getAttribute(name))))"""
# Takes one instance its label, and makes one doubtful, one moving and one rejected.
VERDICTS = """
    const [bare, doubtful, moving, rejected] = [...arguments].map((id) => sequences[0].instanceById.get(id));
    doubtful.doubt = 0.9;
    Object.assign(bare, { box: null, doubt: 2 });
    moving.box.is_moving = true;
    apply(rejected, { state: "rejected", class: null, moving: false, box: null, keys: {}, frames: [] });
    show();
"""
# Moves the pointer over the middle of a row's mask.
POINT = """
    const drawing = document.querySelector(".stack .picture"), { left, top, width } = drawing.getBoundingClientRect();
    const scale = width / row.frame.sequence.width;
    const [u, v] = [0, 1].map((side) => scale * (row.maskBox[side] + row.maskBox[side + 2]) / 2);
    drawing.dispatchEvent(new PointerEvent("pointermove", { clientX: left + u, clientY: top + v, bubbles: true }));
"""
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
# Gives an instance a truth that drives along x, a metre a frame, and whose length is the number of the frame.
DRIVING = """
    const instance = allInstances.find((some) => some.box && some.truth.length), [still] = instance.truth;
    instance.truth = sequences[0].frames.map(({ number }) =>
        ({ ...still, frame: number, center: [number, 0, 0], length: number }));
    return instanceRoute(instance);
"""


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("place", PICTURES)
def test_every_page_fits_its_window_and_shows_something(page, tmp_path, place, width):
    browser = page(place, width=width)
    check_page(browser, tmp_path, place, width, "light")
    browser.execute_script("setTheme('dark'); show()")
    check_page(browser, tmp_path, place, width, "dark")


def check_page(browser, tmp_path, place, width, theme):
    assert values(browser, "document.documentElement.scrollWidth <= window.innerWidth")
    assert texts(browser, "h1")[0]

    def has_painted():  # pictures appear some time after their elements
        browser.save_screenshot(str(tmp_path / "page.png"))
        picture = cv2.imread(str(tmp_path / "page.png"))
        assert abs(picture.shape[1] - width) <= 20
        corner = picture[-60:-40, 2:8].mean()
        assert corner > 200 if theme == "light" else corner < 60
        places = browser.execute_script(IN_WINDOW, PICTURES[place])
        assert places or width < 1280
        cuts = [picture[top:bottom, left:right].reshape(-1, 3) for left, top, right, bottom in places]
        return all(len(np.unique(cut, axis=0)) > 30 for cut in cuts)

    wait_for(browser, has_painted)


def test_nothing_is_asked_of_any_network(page, browser):
    browser.get_log("performance")
    for place in ("#summary", "#map", "#gallery", INSTANCES, FRAME):
        page(place)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [entry["params"]["request"]["url"] for entry in messages if entry["method"] == "Network.requestWillBeSent"]
    assert asked and all(url.startswith(("file:", "data:")) for url in asked), asked


def test_summary_shows_counts_quality_and_reliability(page):
    browser = page("#summary")
    assert "24" in texts(browser, ".figures strong")
    assert {"IoU3D", "IoU BEV", "KITTI AP R40"} <= set(texts(browser, "section.panel > b"))
    assert set(attributes(browser, ".js-plotly-plot", "data-chart")) == {"histogram", "reliability", "precision"}
    titles = texts(browser, "section.panel > b")
    assert {"Do confidences mean what they say?", "Keep the confident ones: how many, how good?"} <= set(titles)
    assert texts(browser, ".headline th") == ["", "all", "parked"]
    assert texts(browser, ".headline td:first-child") == ["true boxes", "labelled", "mean IoU3D", "IoU3D > 0.5"]
    assert not re.search(r"(?<![\d.])\.\d", "\n".join(texts(browser, "main")))  # figures have their leading zero
    assert texts(browser, "a.bad") == ["1 group failed"]
    assert texts(browser, "a.muted") == ["1 group skipped"]


def test_the_first_screen_says_how_good_the_labels_are_and_how_much_work_is_left(page):
    browser = page("#summary", width=1600)
    ids = values(browser, "sorted(allInstances.filter(isReviewable), 'worst', false).map((instance) => instance.id)")
    assert texts(browser, ".verdict") == [f"{len(ids)} good, 0 doubtful, 0 moving, 0 without a label"]
    browser.execute_script(VERDICTS, *ids[:4])
    assert texts(browser, ".verdict") == [f"{len(ids) - 4} good, 1 doubtful, 1 moving, 1 without a label"]
    assert texts(browser, ".work b") == [f"Work left: {len(ids) - 1} of {len(ids)} instances"]
    assert texts(browser, ".work button") == [f"Open {len(ids) - 1}", "Accepted 0", "Corrected 0", "Rejected 1"]
    shown = [int(text.split()[1]) for text in texts(browser, ".tiles.worst .caption b")]
    assert shown[:2] == ids[:2] and len(shown) == min(8, len(ids) - 1) and ids[3] not in shown
    wide = "[...document.querySelectorAll('.scrolled')].filter((some) => some.scrollWidth > some.clientWidth).length"
    assert values(browser, wide) == 0
    press(browser, "j", Keys.ENTER)
    wait_for(browser, lambda: route(browser) == f"#instance/{SEQUENCE}/{ids[0]}")
    assert texts(browser, ".count") == [f"1 of {len(ids) - 1} open instances, worst first"]
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: route(browser) == "#summary" and count(browser, ".work"))
    browser.execute_script("document.querySelector('.work button:last-child').click()")
    wait_for(browser, lambda: route(browser) == INSTANCES and len(texts(browser, ".tile")) == 1)


def test_one_works_from_the_list_of_the_worst(page):
    """`w` chooses the first, `j` the next, and whoever comes back goes on from there."""
    browser = page("#map")
    first, second = values(
        browser, "sorted(allInstances.filter(isReviewable), 'worst', false).slice(0, 2).map(instanceRoute)"
    )
    press(browser, "w")
    wait_for(browser, lambda: values(browser, "document.activeElement.hash") == first)
    press(browser, "j")
    wait_for(browser, lambda: values(browser, "document.activeElement.hash") == second)
    press(browser, Keys.ENTER)
    wait_for(browser, lambda: route(browser) == second)
    assert browser.title == f"car {second.split('/')[-1]} – {SEQUENCE}: labels"
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: values(browser, "document.activeElement.hash") == second)
    press(browser, "s")
    wait_for(browser, lambda: browser.title == f"{SEQUENCE}: labels")


@pytest.mark.parametrize("place", ["#summary", "#map", INSTANCES, FRAME, "an instance"])
def test_phones_get_one_row_of_header_no_bar_of_keys_and_pictures_first(page, place):
    browser = page("#summary" if place == "an instance" else place)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        script = "location.hash = instanceRoute(allInstances.find((one) => one.box))"
        browser.execute_script(script if place == "an instance" else "")
        wait_for(browser, lambda: route(browser) and values(browser, "window.innerWidth") == 390)
        browser.execute_script("show()")
        assert values(browser, "document.documentElement.scrollWidth") <= 390
        assert values(browser, "document.querySelector('header').getBoundingClientRect().height") < 60
        assert not values(browser, "document.getElementById('hints').checkVisibility()")
        tops = "['.picture', 'table'].map((kind) => main.querySelector(kind)?.getBoundingClientRect().top)"
        picture, numbers = values(browser, tops)
        assert picture is None or numbers is None or picture < numbers
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_ids_are_those_of_the_doubtful_and_of_what_the_mouse_is_on(page):
    browser = page(FRAME)
    rows = "sequences[0].frames.find(({ number }) => number === 12).rows.filter((row) => row.box && row.maskBox)"
    identity = browser.execute_script(f"const [row] = {rows}; row.doubt = 0.9; show(); return row.instance.id")
    assert [text for text in texts(browser, ".stack .name") if text] == [str(identity)]
    browser.execute_script(f"const row = {rows}.at(-1); {POINT}")
    other = values(browser, f"{rows}.at(-1).instance.id")
    assert str(other) in texts(browser, ".stack .name")
    press_button(browser, "All ids")
    wait_for(browser, lambda: all(texts(browser, ".stack .name")) and count(browser, ".stack .name") > 2)


def test_worst_first_is_one_click(page):
    browser = page("#summary")
    click(browser, "#worst")
    wait_for(browser, lambda: texts(browser, "h1") == ["Instances, worst first"])
    ids = [int(text.split()[1]) for text in texts(browser, ".tile .caption b")]
    doubts = dict(values(browser, "allInstances.map((i) => [i.id, i.doubt])"))
    assert len(ids) > 2 and [doubts[i] for i in ids] == sorted((doubts[i] for i in ids), reverse=True)
    assert max(doubts.values()) == doubts[ids[0]]


@pytest.mark.parametrize(("order", "sign"), [("confidence", 1), ("disagreement", -1), ("range", 1), ("frame", 1)])
def test_gallery_sorts_frames(page, order, sign):
    browser = page(f"#gallery/frames/{order}/up")
    frames = [int(text.split()[1]) for text in texts(browser, ".tile .caption b")]
    key = "number" if order == "frame" else order
    figures = dict(values(browser, f"allFrames.map((frame) => [frame.number, frame.{key}])"))
    shown = [sign * figures[frame] for frame in frames if figures[frame] is not None]
    assert len(frames) == 24 and shown == sorted(shown)
    turned = page(f"#gallery/frames/{order}/down")
    again = [int(text.split()[1]) for text in texts(turned, ".tile .caption b")]
    assert figures[again[0]] == sign * max(shown)


def test_gallery_sorts_boxes_by_instance_and_keeps_to_one(page):
    browser = page("#gallery/boxes/instance/up")
    ids = [int(text) for text in texts(browser, ".tile .caption b")]
    assert ids == sorted(ids) and len(set(ids)) > 1
    page(f"#gallery/boxes/frame/up/{ids[-1]}")
    assert {int(text) for text in texts(browser, ".tile .caption b")} == {ids[-1]}


def test_tiles_have_masks_boxes_and_a_view_from_above(page):
    browser = page("#gallery")
    tile = "[...document.querySelectorAll('.tile')][12]"
    parts = [".picture image", ".picture .outline", ".picture .wire", ".plan .footprint"]
    counts = dict(
        zip(parts, values(browser, f"{parts}.map((part) => {tile}.querySelectorAll(part).length)"), strict=True)
    )
    assert counts[".picture image"] == 1
    assert counts[".picture .outline"] >= 1
    assert counts[".picture .wire"] >= 1
    assert counts[".plan .footprint"] >= 2
    press_button(browser, "Masks")
    wait_for(browser, lambda: count(browser, ".picture") and not count(browser, ".picture .outline"))


def test_keys_walk_through_the_list_that_one_came_from(page):
    browser = page("#gallery/frames/confidence/up")
    order = [int(text.split()[1]) for text in texts(browser, ".tile .caption b")]
    press(browser, "j", "j", Keys.ENTER)
    wait_for(browser, lambda: route(browser) == f"#frame/{SEQUENCE}/{order[1]}")
    press(browser, Keys.ARROW_RIGHT)
    wait_for(browser, lambda: texts(browser, "h1") == [f"Frame {order[2]}"])
    press(browser, "k")
    wait_for(browser, lambda: texts(browser, "h1") == [f"Frame {order[1]}"])
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT)  # the second goes nowhere
    wait_for(browser, lambda: texts(browser, "h1") == [f"Frame {order[0]}"])
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: route(browser) == "#gallery/frames/confidence/up")
    press(browser, "?")
    wait_for(browser, lambda: texts(browser, "#keys") != [""])
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: texts(browser, "#keys") == [""])
    for key, place in (("w", "#instances/worst/up"), ("m", "#map"), ("s", "#summary")):
        press(browser, key)
        wait_for(browser, lambda place=place: route(browser) == place)


def test_one_comes_back_to_the_place_in_a_list_that_one_left(page):
    browser = page("#gallery/boxes/frame/up")
    tiles = "document.querySelectorAll('.tile').length"
    first = values(browser, tiles)
    wait_for(browser, lambda: values(browser, f"(window.scrollTo(0, 1e6), {tiles})") > 2 * first)
    place = values(browser, "(document.querySelectorAll('.tile')[80].scrollIntoView(), window.scrollY)")
    browser.execute_script("document.querySelectorAll('.tile')[80].click()")
    wait_for(browser, lambda: route(browser).startswith("#frame/"))
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: route(browser) == "#gallery/boxes/frame/up")
    wait_for(browser, lambda: abs(values(browser, "window.scrollY") - place) < 5)


def test_keyboards_and_screen_readers_are_told_where_they_are(page):
    browser = page("#gallery")
    press_button(browser, "Boxes")  # "Boxes" stands for a kind of tiles, and for what is drawn
    wait_for(browser, lambda: route(browser).startswith("#gallery/boxes/"))
    assert values(browser, "document.activeElement.textContent") == "Boxes"
    press(browser, "m")
    wait_for(browser, lambda: browser.title.startswith("Map – "))
    assert values(browser, "document.activeElement.id") == "main"


def test_tiles_of_boxes_show_mask_and_box_whole(page):
    browser = page("#gallery/boxes/disagreement/up")
    cut = values(
        browser,
        """allRows.filter((row) => row.box && projectedBox(row.frame, row.box)).filter((row) => {
            const [x, y, w, h] = rowCloseUp(row).getAttribute("viewBox").split(" ").map(Number);
            const [left, top, right, bottom] = projectedBox(row.frame, row.box);
            return left < x || top < y || right > x + w || bottom > y + h;
        }).map((row) => [row.frame.number, row.instance.id])""",
    )
    assert cut == []


def test_the_order_is_said_and_can_be_turned_round(page):
    browser = page("#gallery/boxes/confidence/up")
    assert texts(browser, ".turn") == ["⇅ lowest first"]
    click(browser, ".turn")
    wait_for(browser, lambda: route(browser) == "#gallery/boxes/confidence/down")
    wait_for(browser, lambda: texts(browser, ".turn") == ["⇅ highest first"])
    browser = page("#instances/range/down")
    assert texts(browser, ".turn") == ["⇅ farthest first"]


def test_keys_are_the_pages_again_after_escape_in_a_field(page):
    browser = page("#gallery")
    number = values(browser, "allInstances[0].id")
    act(browser, "input", lambda field: field.send_keys(str(number), Keys.ENTER))
    wait_for(browser, lambda: route(browser).endswith(f"/{number}"))
    press(browser, Keys.ESCAPE)
    assert route(browser).endswith(f"/{number}")
    press(browser, "m")
    wait_for(browser, lambda: route(browser) == "#map")


def test_masks_without_a_label_are_told_whether_or_not_their_instance_has_one_elsewhere(page):
    browser = page("#groups")
    expected = values(browser, "allRows.filter((row) => !row.box && row.area >= 128 && row.instance.box).length")
    without = values(browser, "allInstances.filter((instance) => !instance.box && instance.area >= 128).length")
    assert texts(browser, "h2")[1:] == [
        f"Instances without a label in any frame: {without}",
        f"Further masks without a label: {expected}",
    ]
    browser.execute_script("Object.assign(allInstances[0].rows[0], { box: null, doubt: 2, area: 128 }); show()")
    assert texts(browser, "h2")[2] == f"Further masks without a label: {expected + 1}"


def test_an_instance_that_moves_is_shown_with_its_way_and_its_truth_where_it_was_labelled(page):
    browser = page("#summary")
    address = browser.execute_script(DRIVING)
    browser.execute_script("location.hash = arguments[0]", address)
    wait_for(browser, lambda: route(browser) == address and texts(browser, ".facts"))
    assert count(browser, ".plan .truth.way") == 1
    outlines = attributes(browser, ".plan .footprint[style*='--ink']", "d")
    assert len(outlines) == 2  # a footprint and its mark of the heading
    numbers = [float(text) for text in re.findall(r"-?[0-9.]+", outlines[0])]
    target = values(browser, f"allInstances.find((some) => instanceRoute(some) === {address!r}).box.target_frame")
    assert np.mean(numbers[::2]) == pytest.approx(target, abs=0.1)
    shown = "\n".join(texts(browser, ".facts tr"))
    assert f"true size, m {target:.2f} × " in shown


def test_a_made_up_order_is_the_usual_one(page):
    assert len(texts(page("#gallery/frames/constructor/up"), ".tile")) == 24


def test_an_instances_page_shows_its_numbers_and_views(page):
    browser = page(INSTANCES)
    click(browser, ".tile")
    wait_for(browser, lambda: route(browser).startswith(f"#instance/{SEQUENCE}/"))
    identity = int(route(browser).rsplit("/", 1)[1])
    box = values(browser, f"[...sequences[0].instances].find((i) => i.id === {identity}).box.confidence")
    shown = "\n".join(texts(browser, ".facts tr"))
    assert f"confidence, 0 to 1 {box:.2f}" in shown
    assert re.search(r"parked or moving parked$", shown, re.MULTILINE)
    for name in ("box on mask, mean IoU", "frames used", "angle between the views", "outline error", "true size, m"):
        assert name in shown
    figures = values(browser, VIEWS)
    assert len(figures) >= 2
    # every view has a picture, the outline of the mask and that of the body
    for paths, (picture, *_) in figures:
        assert len(paths) == 2 and all(len(path) > 20 for path in paths)
        assert picture.startswith("data:image/webp")
    wait_for(browser, lambda: any("body covers" in text for text in texts(browser, ".views figcaption")))
    press(browser, "j")
    wait_for(browser, lambda: route(browser).rpartition("/")[2] not in ("", str(identity)))


def test_boxes_are_drawn_where_their_labels_say(page, report):
    """The wireframe's bounds are the projected box of the label, where that lies inside the image."""
    browser = page(FRAME)
    bounds = values(
        browser,
        """sequences[0].rows.filter((row) => row.box).map((row) => {
            const numbers = wireframe(row.frame, row.box).edges.match(/-?[0-9.]+/g).map(Number);
            const [u, v] = [numbers.filter((_, k) => k % 2 === 0), numbers.filter((_, k) => k % 2 === 1)];
            return [row.frame.number, row.instance.id, Math.min(...u), Math.min(...v), Math.max(...u), Math.max(...v)];
        })""",
    )
    labels = {(row["frame"], row["instance_id"]): row for row in read_labels(report.parent).to_pylist()}
    compared = 0
    for frame, identity, *bound in bounds:
        row = labels[frame, identity]
        if row["truncation"] == 0:
            expected = [row[f"bbox_{side}"] + 0.5 for side in ("left", "top", "right", "bottom")]
            np.testing.assert_allclose(bound, expected, atol=0.3)
            compared += 1
    assert compared > 20


def test_failed_groups_have_their_errors_as_text(page):
    browser = page("#groups")
    assert any("document.title" in text for text in texts(browser, "td.text"))
    assert browser.title != "taken over"


def test_skipped_groups_do_not_look_like_failed_ones(page):
    browser = page("#groups")
    assert texts(browser, ".groups.failed tbody td:first-child") == ["broken"]
    assert texts(browser, ".groups.skipped tbody td:first-child") == ["spared"]
    assert "nothing to fit" in texts(browser, ".groups.skipped td.text")
    assert "error" in texts(browser, ".groups.failed th")
    assert "reason" in texts(browser, ".groups.skipped th")
    assert texts(browser, ".groups.skipped .bad") == []


@pytest.mark.parametrize("place", ["#summary", "#map", "#gallery", INSTANCES, FRAME])
def test_instances_that_were_left_out_are_told_of_wherever_they_are_missed(page, place):
    browser = page(place)
    assert not any("not in it" in text for text in texts(browser, "main p"))
    browser.execute_script("content.left_out = 7; show()")
    assert any("7 instances, the least doubtful" in text for text in texts(browser, "main p"))


@pytest.mark.parametrize(("prefer", "words"), [("human", "the human’s boxes in them"), ("auto", "the labeler’s boxes")])
def test_whose_boxes_are_shown_is_said_where_a_human_corrected_some(page, prefer, words):
    browser = page("#summary")
    assert not any("--prefer" in text for text in texts(browser, "main > p"))
    browser.execute_script("content.corrections = { frames: 1, prefer: arguments[0] }; show()", prefer)
    (said,) = [text for text in texts(browser, "main > p") if "--prefer" in text]
    assert "corrected 1 frame:" in said and words in said and f"--prefer {prefer}" in said


def test_the_chosen_colours_are_kept(page):
    browser = page("#summary")
    click(browser, "#theme")
    assert values(browser, "document.documentElement.dataset.theme") == "dark"
    click(browser, "#theme")
    assert values(browser, "document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_colours_are_those_of_the_system_until_one_chooses(page, report, scheme):
    browser = page("#summary")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")
    browser.get(report.as_uri())
    assert values(browser, "document.documentElement.dataset.theme") == scheme
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_what_the_tests_above_rely_on_is_noticed(page, browser):
    """A request that the page's policy forbids stands in the console, and pages of no such place say so."""
    page(f"#frame/{SEQUENCE}/777")
    assert texts(browser, "h1") == ["Not in this report"]
    assert browser.get_log("browser") == []
    browser.execute_script("fetch('https://example.invalid/').catch(() => {})")
    wait_for(
        browser, lambda: any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
    )
