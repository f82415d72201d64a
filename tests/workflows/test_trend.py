"""The nightly page of trends: every workload and server that the history holds, nothing that it does not."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TREND = Path(__file__).parents[2] / ".github" / "trend.py"


def night(ratio: float | None, server: str = "fairlead") -> str:
    return json.dumps({"results": [{"server": server, "workload": "plaintext", "per_second": 1.0, "ratio": ratio}]})


def drawn(history: Path, page: Path) -> str:
    subprocess.run([sys.executable, str(TREND), str(history), str(page)], check=True)
    return (page / "index.html").read_text()


def test_a_point_for_each_night(tmp_path: Path) -> None:
    """Nights in order of their dates, whatever order the files have; a night without a ratio leaves a gap."""
    for date, ratio in (("2026-11-03", 3.0), ("2026-11-01", 1.5), ("2026-11-02", None)):
        (tmp_path / f"{date}.json").write_text(night(ratio))
    text = drawn(tmp_path, tmp_path / "page")
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert len(svg.findall("circle")) == 2
    assert "2026-11-01 to 2026-11-03, highest ratio 3.00" in text
    line = svg.find("polyline")
    assert line is not None
    xs, ys = zip(*(map(float, point.split(",")) for point in line.attrib["points"].split()), strict=True)
    assert list(xs) == sorted(xs)
    assert ys[0] > ys[1]  # a greater ratio is higher up


def test_one_night(tmp_path: Path) -> None:
    """The first night makes a page already."""
    (tmp_path / "2026-11-01.json").write_text(night(2.0))
    assert "fairlead 2.00" in drawn(tmp_path, tmp_path / "page")


def test_no_night(tmp_path: Path) -> None:
    """Without history the page says so; other files are not taken for nights."""
    (tmp_path / "README.json").write_text("{}")
    assert "No night yet." in drawn(tmp_path, tmp_path / "page")


def test_names_are_text(tmp_path: Path) -> None:
    """What a file calls a server is shown, never interpreted."""
    (tmp_path / "2026-11-01.json").write_text(night(1.0, "<script>"))
    assert "<script>" not in drawn(tmp_path, tmp_path / "page")


def test_usage(tmp_path: Path) -> None:
    """Called wrongly it says how."""
    done = subprocess.run([sys.executable, str(TREND)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: trend.py HISTORY PAGE\n")
