"""What a whole corpus holds, as far as a question about one document must know it: names, headings, words."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field

from metier.records import Document
from metier.text.apitext import short_name
from metier.text.facts import facts_of
from metier.text.sections import sections
from metier.text.words import content_words, stem


@dataclass
class Vocabulary:
    """Gathered in one pass over the documents; a few words a document are kept."""

    uris: set[str] = field(default_factory=set)
    titles: collections.Counter[str] = field(default_factory=collections.Counter)  # of prose
    current: collections.Counter[str] = field(default_factory=collections.Counter)  # titles of what is not superseded
    summaries: collections.Counter[str] = field(
        default_factory=collections.Counter
    )  # how often a thing is described so
    documents_with: collections.Counter[str] = field(default_factory=collections.Counter)  # by stem, in summaries
    parameters: dict[str, set[str]] = field(default_factory=dict)  # by module
    methods: dict[str, set[str]] = field(default_factory=dict)  # short names by module
    headings: set[str] = field(default_factory=set)  # of prose

    def tells_apart(self, document: Document) -> bool:
        """Whether a question that names the document's title can mean no other: the only one, or the only current one."""
        title = document.title.lower()
        return self.titles[title] == 1 or (not document.superseded and self.current[title] == 1)


def vocabulary_of(documents: Iterable[Document]) -> Vocabulary:
    """The vocabulary of a corpus."""
    found = Vocabulary()
    for document in documents:
        found.uris.add(document.uri)
        if document.api is None:
            _add_prose(found, document)
            continue
        api = document.api
        found.summaries[api.summary.lower()] += 1
        found.documents_with.update({stem(w) for w in content_words(api.summary)})
        names = {p.name for p in api.parameters if not p.name.startswith(("*", "_"))}
        found.parameters.setdefault(document.module, set()).update(names)
        if api.kind == "method":
            found.methods.setdefault(document.module, set()).add(short_name(api.name))
    return found


def _add_prose(found: Vocabulary, document: Document) -> None:
    title = document.title.lower()
    found.titles[title] += 1
    found.current[title] += not document.superseded
    found.headings |= {s.heading for s in sections(document.text) if s.heading}
    for statement in {f.value for f in facts_of(document) if f.kind == "purpose"}:
        found.summaries[statement.lower()] += 1
        found.documents_with.update({stem(w) for w in content_words(statement)})
