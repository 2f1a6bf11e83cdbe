"""A document as passages: short, and each one standing alone, because it begins with what it is about.

An API object gives `name(signature): summary` first, then its description, its parameters in groups, what it returns,
and an example. Prose is cut where a page ends, at headings, then at paragraphs, then at sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metier.records import ApiObject, Document, Passage
from metier.text.apitext import leading_sentences, parameter_head, parameter_line, qualified_signature, short_name
from metier.text.sections import PAGE_END, blocks, is_code, sections, sentences, words

Part = tuple[str, str]
"""Of a passage: its section and its text."""

_GENERATED = {"parameters", "returns", "example"}  # sections of an API document that are written from `api`


def passages_of(document: Document, max_words: int = 90) -> list[Passage]:
    """The passages of a document in order, each of at most about `max_words` words.

    A single long word-less unit (a line of code) is never cut, so a passage may be longer by one such line. Of a document
    with pages, a passage's `uri` ends in the fragment that names its page (RFC 8118: `leave.pdf#page=3`).
    """
    parts: Iterable[tuple[str, Part]]
    if document.api:
        parts = ((document.uri, part) for part in _api_parts(document, document.api, max_words))
    else:
        parts = _prose_parts(document, max_words)
    return [
        document.derive(
            Passage,
            uri=uri,
            title=document.title,
            section=section,
            text=text,
            position=position,
            split=document.split,
            effective=document.effective,
            superseded=document.superseded,
        )
        for position, (uri, (section, text)) in enumerate(parts)
    ]


def _api_parts(document: Document, api: ApiObject, max_words: int) -> Iterator[Part]:
    yield (
        "",
        f"{_short_signature(api, max_words // 2)}: {api.summary}" if api.summary else _short_signature(api, max_words),
    )
    for section in sections(document.text):
        if section.heading.lower() not in _GENERATED:
            described = [" ".join(b.split()) for b in blocks(section.body) if not is_code(b) and b != api.summary]
            yield from (
                ("Description", t) for t in _packed(f"{api.name}: ", _units(described, max_words), max_words, " ")
            )
    yield from _parameter_parts(api, max_words)
    if api.returns:
        yield from (("Returns", t) for t in _packed(f"{api.name} returns: ", sentences(api.returns), max_words, " "))
    if api.example:
        lines = _packed("", api.example.split("\n"), max_words - 10, "\n")
        yield from (("Example", f"Example of {api.name}:\n```python\n{t}\n```") for t in lines)


def _short_signature(api: ApiObject, max_words: int) -> str:
    """The qualified signature, cut after a whole parameter where it is long."""
    whole = qualified_signature(api)
    if words(whole) <= max_words:
        return whole
    kept = whole.split(", ")[:max_words]
    return ", ".join(kept) + ", ...)"


def _parameter_parts(api: ApiObject, max_words: int) -> Iterator[Part]:
    """Parameters in groups, long descriptions cut after some sentences; what was cut follows in passages of its own."""
    room = max_words // 3
    lines = [parameter_line(p, room) for p in api.parameters]
    yield from (("Parameters", t) for t in _packed(f"Parameters of {api.name}:\n", lines, max_words, "\n"))
    for p in api.parameters:
        shown = leading_sentences(p.description, room) if words(p.description) > room else p.description
        rest = p.description[len(shown) :].strip()
        if rest:
            start = f"Parameter `{p.name}` of {api.name} ({parameter_head(p).partition('(')[2] or ')'}: "
            start = start.replace("()", "").replace(" : ", ": ")
            yield from ((f"Parameter {short_name(p.name)}", t) for t in _packed(start, sentences(rest), max_words, " "))


def _prose_parts(document: Document, max_words: int) -> Iterator[tuple[str, Part]]:
    path: list[tuple[int, str]] = []  # goes on from page to page
    pages = document.text.split(PAGE_END)
    for number, page in enumerate(pages, 1):
        uri = f"{document.uri}#page={number}" if len(pages) > 1 else document.uri
        for section in sections(page):
            if section.heading:
                above = [(level, name) for level, name in path if level < section.level]
                path = [*above, (section.level, section.heading)]
            names = [name for _, name in path if name != document.title]
            start = " > ".join([document.title, *names]) + "\n"
            texts = _packed(start, _units(blocks(section.body), max_words), max_words, "\n")
            yield from ((uri, (" > ".join(names), text)) for text in texts)


def _units(parts: Iterable[str], max_words: int) -> list[str]:
    """Blocks, those that are too long cut at sentences (prose) or at lines (code)."""
    units: list[str] = []
    for part in parts:
        if words(part) <= max_words:
            units.append(part)
        elif is_code(part):
            fence, *lines = part.split("\n")
            body = lines[:-1] if lines and lines[-1].strip().startswith(fence[:3]) else lines
            units += [f"{fence}\n{t}\n{fence[:3]}" for t in _packed("", body, max_words, "\n")]
        else:
            units += [piece for sentence in sentences(part) for piece in _pieces(sentence, max_words)]
    return units


def _pieces(sentence: str, max_words: int) -> list[str]:
    """A sentence, cut by words only where it alone is too long for a passage."""
    parts = sentence.split(" ")
    return [" ".join(parts[i : i + max_words]) for i in range(0, len(parts), max_words)]


def _packed(start: str, units: list[str], max_words: int, joiner: str) -> Iterator[str]:
    """Units joined into texts that begin with `start`, each of at most `max_words` words where its units allow."""
    room = max(max_words - words(start), max_words // 2)
    group: list[str] = []
    for unit in units:
        if group and words(joiner.join([*group, unit])) > room:
            yield start + joiner.join(group)
            group = []
        group.append(unit)
    if any(unit.strip() for unit in group):
        yield start + joiner.join(group)
