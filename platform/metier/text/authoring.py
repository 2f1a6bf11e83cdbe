"""Which pairs a document gives: its facts in turns, its neighbours to compare with, and what it does not say.

`phrasings` says one fact as a question and an answer; here it is decided which facts, in which style, and how many.
Pure: the same documents, recipe and seed give the same pairs in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from metier.records import Document
from metier.text.facts import Fact, facts_of
from metier.text.phrasings import Chooser, Pair, absent_question, difference_pair, pair_of, styles_of, which_pair

# Kinds take turns in this order until a document has its share. Defaults, which users ask most, come twice.
TURNS = ("purpose", "default", "which", "parameter", "type", "returns", "default", "parameters", "number", "example",
         "purpose", "date", "module")  # fmt: skip
MAX_EXAMPLE_WORDS = 60
MAX_LISTED = 12
MIN_WHICH_WORDS = 4
SIBLINGS_KEPT = 50


@dataclass(frozen=True)
class Recipe:
    """How many pairs of what kind a document gives, and the sentence that answers what is not documented."""

    max_per_document: int
    unanswerable_per_document: int
    difference_share: float
    json_share: float
    value_share: float
    abstention: str


@dataclass
class Corpus:
    """What one document's questions must know of the others. Names only, bounded by API objects, not by their text."""

    names: set[str] = field(default_factory=set)
    parameters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by module
    purposes: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # how many objects have the same one
    siblings: dict[tuple[str, str], list[Fact]] = field(default_factory=lambda: defaultdict(list))  # by split, parent


def corpus_of(documents: Iterable[Document]) -> Corpus:
    """Gathers names from all splits (so that what is called absent is absent) and purposes from each split by itself."""
    found = Corpus()
    for document in documents:
        api = document.api
        if api is None:
            continue
        found.names.add(api.name)
        found.parameters[document.module] |= {p.name for p in api.parameters if not p.name.startswith(("*", "_"))}
        purpose = next((f for f in facts_of(document) if f.kind == "purpose"), None)
        if purpose:
            found.purposes[purpose.value] += 1
            siblings = found.siblings[document.split, _parent(api.name)]
            if len(siblings) < SIBLINGS_KEPT:
                siblings.append(purpose)
    return found


def pairs_of(document: Document, recipe: Recipe, corpus: Corpus, choose: Chooser) -> list[Pair]:
    """The pairs of one document, no question twice."""
    facts = facts_of(document)
    pairs = _in_turns(_by_kind(document, facts, recipe, corpus, choose), recipe.max_per_document)
    if document.api:
        pairs += _differences(document, facts, recipe, corpus, choose)
        pairs += _unanswerable(document, recipe, corpus, choose)
    return list({pair.question: pair for pair in reversed(pairs)}.values())[::-1]


def _by_kind(
    document: Document, facts: Sequence[Fact], recipe: Recipe, corpus: Corpus, choose: Chooser
) -> dict[str, list[Pair]]:
    """Pairs by kind in the order in which they are taken: defaults other than None first, else as the hash says."""
    ordered = sorted(facts, key=lambda f: (f.kind == "default" and f.value == "None", choose.number(*_key(f), "order")))
    found: dict[str, list[Pair]] = defaultdict(list)
    for fact in ordered:
        if not _worth_asking(fact):
            continue
        styles = list(styles_of(fact))
        styles = [s for s in styles if s == "sentence" or choose.share(*_key(fact), s) < _share(recipe, s)]
        found[fact.kind].append(pair_of(fact, styles[-1], choose, prose=document.api is None))
        unique = fact.kind == "purpose" and corpus.purposes[fact.value] == 1
        if unique and document.api and len(fact.value.split()) >= MIN_WHICH_WORDS:
            found["which"].append(which_pair(fact, document.module, choose))
    return found


def _key(fact: Fact) -> tuple[str, str, str]:
    return fact.subject, fact.kind, fact.detail


def _share(recipe: Recipe, style: str) -> float:
    return recipe.json_share if style == "json" else recipe.value_share


def _worth_asking(fact: Fact) -> bool:
    """Leaves out what a short prompt can't hold, and `kind`, which no passage states."""
    if fact.kind == "example":
        return len(fact.value.split()) <= MAX_EXAMPLE_WORDS
    if fact.kind == "parameters":
        return len(fact.value.split(", ")) <= MAX_LISTED
    return fact.kind != "kind"


def _in_turns(by_kind: dict[str, list[Pair]], most: int) -> list[Pair]:
    """One pair of a kind after the other, until there are `most` or none is left."""
    waiting = {kind: list(reversed(pairs)) for kind, pairs in by_kind.items()}
    taken: list[Pair] = []
    while len(taken) < most and any(waiting.values()):
        for kind in TURNS:
            if waiting.get(kind) and len(taken) < most:
                taken.append(waiting[kind].pop())
    return taken


def _differences(
    document: Document, facts: Sequence[Fact], recipe: Recipe, corpus: Corpus, choose: Chooser
) -> list[Pair]:
    """The object beside one of its siblings, of the same split, with another purpose."""
    purpose = next((f for f in facts if f.kind == "purpose"), None)
    if purpose is None or choose.share(purpose.subject, "difference") >= recipe.difference_share:
        return []
    siblings = corpus.siblings.get((document.split, _parent(purpose.subject)), [])
    others = sorted((f for f in siblings if f.value != purpose.value), key=lambda f: f.subject)
    if not others:
        return []
    return [difference_pair(purpose, choose.of(others, purpose.subject, "sibling"), choose)]


def _unanswerable(document: Document, recipe: Recipe, corpus: Corpus, choose: Chooser) -> list[Pair]:
    """Questions that look like the others and that no document answers: an absent parameter, object or property."""
    assert document.api is not None
    subject, module = document.api.name, document.module
    own = {p.name for p in document.api.parameters}
    absent = sorted(p for p in corpus.parameters.get(module, ()) if p not in own and p not in document.text)
    pairs = []
    for i in range(recipe.unanswerable_per_document):
        turn = choose.number(subject, "unanswerable", str(i)) % 5
        parameter = choose.of(absent, subject, "absent", str(i)) if absent and turn != 0 else ""
        asked = _absent_object(subject, corpus, choose, str(i)) if turn == 1 else subject
        pairs.append(Pair(absent_question(asked, parameter, choose), recipe.abstention, "unanswerable", ""))
    return pairs


def _absent_object(subject: str, corpus: Corpus, choose: Chooser, *key: str) -> str:
    """A name that looks right and is nowhere: this parent with another object's last part."""
    parent = _parent(subject)
    last = sorted({n.rsplit(".", 1)[-1] for n in corpus.names})
    made = f"{parent}.{choose.of(last, subject, 'absent object', *key)}"
    return made if made not in corpus.names else f"{parent}.{subject.rsplit('.', 1)[-1]}_async"


def _parent(name: str) -> str:
    return name.rpartition(".")[0]
