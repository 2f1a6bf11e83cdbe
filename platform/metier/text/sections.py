"""Markdown text as sections, blocks and sentences. Rules, not a grammar: headings, fences, lists, paragraphs."""

from __future__ import annotations

import re
from dataclasses import dataclass

PAGE_END = "\f"  # stands in a text where a page of its document ends

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*")
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"\s*([-*+]|\d+[.)])\s+")
_END = re.compile(r"(?<=[.!?])[\"')\]`*]*\s+(?=(?:[*-] )?[\"'(\[`*]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"\b((?i:e\.g|i\.e|etc|vs|cf|approx|resp|no|fig|eq|dr|mr|mrs|st)|[A-Z])\.[\"')\]`*]*$")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading (empty before the first one), its level (0 for none) and the text under it."""

    heading: str
    level: int
    body: str


def sections(text: str) -> list[Section]:
    """The sections of a Markdown text in order; headings inside code fences are not headings."""
    found: list[Section] = []
    heading, level, body, fence = "", 0, list[str](), ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark:
            fence = "" if fence == mark[1] else fence or mark[1]
        title = None if fence else _HEADING.fullmatch(line)
        if title:
            found.append(Section(heading, level, "\n".join(body).strip("\n")))
            heading, level, body = title[2], len(title[1]), []
        else:
            body.append(line)
    found.append(Section(heading, level, "\n".join(body).strip("\n")))
    return [s for s in found if s.heading or s.body.strip()]


def blocks(body: str) -> list[str]:
    """Paragraphs, list items and whole code fences, in order."""
    found: list[list[str]] = [[]]
    fence = ""
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            found[-1].append(line)
            if mark and mark[1] == fence:
                fence = ""
                found.append([])
        elif mark:
            fence = mark[1]
            found.append([line])
        elif not line.strip():
            found.append([])
        elif _ITEM.match(line):
            found.append([line])
        else:
            found[-1].append(line)
    return [text for lines in found if (text := "\n".join(lines).strip())]


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph. Abbreviations, decimals and dotted names do not end one."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        piece = text[start : end.end()].strip()
        if _ABBREVIATION.search(piece):
            continue
        found.append(piece)
        start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def as_prose(text: str) -> str:
    """A paragraph from outside Markdown, with a backslash where a line of it would read as a heading or a fence."""
    lines = text.split("\n")
    return "\n".join("\\" + line if _HEADING.fullmatch(line) or _FENCE.match(line) else line for line in lines)


def is_code(block: str) -> bool:
    """True for a fenced block."""
    return _FENCE.match(block) is not None


def words(text: str) -> int:
    """The number of words, as white space divides them."""
    return len(text.split())
