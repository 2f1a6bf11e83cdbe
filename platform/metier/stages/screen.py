"""Rejects documents that are not worth reading: too short or long, broken, in another language, repetitive, boilerplate.

Each check is one small function with a reason code. What recurs in many documents is counted first, over all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator

import numpy as np
from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.execution.dataflow import chunks_of, map_table, tasks_for
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk
from metier.records import Document, Rejection, rejection
from metier.text import quality
from metier.text.boilerplate import boilerplate, line_keys
from metier.text.language import foreign_language, known_languages
from metier.text.words import wording

OWNERS = 16  # of lines, at most: so many times the chunks are the results that Ray has to know of
Check = Callable[[Document], str]
"""Gives the evidence of what is wrong; empty where nothing is."""


def checked_languages(codes: tuple[str, ...]) -> tuple[str, ...]:
    """The codes themselves. Raises ValueError for one that no text could be found to be in."""
    unknown = sorted(set(codes) - known_languages()) if codes else []
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no language that can be told apart (ISO 639 codes such as en, de, fr)")
    return codes


class Config(StageConfig):
    """What a document must be like."""

    min_words: int = Field(3, ge=1, le=10_000)
    """Shorter documents are rejected."""
    max_words: int = Field(1_000_000, ge=1, le=100_000_000)
    """Longer documents are rejected."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes (en, de, ...): documents that are surely in another language are rejected. Empty: any language."""
    recurring_documents: int = Field(20, ge=2, le=1_000_000)
    """A line that stands in so many documents is boilerplate."""
    max_boilerplate_share: float = Field(0.7, gt=0, le=1)
    """Documents with a larger share of their words in boilerplate lines (recurring, navigation, notices) are rejected."""

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_languages(value)


def lines_of(chunk: Chunk, owners: int) -> tuple[np.ndarray, ...]:
    """The hashes of the lines of each of a chunk's documents, for each owner his own. Of API objects, which repeat each
    other's, none. uint64."""
    documents = from_table(Document, read_chunk(chunk))
    each = ({key for key, _ in line_keys(one.text)} for one in documents if one.api is None)
    keys = np.fromiter(itertools.chain.from_iterable(each), np.uint64)
    return tuple(keys[keys % np.uint64(owners) == owner] for owner in range(owners))


def frequent(least: int, *keys: np.ndarray) -> frozenset[int]:
    """Those that occur at least so often."""
    found, times = np.unique(np.concatenate(keys), return_counts=True)
    return frozenset(found[times >= least].tolist())


def recurring_lines(context: Context[Config]) -> frozenset[int]:
    """The hashes of lines that stand in many documents of the table `documents`."""
    chunks = chunks_of(context, "documents")
    tasks, owners = tasks_for(context, chunks), min(len(chunks), OWNERS)
    lines = [tasks.call(lines_of, chunk, owners, parts=owners) for chunk in chunks]
    least = context.config.recurring_documents
    found = [tasks.call(frequent, least, *(part[owner] for part in lines)) for owner in range(owners)]
    return frozenset[int]().union(*tasks.results(found))


def checks(config: Config, recurring: Collection[int]) -> dict[str, Check]:
    """The checks by reason code, in the order in which they are asked."""

    def too_short(d: Document) -> str:
        words = len(wording(d.text))
        return f"{words} words" if words < config.min_words else ""

    def too_long(d: Document) -> str:
        words = len(wording(d.text))
        return f"{words} words" if words > config.max_words else ""

    def of_prose(check: Check) -> Check:
        return lambda d: check(d) if d.api is None else ""

    return {
        "too_short": too_short,
        "too_long": too_long,
        "broken_encoding": lambda d: quality.broken_encoding(d.text),
        "language": lambda d: foreign_language(d.text, config.languages),
        "repetition": of_prose(lambda d: quality.repetition(d.text) or quality.repeated_lines(d.text)),
        "boilerplate": of_prose(lambda d: boilerplate(d.text, recurring, config.max_boilerplate_share)),
    }


def operator(
    config: Config, recurring: Collection[int] = frozenset()
) -> Callable[[list[Document]], Iterator[Document | Rejection]]:
    """Each document as it is, or rejected by the first check that finds something."""
    asked = checks(config, recurring)

    def apply(documents: list[Document]) -> Iterator[Document | Rejection]:
        for one in documents:
            found = ((reason, check(one)) for reason, check in asked.items())
            fault = next(((reason, evidence) for reason, evidence in found if evidence), None)
            yield rejection(one, "screen", *fault) if fault else one

    return apply


def run(context: Context[Config]) -> Counts:
    """Screens the table `documents`."""
    return map_table(context, "documents", Document, operator(context.config, recurring_lines(context)), Document)


STAGE = Stage(
    name="screen",
    revision=1,
    summary="Rejects documents that are broken, repetitive, boilerplate or in another language.",
    config=Config,
    inputs={"documents": Input("documents as they were read", record=Document)},
    outputs={"kept": Document, "rejected": Rejection},
    run=run,
    conserves=True,
)
