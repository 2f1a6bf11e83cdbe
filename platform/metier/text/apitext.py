"""How an API object reads as text. Documents, passages and facts share these lines, so evidence can be found again."""

from __future__ import annotations

import re

from metier.records import ApiObject, Parameter
from metier.text.sections import sentences


def short_name(name: str) -> str:
    """`map` of `ray.data.Dataset.map`."""
    return name.rsplit(".", 1)[-1]


def qualified_signature(api: ApiObject) -> str:
    """The signature under the object's qualified name."""
    return api.name + api.signature[len(short_name(api.name)) :]


def parameter_head(parameter: Parameter) -> str:
    """``- `concurrency` (int | None, default None)``: what reflection says of a parameter."""
    known = [parameter.annotation] if parameter.annotation else []
    if parameter.default is not None:
        known.append(f"default {parameter.default}")
    return f"- `{parameter.name}`" + (f" ({', '.join(known)})" if known else "")


def parameter_line(parameter: Parameter, max_words: int = 0) -> str:
    """A parameter's whole line; with `max_words`, only as many sentences of its description as fit (at least one)."""
    text = parameter.description
    if max_words and len(text.split()) > max_words:
        text = leading_sentences(text, max_words)
    return parameter_head(parameter) + (f": {text}" if text else "")


def leading_sentences(text: str, max_words: int) -> str:
    """The first sentence, and those after it as long as all fit into `max_words`."""
    parts = sentences(text)
    kept = parts[:1]
    for part in parts[1:]:
        if len(" ".join([*kept, part]).split()) > max_words:
            break
        kept.append(part)
    return " ".join(kept)


def api_markdown(api: ApiObject, description: str) -> str:
    """The whole document of an API object."""
    parts = [f"# {api.name}", f"```python\n{api.signature}\n```", api.summary, description]
    if api.parameters:
        parts.append("## Parameters\n\n" + "\n".join(parameter_line(p) for p in api.parameters))
    if api.returns:
        parts.append(f"## Returns\n\n{api.returns}")
    if api.example:
        parts.append(f"## Example\n\n```python\n{api.example}\n```")
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(p for p in parts if p)) + "\n"
