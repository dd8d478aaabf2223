"""What the README says, runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=["loop", "network", "rule", "engine"])
def test_examples(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace('"seed": 1', '"seed": 1, "engine.target": "numpy"'), "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) in (1, 3, 4, 23)


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_no_room_is_missing_from_the_map():
    for module in (ROOT / "rwta_sim").glob("[a-z]*.py"):
        if module.stem not in ("settings", "errors"):
            assert module.name in TEXT, module.name
