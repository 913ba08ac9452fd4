"""Correcting in a report, with mouse and keys alone: ten wrong boxes of a street become good ones."""

import math
import time

import numpy as np
import pyarrow as pa
import pytest
from hands import click, press, route, values, wait_for
from runs import SEQUENCE, run_command
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys

from vsrd_ray.data.truth import BOXES
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.labels.boxes.columns import box_columns, boxes_of
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage.atomic import write_parquet
from vsrd_ray.synthetic import StreetSettings, synthesize

pytestmark = pytest.mark.slow

COUNT = 10
WANTED = 0.8  # IoU3D
MOST_ROUNDS = 8  # of nudging one box
# Where the box, its handle and a place in the world are on the screen, from above; the box, metres in the world.
LOOK = """
    const [x, y] = arguments, { instance, plan } = editor, row = currentRow();
    const box = boxIn(instance, editNow(instance, row), row), { origin } = instance.sequence;
    const onScreen = ([u, v]) => {
      const { x, y } = new DOMPoint(u, v).matrixTransform(plan.drawing.getScreenCTM());
      return [x, y];
    };
    const shown = x === undefined ? null : onScreen([x - origin[0], origin[1] - y]);
    const [middle, grip] = [yUp(box.center), gripOf(box)].map(onScreen);
    return { box: middle, grip, shown, ...savedBox(box, instance.sequence) };
"""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """A street whose labels are wrong for ten cars: OUTPUT and ROOT, and the true boxes of the ten by id."""
    folder = tmp_path_factory.mktemp("wrong")
    root, output = folder / "street", folder / "labels"
    synthesize(root, StreetSettings(frames=24, cars=13, image_size=(528, 141), seed=11))
    rough = ("--set", "start.extent_steps=3", "--set", "start.contour_steps=2", "--set", "start.headings=2")
    run_command("label", "--root", root, "--sequence", SEQUENCE, "--output", output, "--serial", *rough)
    truth = RunFolder(output, root).drive(SEQUENCE).truth(BOXES)
    labels = read_labels(output)
    ids, counts = np.unique(labels["instance_id"].to_numpy(), return_counts=True)
    true = dict(zip(truth.instance_ids.tolist(), truth.boxes, strict=True))
    chosen = [i for _, i in sorted(zip(-counts, ids.tolist(), strict=True)) if i in true][:COUNT]
    spoil(output, labels, {i: true[i] for i in chosen})
    run_command("report", output, "--root", root)
    return output, root, {i: true[i] for i in chosen}


def spoil(output, labels, true):
    """Let the boxes of some instances be their true ones, shifted, turned and stretched."""
    rng = np.random.default_rng(3)
    wrong = {}
    for instance_id, box in true.items():
        shift, turn = rng.uniform(0.5, 1.0, 2) * rng.choice([-1, 1], 2), rng.uniform(0.17, 0.35) * rng.choice([-1, 1])
        sizes = box.dimensions_lwh * [rng.uniform(0.85, 1.2), 1, 1]
        moved = UprightBoxes(box.centers + np.array([*shift, 0]), sizes, box.yaws + turn)
        wrong[instance_id] = {name: float(value) for name, value in box_columns(moved).items()}
    rows = [row | wrong.get(row["instance_id"], {}) for row in labels.select(LABEL_SCHEMA.names).to_pylist()]
    for row in rows:
        row["yaw_world"] = float(wrap_angle(row["yaw_world"]))
    (file,) = (output / "labels" / f"sequence={SEQUENCE}").glob("*.parquet")
    write_parquet(pa.Table.from_pylist(rows, schema=LABEL_SCHEMA), file)


class Hand:
    """A hand at mouse and keyboard, which counts what it does."""

    def __init__(self, browser):
        self.browser, self.actions = browser, 0

    def keys(self, *keys):
        self.actions += len(keys)
        if keys:
            press(self.browser, *keys)

    def with_shift(self, key, count):
        self.actions += count
        chain = ActionChains(self.browser).key_down(Keys.SHIFT)
        for _ in range(count):
            chain.send_keys(key)
        chain.key_up(Keys.SHIFT).perform()

    def drag(self, start, end):
        self.actions += 1
        builder = ActionBuilder(self.browser, duration=0)
        pointer = builder.pointer_action
        pointer.move_to_location(*map(round, start)).pointer_down()
        pointer.move_to_location(*(round((a + b) / 2) for a, b in zip(start, end, strict=True)))
        pointer.move_to_location(*map(round, end)).pointer_up()
        builder.perform()

    def look(self, place=None):
        return self.browser.execute_script(LOOK, *map(float, () if place is None else place))


