"""Pages of the site that are made: from files beside docs/, from the settings' models and from the kinds' schemas.

MkDocs calls `on_files` and `on_page_markdown`; see its documentation of hooks.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File
from pydantic import BaseModel

import vsrd_ray
from vsrd_ray import plugins
from vsrd_ray.cli import main
from vsrd_ray.labels.base import installed_kinds
from vsrd_ray.runs.columns import DESCRIPTION, FRAME, UNIT, about

REPOSITORY = Path(__file__).resolve().parents[1]
# Files beside docs/ that are pages of the site.
BESIDE = {"index.md": "README.md", "lab_book.md": "benchmarks/RESULTS.md", "changelog.md": "CHANGELOG.md"}
COMMAND = """# Command

::: mkdocs-click
    :module: vsrd_ray.cli
    :command: main
    :prog_name: vsrd-ray
    :depth: 1
"""
API = "# Notebooks\n\n::: vsrd_ray.api\n    options:\n      members: {}\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    main.list_commands(click.Context(main))  # from now on it has those of labelers and kinds as well
    made = {name: (REPOSITORY / file).read_text() for name, file in BESIDE.items()}
    made["reference/command.md"] = COMMAND
    made["reference/api.md"] = API.format(vsrd_ray.__all__)
    made["reference/settings.md"] = "".join(settings_page())
    made["reference/columns.md"] = "".join(columns_page())
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links between files of the repository lead to pages of the site."""
    is_made = page.file.src_uri in BESIDE
    folder = REPOSITORY / (
        Path(BESIDE[page.file.src_uri]).parent if is_made else Path("docs", page.file.src_uri).parent
    )

    def moved(link: re.Match[str]) -> str:
        target, _, anchor = link[1].partition("#")
        if not target or "://" in target or not (file := (folder / target).resolve()).is_relative_to(REPOSITORY):
            return link[0]
        place = str(file.relative_to(REPOSITORY))
        pages = {source: name for name, source in BESIDE.items()}
        name = pages.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
        return f"]({name}{'#' if anchor else ''}{anchor})" if name else link[0]

    return markdown if page.file.src_uri.startswith("reference/") else re.sub(r"\]\(([^)\s]+)\)", moved, markdown)


def settings_page() -> Iterator[str]:
    """Tables of the settings of each labeler, with the comments that stand beside them in its model."""
    yield "# Settings\n\n`--set NAME=VALUE` changes one. Defaults are those of the models; configurations may differ.\n"
    for name in plugins.installed("labelers"):
        yield f"\n## {name}\n\n| setting | default | |\n|---|---|---|\n"
        for path, default, comment in settings_of(plugins.load("labelers", name).config):
            yield f"| `{path}` | {default} | {comment} |\n"


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(name, default, what it is) of each value below a model."""
    comments = comments_in(model)
    for name, field in model.model_fields.items():
        if name == "labeler":
            continue
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, f"{prefix}{name}.")
        else:
            default = field.get_default(call_default_factory=True)
            shown = "" if isinstance(default, dict | BaseModel) or default == "" else f"`{default}`"
            yield f"{prefix}{name}", shown.replace("|", "\\|"), comments.get(name, "").replace("|", "\\|")


def comments_in(model: type[BaseModel]) -> dict[str, str]:
    """The comment behind each field of a model and of those that it extends."""
    found: dict[str, str] = {}
    for one in model.__mro__:
        if issubclass(one, BaseModel) and one is not BaseModel:
            for name, comment in re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(one), flags=re.MULTILINE):
                found.setdefault(name, re.sub(r"pyright: ignore\[\w+\]( - )?", "", comment))
    return found


def columns_page() -> Iterator[str]:
    """Tables of the columns of each kind of label, from the metadata of their schemas."""
    yield "# Columns\n\nRows of a drive lie in the folder `sequence=NAME`. See [outputs](../outputs.md).\n"
    for kind in installed_kinds():
        yield f"\n## {kind.name}\n\n{kind.summary}: `OUTPUT/{kind.table.folder}/`\n\n"
        yield "| column | type | unit | frame | |\n|---|---|---|---|---|\n"
        for field in kind.table.schema:
            unit, frame, text = (about(field, key) for key in (UNIT, FRAME, DESCRIPTION))
            yield f"| `{field.name}` | {field.type} | {unit} | {frame} | {text} |\n"
