"""Word documents (.docx) as Markdown: headings, paragraphs, lists and tables in their order, as they stand with all changes taken.

A .docx is XML in a ZIP file, read here with the standard library: python-docx passes over inserted text that nobody accepted
yet and over content controls without a word. Left out are pictures, comments, notes, headers and footers. Pages are not
kept: where they end is settled by the program that shows the file, and stands nowhere in it.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

from metier.text.sections import as_prose
from metier.text.unreadable import UnreadableDocument

MOST_UNPACKED = 100_000_000  # bytes of one part: a megabyte of ZIP can hold a gigabyte of blanks
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_OLE = b"\xd0\xcf\x11\xe0"  # how Word's older files begin, and newer ones with a password
_LETTERS = {_W + "t", _MATH + "t"}
_GONE = {_W + "del", _W + "moveFrom", _W + "txbxContent", _W + "pPr", _W + "rPr", _FALLBACK}
_SPACE = {_W + "p": "\n", _W + "tab": "\t", _W + "br": "\n", _W + "cr": "\n", _W + "noBreakHyphen": "-"}
_HEADING = re.compile(r"heading ([1-9])")
_KNOWN = re.compile(r"heading [1-9]|title|list\b.*|toc [1-9]")


def docx_to_markdown(data: bytes) -> tuple[str, dict[str, str]]:
    """The text as Markdown, and the title from the file's properties. Their dates say nothing of its content.

    Raises UnreadableDocument for a file that is encrypted, corrupt, no Word document, or too large when unpacked.
    """
    if data.startswith(_OLE):
        raise UnreadableDocument(
            "encrypted", "a password, or Word's format of before 2007: save it as .docx without one"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            body = _part(file, "word/document.xml").find(_W + "body")
            styles = _style_names(_part(file, "word/styles.xml")) if "word/styles.xml" in file.namelist() else {}
            core = _part(file, "docProps/core.xml") if "docProps/core.xml" in file.namelist() else None
    except (UnreadableDocument, MemoryError):
        raise
    except Exception as error:  # broken bytes lead a parser anywhere
        raise UnreadableDocument("corrupt", f"no readable Word document ({type(error).__name__}: {error})") from None
    if body is None:
        raise UnreadableDocument("corrupt", "no readable Word document (it has no body)")
    title = " ".join(((core.findtext(_TITLE) if core is not None else "") or "").split())
    return _joined(list(_blocks(body, styles))), {"title": title} if title else {}


def _part(file: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """A part of the package, parsed. What it unpacks to is measured, for a ZIP file's own word on that may be false."""
    with file.open(name) as packed:
        data = packed.read(MOST_UNPACKED + 1)
    if len(data) > MOST_UNPACKED:
        raise UnreadableDocument("too_large", f"{name} unpacks to more than {MOST_UNPACKED // 1_000_000} MB")
    return ElementTree.fromstring(data)  # noqa: S314 (expat itself bounds what entities grow to, and fetches nothing)


def _style_names(part: ElementTree.Element) -> dict[str, str]:
    """Names by id, of a style of the writer's own that of the built-in one below it: only those are always English."""
    names: dict[str, str] = {}
    below: dict[str, str] = {}
    for style in part.iter(_W + "style"):
        one = style.get(_W + "styleId", "")
        names[one], below[one] = _value(style, "name").lower(), _value(style, "basedOn")

    def built_in(one: str) -> str:
        seen: set[str] = set()
        while one in names and one not in seen:
            if _KNOWN.fullmatch(names[one]):
                return names[one]
            seen.add(one)
            one = below[one]
        return ""

    return {one: built_in(one) for one in names}


def _value(node: ElementTree.Element, path: str) -> str:
    found = node.find("/".join(_W + name for name in path.split("/")))
    return found.get(_W + "val", "") if found is not None else ""


def _blocks(parent: ElementTree.Element, styles: dict[str, str]) -> Iterator[str]:
    """Blocks in their order; what wraps them (content controls, insertions) is looked into."""
    for child in parent:
        if child.tag == _W + "p":
            yield _paragraph(child, styles)
        elif child.tag == _W + "tbl":
            yield _table(child)
        elif child.tag not in _GONE:
            yield from _blocks(child, styles)


def _paragraph(paragraph: ElementTree.Element, styles: dict[str, str]) -> str:
    lines = [" ".join(line.split()) for line in _text(paragraph).split("\n")]
    text = "\n".join(line for line in lines if line)
    name = styles.get(_value(paragraph, "pPr/pStyle"), "")
    if not text or name.startswith("toc"):
        return ""
    heading = _HEADING.fullmatch(name)
    if heading or name == "title":
        return "#" * min(int(heading[1]) if heading else 1, 6) + " " + text.replace("\n", " ")
    if name.startswith("list") or paragraph.find(f"{_W}pPr/{_W}numPr") is not None:
        return "- " + text.replace("\n", "\n  ")
    return as_prose(text)


def _text(node: ElementTree.Element) -> str:
    if node.tag in _LETTERS:
        return node.text or ""
    return _SPACE.get(node.tag, "") + "".join(_text(child) for child in node if child.tag not in _GONE)


def _table(table: ElementTree.Element) -> str:
    """Rows between bars. A cell over several columns stands once, one over several rows in the first of them."""
    rows = [[_cell(cell) for cell in _own(row, "tc")] for row in _own(table, "tr")]
    rows = [row for row in rows if any(row)]
    if rows:
        rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _own(node: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """The rows of a table or the cells of a row, those of a table in a cell not among them."""
    for child in node:
        if child.tag == _W + name:
            yield child
        elif child.tag not in _GONE:
            yield from _own(child, name)


def _cell(cell: ElementTree.Element) -> str:
    return " ".join(_text(cell).split()).replace("|", "\\|")


def _joined(blocks: list[str]) -> str:
    """Blocks with a blank line between them; items of one list stand together."""
    text = ""
    for block in (b for b in blocks if b):
        together = block.startswith("- ") and text.rpartition("\n\n")[2].startswith("- ")
        text += ("\n" if together else "\n\n") + block
    return text.strip()
