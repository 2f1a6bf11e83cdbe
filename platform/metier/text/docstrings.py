"""A Python docstring as its parts, in Markdown.

Reads Google style (`Args:`, `Returns:`, `Examples:`) with the reStructuredText marks that Sphinx projects put into it.
NumPy style and `:param:` fields are left in the description as they are.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass, field

from metier.text.sections import blocks, is_code, sentences

_SECTIONS = {
    "args": "parameters",
    "arguments": "parameters",
    "parameters": "parameters",
    "keyword args": "parameters",
    "keyword arguments": "parameters",
    "attributes": "attributes",
    "returns": "returns",
    "return": "returns",
    "yields": "returns",
    "raises": "raises",
    "example": "example",
    "examples": "example",
}
_HEADER = re.compile(rf"(?i)({'|'.join(_SECTIONS)})\s*:\s*(.*)")
_ENTRY = re.compile(r"(?:\\?\*){0,2}(?P<name>[A-Za-z_][\w.]*)\s*(?:\((?P<type>[^)]*)\))?\s*:(?=\s|$)\s*(?P<rest>.*)")
_DIRECTIVE = re.compile(r"\.\.\s+(?P<name>[\w-]+)::\s*(?P<argument>.*)")
_CODE = {"testcode", "code-block", "code", "doctest", "sourcecode"}
_LABELS = {
    "note": "Note: ",
    "tip": "Tip: ",
    "warning": "Warning: ",
    "important": "Important: ",
    "caution": "Caution: ",
    "seealso": "See also: ",
    "deprecated": "Deprecated since ",
    "versionadded": "Since ",
}
_SILENT = {
    "testoutput",
    "currentmodule",
    "image",
    "figure",
    "raw",
    "toctree",
    "autosummary",
    "testsetup",
    "testcleanup",
    "include",
}
_OPTION = re.compile(r"\s*:[\w-]+:(?!`)")
_TARGET = re.compile(r"\s*\.\. (_[^:]+:|\[)")  # `.. _name: address`
_STABILITY = re.compile(r"\*\*(PublicAPI|DeveloperAPI|DEPRECATED|Deprecated)\b[^*]*\*\*:?[^\n]*(\n(?!\n)[^\n]+)*")
_INLINE = (
    (re.compile(r":[\w:-]+:`~?([^`<]+?)\s*<[^`>]*>`"), r"\1"),  # :ref:`text <target>`
    (re.compile(r":[\w:-]+:`~(?:[\w.]*\.)?([^`]+)`"), r"`\1`"),  # :meth:`~Dataset.map`
    (re.compile(r":[\w:-]+:`([^`]+)`"), r"`\1`"),
    (re.compile(r"``([^`]+)``"), r"`\1`"),
    (re.compile(r"`([^`<]+?)\s*<(?:https?:|[\w./-]+)[^`>]*>`_{1,2}"), r"\1"),  # `text <address>`_
    (re.compile(r"::(?=\s*$)", re.MULTILINE), ":"),
)


@dataclass(frozen=True, slots=True)
class Docstring:
    """The parts of a docstring. `parameters` maps a name to its description; `example` is code without a fence."""

    summary: str = ""
    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    example: str = ""


def parse_docstring(raw: str) -> Docstring:
    """The parts of a docstring. What is not understood stays in the description; nothing raises."""
    parts = _divided(_STABILITY.sub("", inspect.cleandoc(raw)).split("\n"))
    body = "\n".join(parts.get("body", []))
    prose, codes = _markdown(body)
    shown, examples = _markdown("\n".join(_dedented(parts.get("example", []))))
    paragraphs = [b for b in blocks(prose) if not is_code(b) and not b.startswith((">>>", "..."))]
    summary, rest = _first_sentence(paragraphs[0]) if paragraphs else ("", "")
    named = _entries(parts.get("attributes", [])) | _entries(parts.get("parameters", []))
    return Docstring(
        summary=summary,
        description="\n\n".join(p for p in (rest, *paragraphs[1:]) if p),
        parameters=named,
        returns=_flow("\n".join(_dedented(parts.get("returns", [])))),
        example=next(iter([*examples, *codes]), "") or _doctest(shown),
    )


def _divided(lines: list[str]) -> dict[str, list[str]]:
    """Lines by section. A line that is not indented ends a section, unless it is a directive of an example."""
    parts: dict[str, list[str]] = {"body": []}
    current = "body"
    for line in lines:
        header = _HEADER.fullmatch(line.rstrip())
        if header:
            current = _SECTIONS[header[1].lower()]
            parts.setdefault(current, [])
            if header[2]:
                parts[current].append("    " + header[2])
            continue
        outside = line.strip() and not line.startswith((" ", "\t"))
        if outside and not (current == "example" and line.startswith((".. ", ">>>", "..."))):
            current = "body"
        parts[current].append(line)
    return parts


def _dedented(lines: list[str]) -> list[str]:
    return textwrap.dedent("\n".join(lines)).strip("\n").split("\n")


def _entries(lines: list[str]) -> dict[str, str]:
    """`name (type): text` entries; what is indented further belongs to the entry above it."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in _dedented(lines):
        entry = _ENTRY.match(line)
        if entry and not line.startswith(" "):
            name = entry["name"]
            found[name] = [entry["rest"]]
        elif name:
            found[name].append(line)
    return {key: _flow("\n".join([text[0], textwrap.dedent("\n".join(text[1:]))])) for key, text in found.items()}


