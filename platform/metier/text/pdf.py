"""PDF as Markdown: lines joined into paragraphs, headings told by their size, a form feed where a page ends.

A PDF knows characters and places, no paragraphs. What is larger than most of the text is a heading; page numbers, running
titles and the table of contents are left out; a sentence that goes on overleaf stays on the page where it begins, so that
whoever cuts at form feeds cuts no sentence. Text in pictures is not read.
"""

from __future__ import annotations

import collections
import io
import itertools
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from metier.text.sections import PAGE_END, as_prose, sentences
from metier.text.unreadable import UnreadableDocument

HEADING_SIZE = 1.15  # of the body's: what is larger stands above the text
LINE_PITCH = 1.7  # of the letters' size: lines further apart belong to two paragraphs
MOST_HEADING_CHARACTERS = 200
RUNNING_PAGES = 3  # on which a line at the edge stands, but for its numbers, to be a running title
_BULLET = re.compile(r"[•‣▪◦●·∙–]\s+")
_MARK = re.compile(r"(?:[-*+]|\d{1,3}[.)]|\(?[a-z]\))\s+\S")
_LEADER = re.compile(r"(?:\.\s?){5,}\s*\w*$")  # "Fees . . . . . 12"
_HYPHENATED = re.compile(r"(\w+)-\n(\w+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page: its text, the size of its letters and how high it stands."""

    text: str
    size: float
    height: float


def pdf_to_markdown(data: bytes) -> tuple[str, dict[str, str]]:
    """The text as Markdown, and the title where the first page says it too. Dates of the file say nothing of its content.

    Raises UnreadableDocument for a file that is encrypted, corrupt, pictures alone, or beyond pypdf's limits, which bound what
    a stream unpacks to and how deep the tree of pages is.
    """
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of every small fault that it mended
    try:
        file = pypdf.PdfReader(io.BytesIO(data))
        if file.is_encrypted and not file.decrypt(""):
            raise UnreadableDocument("encrypted", "the PDF asks for a password")
        pages = [_lines(page) for page in file.pages]
        pictures = 0 if any(pages) else sum(_has_picture(page) for page in file.pages)
        title = " ".join(str((file.metadata and file.metadata.title) or "").split())
    except (UnreadableDocument, MemoryError):
        raise
    except pypdf.errors.LimitReachedError as error:
        raise UnreadableDocument("over_limit", f"more than a PDF should hold ({error})") from None
    except Exception as error:  # broken bytes lead a parser anywhere
        raise UnreadableDocument("corrupt", f"no readable PDF ({type(error).__name__}: {error})") from None
    if pictures:
        raise UnreadableDocument("scanned", f"{len(pages)} pages, {pictures} with pictures and none with text")
    first = " ".join(line.text for line in pages[0]) if pages else ""
    return _markdown(pages), {"title": title} if title and title in first else {}


def _lines(page: Any) -> list[Line]:
    """The lines of a page from its top, as their letters are drawn."""
    found: list[Line] = []
    pieces: list[tuple[str, float, float]] = []

    def end_line() -> None:
        text = " ".join("".join(piece for piece, _, _ in pieces).split())
        if text:
            size = max(pieces, key=lambda piece: len(piece[0].strip()))[1]
            found.append(Line(text, size, next(height for piece, _, height in pieces if piece.strip())))
        pieces.clear()

    def visit(text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        scale = math.sqrt(abs((tm[0] * tm[3] - tm[1] * tm[2]) * (cm[0] * cm[3] - cm[1] * cm[2])))
        height = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        for number, piece in enumerate(text.split("\n")):
            if number:
                end_line()
            if piece:
                pieces.append((piece, round(size * scale, 1), height))

    page.extract_text(visitor_text=visit)
    end_line()
    return found


def _has_picture(page: Any) -> bool:
    resources = page.get("/Resources")
    drawn: Any = (resources.get_object().get("/XObject") if resources else None) or {}
    return any(one.get_object().get("/Subtype") == "/Image" for one in drawn.get_object().values()) if drawn else False


def _markdown(pages: list[list[Line]]) -> str:
    sizes: collections.Counter[float] = collections.Counter()
    for line in (line for page in pages for line in page):
        sizes[line.size] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    larger = sorted({size for size in sizes if size >= body * HEADING_SIZE}, reverse=True)
    levels = {size: min(number, 6) for number, size in enumerate(larger, 1)}
    text = [list(_blocks(page, levels)) for page in _without_running_lines(pages, levels)]
    _keep_sentences_whole(text)
    return _joined_words(f"\n\n{PAGE_END}\n\n".join("\n\n".join(blocks) for blocks in text))


def _without_running_lines(pages: list[list[Line]], levels: dict[float, int]) -> list[list[Line]]:
    """The pages without page numbers, running titles and lines of a table of contents. A heading is none of them."""
    pages = [[line for line in page if not _LEADER.search(line.text)] for page in pages]
    for edge in (0, -1, 0, -1):  # twice, for a title above a rule or a number below a name
        shared = collections.Counter(_numberless(page[edge].text) for page in pages if page)
        running = {text for text, times in shared.items() if times >= RUNNING_PAGES} | {"#"}
        for page in pages:
            if page and page[edge].size not in levels and _numberless(page[edge].text) in running:
                del page[edge]
    return pages


def _numberless(text: str) -> str:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", text)


def _blocks(page: list[Line], levels: dict[float, int]) -> Iterator[str]:
    """Headings, list items and paragraphs of a page; the lines of one still end where they did."""
    group: list[Line] = []
    for line in page:
        if group and _begins(line, group, levels):
            yield _block(group, levels)
            group = []
        group.append(line)
    if group:
        yield _block(group, levels)


def _begins(line: Line, group: list[Line], levels: dict[float, int]) -> bool:
    before = group[-1]
    if levels.get(line.size) != levels.get(before.size) or _BULLET.match(line.text) or _MARK.match(line.text):
        return True
    gap = before.height - line.height
    if gap < 0:  # the next column
        return before.text.endswith((".", ":", "!", "?"))
    return gap > LINE_PITCH * max(line.size, before.size)


def _block(group: list[Line], levels: dict[float, int]) -> str:
    text = "\n".join(line.text for line in group)
    level = levels.get(group[0].size)
    if level and len(text) <= MOST_HEADING_CHARACTERS and re.search(r"[^\W\d_]", text):
        return "#" * level + " " + text.replace("\n", " ")
    if _BULLET.match(text):
        return _BULLET.sub("- ", text, count=1)
    return text if _MARK.match(text) else as_prose(text)


def _keep_sentences_whole(pages: list[list[str]]) -> None:
    """Moves the end of a sentence back to the page where the sentence begins."""
    for before, after in itertools.pairwise(pages):
        if not before or not after or before[-1].startswith("#") or before[-1].endswith((".", ":", "!", "?")):
            continue
        if not after[0][:1].islower():
            continue
        end = sentences(after[0])[0]
        before[-1] += "\n" + end
        after[0] = after[0][len(end) :].strip()
        if not after[0]:
            del after[0]


def _joined_words(text: str) -> str:
    """Words that a line's end divided in one piece; the hyphen stays in those that have it elsewhere in the text."""
    known = set(re.findall(r"\w+-\w+", text))

    def joined(match: re.Match[str]) -> str:
        whole = f"{match[1]}-{match[2]}"
        return whole if whole in known or not match[2][0].islower() else match[1] + match[2]

    return _HYPHENATED.sub(joined, text)
