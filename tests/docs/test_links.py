"""The pages hang together: none is missing from the table of contents, and no link leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    page
    for folder in ("docs", "charts", "services", "libs", ".")
    for page in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
    if not {"node_modules", ".venv"} & set(page.parts)
)

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", page.read_text())


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of each link within the repository."""
    for link in _LINK.findall(_CODE.sub("", text_of(page))):
        path, _, anchor = link.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in _HEADING.findall(text_of(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A file of the repository, and a heading of it where one is named."""
    broken = [
        f"{target.relative_to(ROOT)}#{anchor}"
        for target, anchor in links_of(page)
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target))
    ]
    assert broken == []


def test_every_page_is_in_the_table_of_contents() -> None:
    """A page that nobody finds is not written."""
    linked = {target for target, _ in links_of(DOCS / "README.md")}
    assert {page for page in DOCS.glob("**/*.md") if page.name != "README.md"} <= linked