def _flow(text: str) -> str:
    """Markdown prose on one line, its code blocks left out."""
    prose, _ = _markdown(text)
    return re.sub(r"\s+", " ", re.sub(r"```.*?```", " ", prose, flags=re.DOTALL)).strip()


def _markdown(text: str) -> tuple[str, list[str]]:
    """Markdown of reStructuredText, and the code blocks in it, whose text is left out of inline rewriting."""
    out: list[str] = []
    prose: list[str] = []
    codes: list[str] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if lines[at].strip() == "..":  # a comment
            _, _, at = _block(lines, at)
            continue
        directive = _DIRECTIVE.match(lines[at].strip())
        if not directive:
            if not _TARGET.match(lines[at]):
                prose.append(lines[at])
            at += 1
            continue
        out.append(_inline("\n".join(prose)))
        prose.clear()
        body, hidden, at = _block(lines, at)
        block, found = _directive(directive["name"].lower(), directive["argument"], "" if hidden else body)
        out += ["", block, ""]
        codes += found
    out.append(_inline("\n".join(prose)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip(), codes


def _directive(name: str, argument: str, body: str) -> tuple[str, list[str]]:
    """A directive as Markdown, and the code in it."""
    if name in _SILENT or not (body or argument):
        return "", []
    if name in _CODE:
        code = _without_prompts(body)
        return (f"```python\n{code}\n```", [code]) if code else ("", [])
    inner, codes = _markdown("\n".join(p for p in (argument, body) if p))
    return _LABELS.get(name, "") + inner, codes


def _block(lines: list[str], at: int) -> tuple[str, bool, int]:
    """The text under a directive, whether its options hide it, and where it goes on after it."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    block = lines[at + 1 : end]
    options = 0
    while options < len(block) and _OPTION.match(block[options]):
        options += 1
    hidden = any(":hide:" in option for option in block[:options])
    return "\n".join(_dedented(block[options:])), hidden, end


def _inline(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text


def _doctest(text: str) -> str:
    """The code of a `>>>` session that stands in prose."""
    lines = [line.strip() for line in text.split("\n")]
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... "))).strip()


def _without_prompts(code: str) -> str:
    if ">>>" not in code:
        return code
    return "\n".join(line[4:] for line in code.split("\n") if line.startswith((">>> ", "... ")))


def _first_sentence(paragraph: str) -> tuple[str, str]:
    parts = sentences(re.sub(r"\s+", " ", paragraph).strip())
    return (parts[0], " ".join(parts[1:])) if parts else ("", "")
