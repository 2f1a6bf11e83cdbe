"""From a served answer back to what made it: passages, documents, the nearest training pairs, the chain of artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from metier.errors import InputError
from metier.lineage.artifact import Artifact
from metier.lineage.manifest import MANIFEST
from metier.records import Dialogue, Document, Passage, Record
from metier.retrieval.prompt import asked
from metier.serving.answers import Answer, find
from metier.serving.release import open_release

R = TypeVar("R", bound=Record)
PAIRS = 3


@dataclass(frozen=True)
class NearPair:
    """A training pair whose question resembles the asked one (cosine similarity of the embeddings)."""

    similarity: float
    dialogue_id: str
    question: str
    answer: str
    task: str
    source: str
    uri: str


@dataclass(frozen=True)
class Link:
    """An artifact in the chain behind a release."""

    step: str
    key: str
    content: str


@dataclass(frozen=True)
class TracedPassage:
    """A passage that stood in the prompt."""

    id: str
    title: str
    uri: str
    section: str
    text: str


@dataclass(frozen=True)
class TracedDocument:
    """A source document behind a passage."""

    id: str
    title: str
    uri: str
    kind: str
    version: str


@dataclass(frozen=True)
class Trace:
    """All that stands behind one answer. Artifacts run from the release back to the documents."""

    answer: Answer
    passages: tuple[TracedPassage, ...]
    documents: tuple[TracedDocument, ...]
    pairs: tuple[NearPair, ...]
    artifacts: tuple[Link, ...]


def trace(store: Path, answer_id: str, *, pairs: int = PAIRS) -> Trace:
    """Traces an answer of the log. Raises InputError when there is no such answer, or its release is gone."""
    answer = find(store, answer_id)
    if answer is None:
        raise InputError(f"answer {answer_id}: not in the log of {store} (answers/*.jsonl)")
    release = open_release(store, answer.release)
    chain = behind(store, Artifact(store / answer.release))
    wanted = {one: place for place, one in enumerate(answer.passage_ids)}
    passages = sorted((p for p in _rows(chain, "chunk", Passage) if p.id in wanted), key=lambda p: wanted[p.id])
    roots = list(dict.fromkeys(p.root_id for p in passages))
    documents = {d.root_id: d for d in _rows(chain, "split", Document)}
    near = _nearest(answer.question, list(_rows(chain, "blend", Dialogue)), release.embedder, pairs)
    return Trace(
        answer=answer,
        passages=tuple(TracedPassage(p.id, p.title, p.uri, p.section, p.text) for p in passages),
        documents=tuple(TracedDocument(d.id, d.title, d.uri, d.kind, d.version)
                        for d in (documents[root] for root in roots if root in documents)),
        pairs=tuple(_pair(similarity, one, documents) for similarity, one in near),
        artifacts=tuple(Link(a.manifest.step, a.folder.name, a.manifest.content) for a in chain),
    )  # fmt: skip


def behind(store: Path, artifact: Artifact) -> list[Artifact]:
    """The artifact and all that it was made from, nearest first.

    Manifests name their inputs by content. Where several artifacts hold the same content (a stage that changed
    nothing, an experiment repeated under another setting), the newest of each step stands for them.
    """
    by_content: dict[str, dict[str, Artifact]] = {}
    for path in sorted(store.glob(f"*/*/{MANIFEST}"), key=lambda p: p.stat().st_mtime_ns):
        one = Artifact(path.parent)
        by_content.setdefault(one.manifest.content, {})[one.manifest.step] = one
    chain = {artifact.folder: artifact}
    waiting = [artifact]
    while waiting:
        for content in waiting.pop(0).manifest.inputs.values():
            for one in by_content.get(content, {}).values():
                if one.folder not in chain:
                    chain[one.folder] = one
                    waiting.append(one)
    return list(chain.values())


def _rows(chain: Sequence[Artifact], stage: str, kind: type[R]) -> Iterator[R]:
    found = next((a for a in chain if a.manifest.stage == stage), None)
    return found.records(kind) if found else iter(())


def asked_in(dialogue: Dialogue) -> str:
    """The question of a training pair, without the passages that stand before it in a retrieval prompt."""
    return asked(dialogue.question)


def _nearest(question: str, dialogues: Sequence[Dialogue], embedder: str, pairs: int) -> list[tuple[float, Dialogue]]:
    if not dialogues:
        return []
    from metier.retrieval.embedding import Embedder

    by_question = {asked_in(one): one for one in reversed(dialogues)}
    texts = list(by_question)
    vectors = Embedder(embedder).encode([question, *texts])
    similarities = vectors[1:] @ vectors[0]
    best = sorted(range(len(texts)), key=lambda i: (-similarities[i], texts[i]))[:pairs]
    return [(round(float(similarities[i]), 4), by_question[texts[i]]) for i in best]


def _pair(similarity: float, one: Dialogue, documents: dict[str, Document]) -> NearPair:
    uri = documents[one.root_id].uri if one.root_id in documents else ""
    return NearPair(similarity, one.id, asked_in(one), one.answer, one.task, one.source, uri)


def show(found: Trace, console: Console) -> None:
    """Prints a trace for people."""
    console.print(rendered(found))


def rendered(found: Trace) -> RenderableType:
    """A trace as panels and tables."""
    said = Text.assemble(
        ("Q  ", "bold"), plain(found.answer.question), "\n", ("A  ", "bold"), plain(found.answer.answer)
    )
    title = f"{found.answer.id}  {found.answer.time}  {found.answer.release}"
    passages = Table(title="Passages in the prompt", title_justify="left", expand=True)
    for column in ("#", "document", "text"):
        passages.add_column(column, ratio=1 if column == "text" else None)
    for number, p in enumerate(found.passages, 1):
        passages.add_row(str(number), plain(p.uri), plain(p.text))
    pairs = Table(title="Nearest training pairs", title_justify="left", expand=True)
    for column in ("similarity", "task", "document", "question", "answer"):
        pairs.add_column(column, ratio=1 if column in ("question", "answer") else None)
    for pair in found.pairs:
        pairs.add_row(
            f"{pair.similarity:.2f}", plain(pair.task), plain(pair.uri), plain(pair.question), plain(pair.answer)
        )
    documents = Table(title="Documents", title_justify="left")
    for column in ("title", "uri", "version"):
        documents.add_column(column)
    for d in found.documents:
        documents.add_row(plain(d.title), plain(d.uri), plain(d.version))
    chain = Text("Made by: " + " <- ".join(f"{a.step}/{a.key[:8]}" for a in found.artifacts), style="dim")
    return Group(Panel(said, title=plain(title), title_align="left"), passages, documents, pairs, chain)


def plain(text: str) -> Text:
    """Text for a terminal, without markup and without what would steer the terminal."""
    return Text("".join(c for c in text if c.isprintable() or c in "\n\t"))
