"""What the workers read, step by step: packs in the order of training, as rows of an Arrow file.

The order is settled before training starts and knows no workers: whatever their number, and wherever training goes on
from, step N has the same packs. A row is flat (five lists of integers), which is quick to read and to take apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise
from pathlib import Path
from typing import Any

from metier.errors import StepError
from metier.training.batches import epoch_batches
from metier.training.encoding import Example
from metier.training.order import refuse_unsound_plan
from metier.training.packs import Pack, alone, packed
from metier.training.recipe import Recipe

COLUMNS = ("shared", "examples", "lengths", "ids", "labels")  # of each pack, of each pack, of each example, of all
STEP = "step"  # a row's own number
STEPS_TOGETHER = 64  # of one table: what a reader holds at once
Step = Sequence[Pack]


@dataclass(frozen=True)
class Schedule:
    """Which packs make which step of which epoch, and what is held out."""

    epochs: list[list[list[Pack]]]
    held_out: list[list[Pack]]
    probes: list[list[Pack]]  # packs on which the model is asked whether it computes them as it would their examples

    def steps(self) -> Iterator[Step]:
        """All of them, in order."""
        return chain.from_iterable(self.epochs)

    @property
    def longest(self) -> int:
        """Tokens of the longest pack, those held out included: none is ever cut."""
        return max(pack.tokens for step in chain(self.steps(), self.held_out) for pack in step)

    @property
    def digest(self) -> str:
        """Of all steps in their order."""
        import numpy as np

        found = hashlib.sha256()
        for step in self.steps():
            for column in _as_row(step).values():
                found.update(np.array([len(column), *column], dtype=np.int32).tobytes())
        return found.hexdigest()


def scheduled(
    train: Sequence[Example], validation: Sequence[Example], recipe: Recipe, rows: bool, shares: bool = True
) -> Schedule:
    """The schedule of a recipe. `rows`: nothing is padded; `shares`: examples that begin alike are computed together."""
    packs, held_out = (packed(e, recipe.pack_tokens) if shares else alone(e) for e in (train, validation))
    lengths = [p.tokens for p in packs]
    order = [
        epoch_batches(lengths, recipe.batch_tokens, recipe.seed, epoch, padded=not rows)
        for epoch in range(recipe.epochs)
    ]
    refuse_unsound_plan(order, lengths)
    held = epoch_batches([p.tokens for p in held_out], recipe.batch_tokens, recipe.seed, 0, padded=not rows)
    return Schedule(
        epochs=[[[packs[i] for i in step] for step in epoch] for epoch in order],
        held_out=[[held_out[i] for i in step] for step in held],
        probes=_probes(packs, held_out),
    )


def _probes(packs: Sequence[Pack], held_out: Sequence[Pack]) -> list[list[Pack]]:
    """First a few packs for one row; then the pack that shares most, and the one that reaches farthest back."""
    sharing = [p for p in (*packs, *held_out) if p.shared]
    if not sharing:
        return [list(packs[:3])]
    fullest = max(sharing, key=lambda p: (len(p.examples), p.shared))
    farthest = max(sharing, key=lambda p: max(len(e.ids) for e in p.examples))
    return [list(packs[:3]), [fullest], [farthest]]


def write_steps(path: Path, steps: Iterable[Step]) -> None:
    """Writes one row a step."""
    import pyarrow as pa

    schema = pa.schema([(STEP, pa.int32()), *((name, pa.list_(pa.int32())) for name in COLUMNS)])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        rows = ({STEP: number} | _as_row(step) for number, step in enumerate(steps))
        while together := list(islice(rows, STEPS_TOGETHER)):
            writer.write_batch(pa.RecordBatch.from_pylist(together, schema))


def _as_row(step: Step) -> dict[str, list[int]]:
    examples = [e for pack in step for e in pack.examples]
    return {
        "shared": [pack.shared for pack in step],
        "examples": [len(pack.examples) for pack in step],
        "lengths": [len(e.ids) for e in examples],
        "ids": [token for e in examples for token in e.ids],
        "labels": [label for e in examples for label in e.labels],
    }


def steps_in(tables: Iterable[Any], first: int = 0) -> Iterator[list[Pack]]:
    """The steps of Arrow tables in order, without the `first` so many, which are passed over unread.

    Raises StepError where another step comes than is due.
    """
    due = first
    for table in tables:
        rows = table.slice(min(first, table.num_rows))
        first -= table.num_rows - rows.num_rows
        for number in rows.column(STEP).to_pylist():
            if number != due:
                raise StepError(f"training: step {number + 1} of the data comes where step {due + 1} is due")
            due += 1
        columns = [rows.column(name).combine_chunks() for name in COLUMNS]
        for number in range(rows.num_rows):
            yield _packs_of(*(column[number].values.to_numpy(zero_copy_only=False).tolist() for column in columns))


def _packs_of(
    shared: list[int], numbers: list[int], lengths: list[int], ids: list[int], labels: list[int]
) -> list[Pack]:
    ends = pairwise(accumulate(lengths, initial=0))
    examples = [Example(ids[begin:end], labels[begin:end]) for begin, end in ends]
    bounds = pairwise(accumulate(numbers, initial=0))
    return [Pack(start, tuple(examples[i:j])) for start, (i, j) in zip(shared, bounds, strict=True)]


@dataclass(frozen=True)
class Feed:
    """What a worker reads from. Both functions give Arrow tables with a row a step, anew at each call."""

    train: Callable[[], Iterable[Any]]
    held_out: Callable[[], Iterable[Any]]

    def steps(self, first: int) -> Iterator[list[Pack]]:
        """The steps of training from number `first` (the first of all is 0)."""
        return steps_in(self.train(), first)

    def validation(self) -> Iterator[list[Pack]]:
        """What is held out."""
        return steps_in(self.held_out())


def tables_of(path: Path) -> Iterator[Any]:
    """A file's tables, in order. They are mapped, not read: what nobody looks at takes no memory."""
    import pyarrow as pa

    file = pa.ipc.open_file(pa.memory_map(str(path)))
    return (pa.Table.from_batches([file.get_batch(number)]) for number in range(file.num_record_batches))