def overlap(seen, true):
    box = UprightBoxes(np.array(seen["center"]), np.array(seen["size"]), np.array(seen["yaw"]))
    return float(box.iou(true)[0])


def correct(hand, true, rng):
    """Bring the box that is open near its truth as a person would: drag, turn, snap, and nudge what is left."""
    place = true.centers[:2] + rng.uniform(-0.3, 0.3, 2)
    seen = hand.look(place)
    hand.drag(seen["box"], seen["shown"])
    heading = float(true.yaws) + rng.uniform(-0.08, 0.08)
    seen = hand.look(place + 3.2 * np.array([math.cos(heading), math.sin(heading)]))
    hand.drag(seen["grip"], seen["shown"])
    before = overlap(hand.look(), true)
    hand.keys("s")
    if overlap(hand.look(), true) < before:
        hand.keys("z")
    for _ in range(MOST_ROUNDS):
        seen = hand.look()
        if overlap(seen, true) > WANTED + 0.01:
            return
        nudge(hand, seen, true)


def nudge(hand, seen, true):
    """A few keys for each of what is seen to be off."""
    east, north, up = (true.centers - seen["center"]).tolist()
    off = [
        (east, Keys.ARROW_RIGHT, Keys.ARROW_LEFT),
        (north, Keys.ARROW_UP, Keys.ARROW_DOWN),
        (up, Keys.PAGE_UP, Keys.PAGE_DOWN),
    ]
    for metres, more, less in off:
        hand.keys(*[more if metres > 0 else less] * min(6, round(abs(metres) / 0.05)))
    for metres, key in zip(true.dimensions_lwh - seen["size"], "lwh", strict=True):
        steps = min(6, round(abs(metres) / 0.05))
        if metres > 0:
            hand.keys(*[key] * steps)
        elif steps:
            hand.with_shift(key, steps)
    turn = math.degrees((float(true.yaws) - seen["yaw"] + math.pi) % (2 * math.pi) - math.pi)
    hand.keys(*["q" if turn > 0 else "e"] * min(6, round(abs(turn))))


def open_at(browser, path, route):
    browser.set_window_size(1280, 900)
    browser.get("about:blank")
    browser.get(f"{path.as_uri()}{route}")


def test_ten_wrong_boxes_become_good_ones(browser, quiet, wrong, tmp_path, capsys):
    output, root, true = wrong
    report = output / "report.html"
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    rng = np.random.default_rng(5)
    figures = []
    with quiet():
        open_at(browser, report, "#instances")
        for number, (instance_id, box) in enumerate(true.items()):
            if number == COUNT // 2:  # what was decided survives a reload
                open_at(browser, report, "#instances")
            address = f"#instance/{SEQUENCE}/{instance_id}"
            browser.execute_script("location.hash = arguments[0]", address)
            wait_for(browser, lambda address=address: route(browser) == address)
            hand, begun = Hand(browser), time.monotonic()
            hand.keys("c")
            first = overlap(hand.look(), box)
            correct(hand, box, rng)
            last = overlap(hand.look(), box)
            hand.keys("c")
            figures.append((instance_id, first, last, hand.actions, time.monotonic() - begun))
        assert values(browser, "reviewCounts().corrected") == COUNT
        click(browser, "#save")
        wait_for(browser, (tmp_path / "corrections.json").is_file)
    with capsys.disabled():
        print(table(figures))
    assert all(first < 0.6 for _, first, _, _, _ in figures)
    run_command("import", output, tmp_path / "corrections.json", "--root", root, "--format", "report")
    rows = read_labels(output)
    for instance_id, box in true.items():
        mine = rows.filter(pa.compute.equal(rows["instance_id"], instance_id))
        assert set(mine["source"].to_pylist()) == {"human"} and set(mine["confidence"].to_pylist()) == {1.0}
        assert boxes_of(mine).iou(box)[0].min() > WANTED


def table(figures):
    lines = [
        f"{i}: IoU3D {a:.2f} -> {b:.2f}, {actions} actions, {seconds:.1f} s" for i, a, b, actions, seconds in figures
    ]
    actions, seconds = (np.mean([row[k] for row in figures]) for k in (3, 4))
    return "\n".join(["", *lines, f"a box: {actions:.1f} actions, {seconds:.1f} s of a machine's hand"])
