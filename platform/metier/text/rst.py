"""reStructuredText as Markdown, by docutils and then as its HTML. Nothing that a file asks for is included, run or fetched.

Sphinx's own roles and directives are unknown to docutils: of a role the words stay, of a directive its name and content.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

from metier.text.html import html_to_markdown

_ROLE = re.compile(r":[a-zA-Z][\w:+.-]*:`[!~]?([^`<]+?)(?:\s*<[^`>]*>)?`")
_DIRECTIVE = re.compile(r"\.\. ([\w:+.-]+)::(.*(?:\n|\Z))((?:[ \t]+:[\w-]+:.*(?:\n|\Z))*)")
_NOT_CONTENT = {
    "toctree",
    "contents",
    "index",
    "include",
    "raw",
    "module",
    "currentmodule",
    "highlight",
    "image",
    "figure",
}
_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "docinfo_xform": False,  # a field list at the top is read here
    "doctitle_xform": False,
    "initial_header_level": 1,
    "syntax_highlight": "none",
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "math_output": "LaTeX",
    "report_level": 5,  # no fault is printed, and none ends the reading
    "halt_level": 6,
    "line_length_limit": 10_000_000,
}


def rst_to_markdown(source: str) -> tuple[str, dict[str, str]]:
    """The text as Markdown, and the fields at its top (`:effective: 2025-01-31`) by lower-case name."""
    from docutils.core import publish_from_doctree

    tree = _tree(source)
    found = _fields(tree)
    page = publish_from_doctree(tree, writer="html4css1", settings_overrides=_SETTINGS | {"output_encoding": "unicode"})
    return html_to_markdown(page)[0], found


def _tree(source: str) -> Any:
    """The parsed text, with what docutils did not know put where it stood."""
    from docutils import nodes
    from docutils.core import publish_doctree

    tree = publish_doctree(source, settings_overrides=_SETTINGS)
    for node in list(tree.findall(nodes.problematic)):
        node.parent.replace(node, nodes.Text(_ROLE.sub(r"\1", node.astext())))
    for node in list(tree.findall(nodes.system_message)):
        node.parent.replace(node, [n for raw in node.findall(nodes.literal_block) for n in _of_unknown(raw)])
    return tree


def _of_unknown(raw: Any) -> list[Any]:
    """What stands for a piece of text that docutils could not read: a directive's content, else the piece itself."""
    directive = _DIRECTIVE.match(raw.astext())
    if not directive:
        return [raw]
    if directive[1] in _NOT_CONTENT:
        return []
    content = textwrap.dedent(raw.astext()[directive.end() :])
    return list(_tree(f"{directive[1]}: {directive[2].strip()}\n\n{content}").children)


def _fields(tree: Any) -> dict[str, str]:
    """Takes the field list at the top, or under the first title, out of the tree."""
    from docutils import nodes

    section = next((n for n in tree.children if isinstance(n, nodes.section)), None)
    tops = [tree.children[:1], section.children[1:2] if section else []]
    found: dict[str, str] = {}
    for node in (n for top in tops for n in top if isinstance(n, nodes.field_list)):
        found |= {field.children[0].astext().lower(): field.children[1].astext() for field in node.children}
        node.parent.remove(node)
    return found
