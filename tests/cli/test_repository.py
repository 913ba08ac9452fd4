"""What a repository has beside its code: how to contribute and to cite, and what a forge runs; plain sentences."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_SENTENCE = 40  # words
TEXTS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]


def read_yaml(name: str):
    return yaml.safe_load((REPOSITORY / name).read_text())


def test_citation_names_the_package_and_the_papers_of_its_labelers():
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == "vsrd-ray"
    assert {"message", "authors", "license"} <= citation.keys()
    for paper in citation["references"]:
        assert paper["authors"] and paper["title"] and paper["year"], paper


def test_workflow_runs_what_a_developer_runs_on_every_python_that_is_supported():
    workflow = read_yaml(".github/workflows/ci.yml")
    makefile = (REPOSITORY / "Makefile").read_text()
    steps = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in steps
    for step in steps:
        assert step == ".ci/run" or re.search(rf"^{step.removeprefix('make ')}:", makefile, flags=re.MULTILINE), step
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.13"
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12"]


def test_pre_commit_lints_with_the_version_that_ci_has():
    (ruff,) = [repo for repo in read_yaml(".pre-commit-config.yaml")["repos"] if "ruff" in repo["repo"]]
    assert f"ruff=={ruff['rev'].removeprefix('v')}" in (REPOSITORY / "constraints.txt").read_text().splitlines()


def sentences(text: str) -> list[str]:
    """Sentences of a Markdown text, without blocks of code and the addresses of links; cells of tables count apart."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*#|]|\d+\.) ?)|\|", text)
    return [one for part in parts for one in re.split(r"(?<=[.!?:;])\s+", part.strip()) if one]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_no_sentence_is_long(page):
    long = [one for one in sentences(page.read_text()) if len(one.split()) > LONGEST_SENTENCE]
    assert long == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_shares_have_their_leading_zero(page):
    text = re.sub(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", "", page.read_text(), flags=re.DOTALL)
    assert re.findall(r"(?<![\w.])\.\d+", text) == []
