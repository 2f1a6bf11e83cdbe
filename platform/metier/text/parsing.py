"""A file's bytes as a Document: what its ending says it is goes in, Markdown text comes out.

Pictures, scripts, styles and navigation are left out. A form feed in the text stands where a page ends.
"""

from __future__ import annotations

import codecs
import datetime
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from metier.records import Document
from metier.text.csv import csv_to_markdown
from metier.text.docx import docx_to_markdown
from metier.text.html import html_to_markdown
from metier.text.pdf import pdf_to_markdown
from metier.text.rst import rst_to_markdown
from metier.text.sections import sections
from metier.text.unreadable import UnreadableDocument

Markdown = tuple[str, Mapping[str, Any]]
"""The text, and what the document says of itself by name: title, version, effective, superseded."""

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([\w-]+)", re.IGNORECASE)
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_PICTURE_DATA = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")
_MAX_TITLE = 120


def parse(data: bytes, uri: str, version: str = "") -> Document:
    """The document in a file's bytes; `uri` is its relative path, whose ending says how to read it.

    Raises UnreadableDocument for an unknown ending, an unknown encoding, binary data, no text, or a date that is none;
    and for what the format's own reader can't read.
    """
    suffix = PurePosixPath(uri).suffix.lower()
    if suffix not in SUFFIXES:
        raise UnreadableDocument(
            "unsupported_format", f"{suffix or 'no ending'}; read are {', '.join(sorted(SUFFIXES))}"
        )
    text, found = OF_BYTES[suffix](data) if suffix in OF_BYTES else OF_TEXT[suffix](_decoded(data, suffix in HTML))
    text = _CONTROL.sub("", _whole(text).replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", ""))
    text = _PICTURE_DATA.sub("", text)
    text = re.sub(r"\n{3,}", "\n\n", text).rstrip().lstrip(" \t\n")  # a form feed at the top is an empty first page
    if not text.strip():
        raise UnreadableDocument("empty", f"{len(data)} bytes without text")
    effective, superseded = (_day(name, found.get(name)) for name in ("effective", "superseded"))
    title = _whole(str(found.get("title") or "")).strip() or _title(text, uri)
    return Document(
        uri=uri,
        title=title[:_MAX_TITLE],
        text=text + "\n",
        version=_whole(str(found.get("version") or version)),
        effective=effective,
        superseded=superseded,
    )


def _decoded(data: bytes, html: bool) -> str:
    bom = next((name for mark, name in _BOMS.items() if data.startswith(mark)), "")
    declared = _CHARSET.search(data[:2048]) if html and not bom else None
    name = bom or (declared[1].decode("ascii") if declared else "utf-8")
    try:
        text = data.decode(name)
    except LookupError:
        raise UnreadableDocument("encoding", f"the file declares the unknown encoding {name}") from None
    except UnicodeDecodeError as error:
        if b"\0" in data[:4096]:
            raise UnreadableDocument("binary", f"byte 0 at {data.index(0)}") from None
        seen = data[error.start : error.start + 1].hex()
        raise UnreadableDocument("encoding", f"byte 0x{seen} at {error.start} is not {name}") from None
    control = len(_CONTROL.findall(text))
    if control > len(text) // 100:
        raise UnreadableDocument("binary", f"{control} control characters in {len(text)}")
    return _CONTROL.sub("", text)


def _whole(text: str) -> str:
    """The text with halves of characters put together, and those without their other half replaced: a PDF may hold such."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without_front_matter(source: str) -> Markdown:
    """What stands between two lines of dashes at the top, if it is a YAML mapping; other text between them stays."""
    text = source.replace("\r\n", "\n")
    match = _FRONT.match(text)
    if not match:
        return text, {}
    try:
        found = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return text, {}
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:  # such as 2026-02-30
        raise UnreadableDocument("front_matter", f"a value is not what its form says ({error})") from None
    if not isinstance(found, dict):
        return text, {}
    return text[match.end() :], {str(k).lower(): v for k, v in found.items()}


def _day(name: str, value: Any) -> str:
    """An ISO 8601 day. A date that can't be read would make an outdated document look current, so it is refused."""
    if value in (None, ""):
        return ""
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    try:
        return datetime.datetime.fromisoformat(str(value).strip()).date().isoformat()
    except ValueError:
        raise UnreadableDocument("bad_date", f"{name}: {str(value)[:40]!r} is not a day such as 2026-01-31") from None


def _title(text: str, uri: str) -> str:
    """The first heading, or a short first line, or the file's name, which is the title of a table too."""
    stem = PurePosixPath(uri).stem.replace("_", " ").replace("-", " ")
    if PurePosixPath(uri).suffix.lower() in TABLE:
        return stem
    heading = next((s.heading for s in sections(text) if s.heading), "")
    first = text.split("\n", 1)[0].strip()
    return heading or (first if len(first) <= 80 and not first.endswith((".", ":", ",")) else stem)


MARKDOWN, HTML, PLAIN, TABLE = {".md", ".markdown"}, {".html", ".htm"}, {".txt"}, {".csv"}
OF_TEXT: dict[str, Callable[[str], Markdown]] = {
    **dict.fromkeys(MARKDOWN, _without_front_matter),
    **dict.fromkeys(HTML, html_to_markdown),
    **dict.fromkeys(PLAIN, lambda source: (source, {})),
    **dict.fromkeys(TABLE, csv_to_markdown),
    ".rst": rst_to_markdown,
}
OF_BYTES: dict[str, Callable[[bytes], Markdown]] = {".pdf": pdf_to_markdown, ".docx": docx_to_markdown}
SUFFIXES = OF_TEXT.keys() | OF_BYTES.keys()
