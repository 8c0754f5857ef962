"""Pictures: files that a browser reads, the same bytes for the same figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from small_case import case_of, panel

from ledgerfed.evaluation.compare import METHODS, compare
from ledgerfed.evaluation.documents import row_document
from ledgerfed.evaluation.plots import draw

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    rows = [row_document(row) for row in compare(case_of(tuple(panel(seed) for seed in range(3))))]
    harm = [
        {"case": "made up", "nodes": 3, "claim": claim, "plain": 1.0 + claim / 100, "robust": 1.0}
        for claim in (1, 10, 1000)
    ]
    return {"rows": [*rows, *({**row, "horizon": 3} for row in rows)], "harm": harm}


def test_three_pictures_are_well_formed_and_name_what_they_show(
    found: dict[str, Any], tmp_path: Path
) -> None:
    paths = draw(found, tmp_path)
    assert [path.name for path in paths] == ["errors.svg", "gains.svg", "harm.svg"]
    for path in paths:
        root = ElementTree.fromstring(path.read_text("utf-8"))
        assert root.tag == f"{SVG}svg"
    text = "".join(ElementTree.fromstring(paths[0].read_text("utf-8")).itertext())
    assert "made up, 3 steps ahead" in text
    assert all(method in text for method in METHODS)


def test_equal_figures_give_equal_bytes(found: dict[str, Any], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        draw(found, directory)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
        assert b"<dc:date>" not in path.read_bytes()


def test_without_harm_there_is_no_picture_of_it(found: dict[str, Any], tmp_path: Path) -> None:
    assert [path.name for path in draw(found | {"harm": []}, tmp_path)] == ["errors.svg", "gains.svg"]


def test_comparing_does_not_import_matplotlib() -> None:
    program = (
        "import sys\nimport ledgerfed.evaluation.compare, ledgerfed.evaluation.runs, ledgerfed.cli.evaluate\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
