"""Everything that the README and the pages beside it tell to type works, on a street of toy size."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.folder import digest_of_inputs
from vsrd_ray.synthetic import StreetSettings, synthesize

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))  # for command_lines.py

from command_lines import parse_ray, parse_vsrd_ray

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
README = (REPOSITORY / "README.md").read_text()
LONGEST_README = 120  # lines
PAGES = sorted(DOCS.glob("*.md"))
# One after the other, in one folder: each goes on with what those before it made.
IN_ORDER = ["label.md", "outputs.md", "evaluate.md", "look.md", "formats.md", "method.md"]
SMALL_STREET = ["--frames", "24", "--cars", "6", "--image-size", "352x96", "--seed", "3"]


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def lines(text: str) -> Iterator[list[str]]:
    """The words of each line of its shell blocks."""
    for language, block in blocks(text):
        yield from (shlex.split(line, comments=True) for line in block.splitlines() if line and language == "sh")


def test_readme_is_short_and_has_the_two_commands():
    assert len(README.splitlines()) <= LONGEST_README
    assert [words for words in lines(README) if words[0] == "make"] == [["make", "demo"], ["make", "test"]]
    named = set(re.findall(r"\]\(docs/(\w+\.md)", README))
    assert named == {page.name for page in PAGES}


def test_every_command_is_shown_somewhere():
    shown = {words[1] for text in (README, *(page.read_text() for page in PAGES)) for words in lines(text) if words[1:]}
    assert set(main.list_commands(click.Context(main))) <= shown


def test_make_targets_are_there():
    for target in re.findall(r"`make ([\w-]+)[^`]*`", README):
        done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}" for name in IN_ORDER)])
def test_options_in_the_text_exist(page):
    named = set(re.findall(r"`(--[a-z-]+)", (REPOSITORY / page).read_text()))
    main.list_commands(click.Context(main))  # from now on it has those of labelers and kinds as well
    commands = [*main.commands.values(), *main.commands["visualize"].commands.values()]  # pyright: ignore
    contexts = [(one, click.Context(one, **main.context_settings)) for one in commands]
    known = {option for one, context in contexts for parameter in one.get_params(context) for option in parameter.opts}
    assert named <= known


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target, anchor in re.findall(
        r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    ):
        if target.startswith(("https://", "http://")):
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE) if anchor else []
        assert not anchor or anchor in {slug(heading) for heading in headings}, f"{target}#{anchor}"


def slug(heading: str) -> str:
    """The anchor of a heading, as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.ray
@pytest.mark.slow
def test_commands_and_code_run(
    quick: list[str], local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kitti360 = tmp_path / "kitti360"
    settings = StreetSettings(frames=24, cars=6, image_size=(352, 96), seed=3, sequence="2013_05_28_drive_0003_sync")
    synthesize(kitti360, settings)
    monkeypatch.delenv("KITTI360_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)
    run = Typist(kitti360, quick, monkeypatch)
    for text in (README, *((DOCS / name).read_text() for name in IN_ORDER)):
        for language, block in blocks(text):
            if language == "python":
                exec(compile(block, "page", "exec"), {})
            elif language == "sh":
                for line in filter(None, block.splitlines()):
                    run.line(line)
    assert len(run.done) >= 12
    assert (tmp_path / "sheet.png").is_file() and (tmp_path / "drive.mp4").is_file()


def save_corrections(output: Path) -> None:
    """Write what a report saves once an instance is accepted."""
    rows = read_labels(output, prefer="auto").to_pylist()
    first = rows[0]
    mine = [row for row in rows if row["instance_id"] == first["instance_id"]]
    sizes = [first[name] for name in ("length", "width", "height")]
    box = {"center": [first[f"{axis}_world"] for axis in "xyz"], "size": sizes, "yaw": first["yaw_world"]}
    edit = {"state": "accepted", "class_name": first["class_name"], "moving": first["is_moving"], "box": box}
    edit |= {"frames": [row["frame"] for row in mine]}
    name = first["sequence"]
    sequence = {"camera": first["camera"], "fingerprint": digest_of_inputs(output, name)}
    sequence |= {"instances": {str(first["instance_id"]): edit}}
    content = {"format": "vsrd-ray-corrections", "version": 1, "config_hash": first["config_hash"]}
    Path("corrections.json").write_text(json.dumps(content | {"sequences": {name: sequence}}))


def save_mesh(folder: Path) -> None:
    """Write what someone with meshes of vehicles has: a low body and a cabin on it."""
    folder.mkdir()
    solids = ((-2.1, 2.1, -0.9, 0.9, 0.0, 0.8), (-1.5, 0.8, -0.7, 0.7, 0.8, 1.5))
    corners = [(x, y, z) for solid in solids for x in solid[:2] for y in solid[2:4] for z in solid[4:]]
    quads = ("1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4")
    faces = [[int(one) + 8 * n for one in quad.split()] for n in range(2) for quad in quads]
    rows = [*(f"v {x} {y} {z}" for x, y, z in corners), *(f"f {' '.join(map(str, face))}" for face in faces)]
    (folder / "car.obj").write_text("\n".join(rows))


class Typist:
    """Runs lines as a reader would type them, each once: the first run on Ray, the others without."""

    def __init__(self, root: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.quick, self.monkeypatch = root, quick, monkeypatch
        self.where = ["--num-actors", "1"]
        self.done: set[str] = set()

    def line(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        if words[0] == "export":
            self.monkeypatch.setenv(words[1].partition("=")[0], str(self.root))
        elif words[0] == "ray":  # parsed alone: there is no such cluster
            submit = parse_ray(words[1:]).params["entrypoint"]
            assert submit[:2] == ("python", "jobs/label.py")
            parse_vsrd_ray(["label", *submit[2:]])
        elif words[0] == "vsrd-ray":
            if (said := shlex.join(words)) not in self.done:
                self.command(words[1:], line)
            self.done.add(said)
        elif words[0] == "eval":  # bash has to take what it is given
            path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            shell = ["bash", "-c", f"set -e; {line}; complete -p vsrd-ray"]
            assert "vsrd-ray" in subprocess.run(shell, env=path, capture_output=True, text=True, check=True).stdout
        else:
            assert words[0] == "make", f"nothing tests this line: {line}"

    def command(self, words: list[str], line: str) -> None:
        if "corrections.json" in words:
            save_corrections(Path("labels"))
        if "--shapes" in words:
            save_mesh(Path("meshes"))
        more = {"synthesize": SMALL_STREET, "label": [*self.quick, *self.where]}.get(words[0], [])
        result = CliRunner().invoke(main, [*words, *more])
        assert result.exit_code == 0, f"{line}: {result.output}"
        self.where = ["--serial"] if words[0] == "label" else self.where
