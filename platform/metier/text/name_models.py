"""Names of people by a trained model: a spaCy pipeline in a folder, or a token classifier of transformers.

Weights are safetensors or spaCy's own files, and no code of a model's is ever run.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier import models
from metier.config import expanded
from metier.errors import InputError
from metier.text.forms import NAMED, Found
from metier.text.names import KIND

PIECE = 20_000  # characters that a spaCy pipeline is given at once
WINDOW, STRIDE = 512, 64  # tokens, and how many of them two windows share
BATCH = 16  # windows at once
NONE = "O"  # the label of what is no name


def is_spacy(location: str) -> bool:
    """Whether a folder holds a spaCy pipeline."""
    folder = expanded(location)
    return (folder / "config.cfg").is_file() and (folder / "meta.json").is_file()


@dataclass(frozen=True)
class NameModelSource:
    """A model of names from outside the store. Its fingerprint is what it holds, never where it lies."""

    location: str

    def check(self) -> None:
        """Refuses what can't be such a model."""
        if not is_spacy(self.location):
            models.check(self.location)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the folder, or hub id and revision."""
        if is_spacy(self.location):
            return models.folder_digest(expanded(self.location), ("*",))
        return models.ModelSource(self.location).fingerprint


@functools.cache
def recogniser(location: str, labels: Sequence[str]) -> Callable[[str], Iterator[Found]]:
    """Finds what the model gives one of the labels. One a process. Raises InputError for what is no such model."""
    return _spacy(location, labels) if is_spacy(location) else _classifier(models.resolve(location), labels)


def _spacy(location: str, labels: Sequence[str]) -> Callable[[str], Iterator[Found]]:
    import spacy

    try:
        pipeline = spacy.load(Path(expanded(location)))
    except (ValueError, OSError, ImportError) as error:
        raise InputError(f"model {location}: spaCy can't load it ({str(error).splitlines()[0]})") from None
    known = {label for name in pipeline.pipe_names for label in getattr(pipeline.get_pipe(name), "labels", ())}
    _check_labels(location, labels, known)

    def finds(text: str) -> Iterator[Found]:
        for start, piece in pieces(text):
            for entity in pipeline(piece).ents:
                if entity.label_ in labels:
                    yield Found(KIND, start + entity.start_char, start + entity.end_char, NAMED)

    return finds


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces of bounded length with the place of each, cut between paragraphs, lines or words."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            cuts = (text.rfind(mark, start + PIECE // 2, end) for mark in ("\n\n", "\n", " "))
            end = next((cut for cut in cuts if cut > 0), end)
        yield start, text[start:end]
        start = end


def _classifier(folder: str, labels: Sequence[str]) -> Callable[[str], Iterator[Found]]:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = AutoModelForTokenClassification.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False
        )
    except (ValueError, OSError) as error:
        raise InputError(f"model {folder}: no token classifier ({str(error).splitlines()[0]})") from None
    model.eval()
    names = {int(number): label.split("-", 1)[-1] for number, label in model.config.id2label.items()}
    _check_labels(folder, labels, set(names.values()))
    length = min(WINDOW, getattr(model.config, "max_position_embeddings", WINDOW))

    def finds(text: str) -> Iterator[Found]:
        windows = tokenizer(text, truncation=True, max_length=length, stride=min(STRIDE, length // 4),
                            return_overflowing_tokens=True, return_offsets_mapping=True)  # fmt: skip
        rows = zip(windows["input_ids"], windows["offset_mapping"], strict=True)
        for _, alike in itertools.groupby(rows, key=lambda row: len(row[0])):  # all but the last are full: no padding
            for ids, places in (zip(*batch, strict=True) for batch in batched(alike)):
                with torch.inference_mode():
                    best = model(input_ids=torch.tensor(ids)).logits.float().softmax(-1).max(-1)
                for at, label, score in zip(places, best.indices.tolist(), best.values.tolist(), strict=True):
                    tokens = zip(at, label, score, strict=True)
                    yield from _joined(text, [(a, names[one], s) for a, one, s in tokens if a[0] < a[1]], labels)

    return finds


def batched(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows in lists of as many as a model is given at once."""
    left = iter(rows)
    while batch := list(itertools.islice(left, BATCH)):
        yield batch


def _joined(text: str, tokens: list[tuple[tuple[int, int], str, float]], labels: Sequence[str]) -> Iterator[Found]:
    """Neighbouring tokens of a name as one find, of whole words: half a name is still a name."""
    run: list[tuple[tuple[int, int], float]] = []
    for place, label, score in [*tokens, ((0, 0), NONE, 0.0)]:
        if label in labels:
            run.append((place, score))
        elif run:
            start, end = run[0][0][0], run[-1][0][1]
            while start and text[start - 1].isalnum():
                start -= 1
            while end < len(text) and text[end].isalnum():
                end += 1
            yield Found(KIND, start, end, sum(s for _, s in run) / len(run))
            run = []


def _check_labels(location: str, labels: Sequence[str], known: set[str]) -> None:
    if not known & set(labels):
        raise InputError(
            f"model {location}: it gives the labels {', '.join(sorted(known))}: name those of people in name_labels"
        )
