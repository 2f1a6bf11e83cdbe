"""HTML as Markdown: headings, paragraphs, lists, tables and code. What is not content (navigation, scripts) goes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import Comment, NavigableString, Tag

_NOT_CONTENT = ("script", "style", "nav", "footer", "aside", "form", "noscript", "template", "svg", "button", "iframe")
_BLOCKS = {"p", "div", "section", "article", "main", "header", "figure", "figcaption", "dl", "dt", "dd", "details",
           "summary", "body", "html", "center", "address"}  # fmt: skip


def html_to_markdown(source: str) -> tuple[str, dict[str, str]]:
    """The page's text as Markdown, and its title and `<meta name=...>` values by lower-case name."""
    page = BeautifulSoup(source, "html.parser")
    found = {
        str(m["name"]).lower(): str(m["content"]) for m in page.find_all("meta", attrs={"name": True, "content": True})
    }
    found.pop("title", None)
    if page.title and page.title.get_text(strip=True):
        found["title"] = " ".join(page.title.get_text().split())
    for tag in page.find_all(_NOT_CONTENT):
        tag.decompose()
    root = page.find("main") or page.find("article") or page.body or page
    if isinstance(root, Tag) and root.find("title"):
        root.find("title").extract()  # type: ignore[union-attr]
    text = "\n\n".join(block for block in _blocks(root) if block.strip()) if isinstance(root, Tag) else ""
    return text, found


def _blocks(tag: Tag) -> Iterator[str]:
    """Markdown blocks of a tag's children; what stands between block tags becomes a paragraph."""
    inline: list[str] = []
    for child in tag.children:
        name = child.name if isinstance(child, Tag) else ""
        if isinstance(child, Comment):
            continue
        if not isinstance(child, Tag) or not (name in _BLOCKS or name in _RENDERED or re.fullmatch("h[1-6]", name)):
            inline.append(_inline(child))
            continue
        yield _paragraph(inline)
        inline.clear()
        if re.fullmatch("h[1-6]", name):
            yield f"{'#' * int(name[1])} {_paragraph([_inline(child)])}"
        elif name in _RENDERED:
            yield _RENDERED[name](child)
        else:
            yield from _blocks(child)
    yield _paragraph(inline)


def _paragraph(parts: list[str]) -> str:
    lines = "".join(parts).split("<br>")
    return "\n".join(" ".join(line.split()) for line in lines).strip()


def _inline(node: object) -> str:
    if isinstance(node, NavigableString):
        return "" if isinstance(node, Comment) else str(node)
    if not isinstance(node, Tag):
        return ""
    if node.name == "br":
        return "<br>"
    if node.name in ("code", "kbd", "tt"):
        return f"`{node.get_text()}`"
    return "".join(_inline(child) for child in node.children)


def _list(tag: Tag) -> str:
    ordered = tag.name == "ol"
    lines = []
    for number, item in enumerate(tag.find_all("li", recursive=False), 1):
        inner = "\n".join(block for block in _blocks(item) if block)
        mark = f"{number}. " if ordered else "- "
        lines.append(mark + inner.replace("\n", "\n" + " " * len(mark)))
    return "\n".join(lines)


def _code(tag: Tag) -> str:
    return "```\n" + tag.get_text().strip("\n") + "\n```"


def _table(tag: Tag) -> str:
    rows = [[_paragraph([_inline(cell)]) for cell in row.find_all(["th", "td"])] for row in tag.find_all("tr")]
    rows = [row for row in rows if row]
    if rows:
        rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _quote(tag: Tag) -> str:
    return "\n".join("> " + line for block in _blocks(tag) if block for line in block.split("\n"))


_RENDERED = {"ul": _list, "ol": _list, "pre": _code, "table": _table, "blockquote": _quote}
