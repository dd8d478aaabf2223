"""What README and the pages under docs/ say, runs, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import results
from brian2 import prefs

from rwta_sim.cli import cli
from rwta_sim.engines import EngineSpec

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
CONCEPTS = sorted((ROOT / "docs" / "concepts").glob("*.md"))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (README, *PAGES, *CONCEPTS)}
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

#: What the Python of a page prints, in all its blocks together; a page with Python needs a line here.
PRINTS = {
    "README.md": r"Summary\(.*finished=True.*\[.+\].*'sh': \(32, 32\).*\n\d+\.\d+\n.* of 20\n",
    "docs/analysis.md": r"\d\.\d+ of the actions, by chance \d\.\d+\n +neuron +spikes .*rate_hz.*\nTrue True\n",
    "docs/engines.md": r"balanced for 500 steps of 500\n",
    "docs/environments.md": r"1[5-8]\.\d+ of 20",
    "docs/lesions.md": r"\{'lesion': .*'silence': .*'drive': .*\}\n\[.*\] \[.*\]\n",
    "docs/loop.md": r"\[136\.36, 136\.36\]\n\[136\.36, 136\.36\]\n",
    "docs/network.md": r"[1-3]\d\d \(2, 500\)\n",
    "docs/recordings.md": r"Recording\(.* of 3 episodes\)\n\d+ True 8 \d+\n\['action', .*'value'\]\n\(\d+,\) 3\n",
    "docs/robustness.md": r"\[.*\]\nTrue\n\(0\.25, 0\.5, 2\.0, 4\.0\)\n",
    "docs/rules.md": r"on_post:\n +balance \+= gate_post ?\* ?x_seen_pre\n.*\n\d\.\d+\n",
    "docs/systems.md": r"(19|20)\.0 of 20\n",
}


def blocks(page: str, language: str) -> list[str]:
    text = TEXTS.get(page) or (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in TEXTS if blocks(page, "python")])
def test_python(page, tmp_path, monkeypatch, capsys):
    """The blocks of a page run in order, in one namespace and in a folder that is empty at first.

    Where the page leaves the choice of an engine open it is the one with nothing to compile. A block that begins with
    the name of a file is that file.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(EngineSpec, "resolved", lambda spec: EngineSpec(name="runtime", target="numpy"))
    names = {"__name__": "__main__"}
    for code in blocks(page, "python"):
        if file := re.match(r"# (\w+\.py)\n", code):
            (tmp_path / file[1]).write_text(code)
        else:
            exec(compile(code, page, "exec"), names)
    assert re.search(PRINTS[page], out := capsys.readouterr().out, flags=re.DOTALL), out


COMMANDS = [
    (page, line)
    for page in (*TEXTS, "docs/site/start.md")
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("rwta-sim ")
]


class Begun(Exception):
    """Training would begin."""


def begin(*args: Any, **kwargs: Any) -> None:
    raise Begun


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line.split("  ")[0] for _, line in COMMANDS])
def test_commands(page, line, tmp_path, monkeypatch):
    """Each `rwta-sim` line of a page names a command and options that it has; of `train`, settings that fit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rwta_sim.cli.train", begin)
    name, *arguments = shlex.split(line, comments=True)[1:]
    context = cli.commands[name].make_context(name, arguments)
    if name == "train":
        with pytest.raises(Begun):
            context.command.invoke(context)


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links(page):
    """Links from page to page, to headings and to pictures lead somewhere."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", TEXTS[page]):
        if target.startswith(("http://", "https://")):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_the_index_lists_every_page():
    listed = set(re.findall(r"\]\((\w[\w-]*\.md)\)", TEXTS["docs/index.md"]))
    assert listed == {path.name for path in PAGES} - {"index.md"}
    assert "(docs/index.md)" in TEXTS["README.md"]


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 200


def test_the_readme_has_the_results(tmp_path, monkeypatch):
    """Its table is what `benchmarks/results.py --readme` puts between the markers."""
    copy = tmp_path / "README.md"
    copy.write_text(re.sub(r"(<!-- results -->).*(<!-- end)", r"\1\nold\n\2", TEXTS["README.md"], flags=re.DOTALL))
    monkeypatch.setattr(results, "HERE", tmp_path / "benchmarks")
    results.readme(results.load())
    assert copy.read_text() == TEXTS["README.md"]


def test_no_room_is_missing_from_the_map():
    for path in (ROOT / "rwta_sim").glob("[a-z]*"):
        name = f"{path.name}/" if (path / "__init__.py").is_file() else path.name
        if name.endswith((".py", "/")):
            assert name in TEXTS["docs/development.md"], name


# -- notebooks and concepts ------------------------------------------------------------------------


def source(path: Path, kind: str) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def play(code: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run cells in one namespace; how many figures they showed."""
    shown: list[int] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: (shown.append(len(plt.get_fignums())), plt.close("all")))
    before, names = prefs.codegen.target, {"__name__": "__main__"}
    try:
        for cell in code:
            exec(compile(cell, "cell", "exec"), names)
    finally:
        prefs.codegen.target = before
        plt.close("all")
    return sum(shown)


@pytest.mark.parametrize("page", CONCEPTS, ids=[path.stem for path in CONCEPTS])
def test_a_concept_has_a_figure(page, tmp_path, monkeypatch):
    code = re.findall(
        r"^```\{code-cell\} python3\n(?::[^\n]*\n)*(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert play(code, tmp_path, monkeypatch) == 1


@pytest.mark.parametrize("number", ["01", pytest.param("02", marks=pytest.mark.nightly)])
def test_notebooks_run(number, tmp_path, monkeypatch):
    """The others take longer: `make notebooks`."""
    (path,) = (path for path in NOTEBOOKS if path.name.startswith(number))
    assert play(source(path, "code"), tmp_path, monkeypatch) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_complete(path):
    """What one learns, what is seen, three exercises with their solutions; no outputs."""
    text = "\n".join(source(path, "markdown"))
    assert text.startswith(f"# {int(path.name[:2])}. ")
    assert "**What one learns:**" in text and "**What is seen.**" in text
    exercises = text.split("## Exercises\n")[1]
    assert re.findall(r"^(\d)\. ", exercises, re.MULTILINE) == ["1", "2", "3"]
    solved = path.parent / "solutions" / path.name
    for notebook in (path, solved):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    headings = "\n".join(source(solved, "markdown"))
    assert all(re.search(rf"^## .*\b{k}\b", headings, re.MULTILINE) for k in (1, 2, 3))
