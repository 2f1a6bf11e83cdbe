"""What a whole corpus holds, as far as a question about one document must know it: names, headings, words."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field

from metier.records import Document
from metier.text.apitext import short_name
from metier.text.sections import sections
from metier.text.words import content_words, stem


@dataclass
class Vocabulary:
    """Gathered in one pass over the documents; a few words a document are kept."""

    uris: set[str] = field(default_factory=set)
    summaries: collections.Counter[str] = field(default_factory=collections.Counter)  # how many documents begin so
    documents_with: collections.Counter[str] = field(default_factory=collections.Counter)  # by stem, in summaries
    parameters: dict[str, set[str]] = field(default_factory=dict)  # by module
    methods: dict[str, set[str]] = field(default_factory=dict)  # short names by module
    headings: set[str] = field(default_factory=set)  # of prose


def vocabulary_of(documents: Iterable[Document]) -> Vocabulary:
    """The vocabulary of a corpus."""
    found = Vocabulary()
    for document in documents:
        found.uris.add(document.uri)
        if document.api is None:
            found.headings |= {s.heading for s in sections(document.text) if s.heading}
            continue
        api = document.api
        found.summaries[api.summary.lower()] += 1
        found.documents_with.update({stem(w) for w in content_words(api.summary)})
        names = {p.name for p in api.parameters if not p.name.startswith(("*", "_"))}
        found.parameters.setdefault(document.module, set()).update(names)
        if api.kind == "method":
            found.methods.setdefault(document.module, set()).add(short_name(api.name))
    return found
