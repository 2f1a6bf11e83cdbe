"""A file's bytes as a Document: Markdown, HTML or plain text in, Markdown text out.

Pictures, scripts, styles and navigation are left out. PDF and office files are not read: convert them first.
"""

from __future__ import annotations

import codecs
import datetime
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from metier.records import Document
from metier.text.html import html_to_markdown
from metier.text.sections import sections

MARKDOWN, HTML, PLAIN = {".md", ".markdown"}, {".html", ".htm"}, {".txt"}
SUFFIXES = MARKDOWN | HTML | PLAIN
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([\w-]+)", re.IGNORECASE)
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_MAX_TITLE = 120


class UnreadableDocument(ValueError):
    """This file is no document: the reason as a code, and what was seen."""

    def __init__(self, reason: str, evidence: str) -> None:
        super().__init__(f"{reason}: {evidence}")
        self.reason = reason
        self.evidence = evidence


def parse(data: bytes, uri: str, version: str = "") -> Document:
    """The document in a file's bytes; `uri` is its relative path, whose ending says how to read it.

    Raises UnreadableDocument for an unknown ending, an unknown encoding, binary data, no text, or a date that is none.
    """
    suffix = PurePosixPath(uri).suffix.lower()
    if suffix not in SUFFIXES:
        raise UnreadableDocument(
            "unsupported_format", f"{suffix or 'no ending'}; read are {', '.join(sorted(SUFFIXES))}"
        )
    source = _decoded(data, html=suffix in HTML)
    found: Mapping[str, Any]
    if suffix in HTML:
        text, found = html_to_markdown(source)
    else:
        found, text = _front_matter(source) if suffix in MARKDOWN else ({}, source)
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")).strip()
    if not text:
        raise UnreadableDocument("empty", f"{len(data)} bytes without text")
    effective, superseded = (_day(name, found.get(name)) for name in ("effective", "superseded"))
    title = str(found.get("title") or "").strip() or _title(text, uri)
    return Document(
        uri=uri,
        title=title[:_MAX_TITLE],
        text=text + "\n",
        version=str(found.get("version") or version),
        effective=effective,
        superseded=superseded,
    )


def _decoded(data: bytes, *, html: bool) -> str:
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


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    """What stands between two lines of dashes at the top, if it is a YAML mapping; other text between them stays."""
    match = _FRONT.match(text.replace("\r\n", "\n"))
    if not match:
        return {}, text
    try:
        found = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}, text
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:  # such as 2026-02-30
        raise UnreadableDocument("front_matter", f"a value is not what its form says ({error})") from None
    if not isinstance(found, dict):
        return {}, text
    return {str(k).lower(): v for k, v in found.items()}, text.replace("\r\n", "\n")[match.end() :]


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
    """The first heading, or a short first line, or the file's name."""
    heading = next((s.heading for s in sections(text) if s.heading), "")
    first = text.split("\n", 1)[0].strip()
    stem = PurePosixPath(uri).stem.replace("_", " ").replace("-", " ")
    return heading or (first if len(first) <= 80 and not first.endswith((".", ":", ",")) else stem)
