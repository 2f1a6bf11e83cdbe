"""Stage, Step and Context: what a unit of work is, before anything runs.

A `Stage` is the definition (one a file under `metier.stages`); a `Step` is a stage with its settings and inputs, inert
until the runner gives it a `Context`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from metier.config import Resources, StageConfig
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.manifest import Counts
from metier.records import Record

C = TypeVar("C", bound=StageConfig)
R = TypeVar("R", bound=Record)


class Source(Protocol):
    """Something from outside the store: documents, a model, an exam file."""

    @property
    def location(self) -> str:
        """A path or a hub id."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of what it holds, the same wherever it lies."""
        ...

    def check(self) -> None:
        """Refuses, before anything is spent, what can't be used. Cheap: reads no weights, reaches no network."""
        ...


@dataclass(frozen=True)
class Input:
    """One input of a stage: a table of records, a folder (a model, an index) or an outside source."""

    about: str
    record: type[Record] | None = None  # None: not a table
    table: str = "kept"
    optional: bool = False
    many: bool = False  # takes a tuple; the parts are named name/0, name/1, ...
    opens: Callable[[str], Source] | None = None  # how a word on the command line becomes this source; None: a folder


@dataclass(frozen=True)
class Stage(Generic[C]):
    """The definition of a stage. `conserves`: every row read is kept or rejected, and the runner checks the sum."""

    name: str
    revision: int  # raised when the same config and inputs would give another output
    summary: str
    config: type[C]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, type[Record] | str]  # table name -> record type, or file name -> what it is
    run: Callable[[Context[C]], Counts]
    conserves: bool = False
    resources: type[Resources] = Resources
    check: Callable[[Step], None] | None = None  # of settings against sources, at the plan; as cheap as theirs

    def step(
        self,
        config: C,
        resources: Resources | None = None,
        *,
        name: str = "",
        **inputs: Step | Source | Sequence[Step | Source] | None,
    ) -> Step:
        """This stage with its settings and inputs. Nothing runs."""
        unknown = set(inputs) - set(self.inputs)
        missing = {n for n, i in self.inputs.items() if not i.optional and inputs.get(n) is None}
        if unknown or missing:
            raise TypeError(f"stage {self.name}: unknown inputs {sorted(unknown)}, missing inputs {sorted(missing)}")
        given: dict[str, Step | Source] = {}
        for key, value in inputs.items():
            if isinstance(value, Sequence):
                given |= {f"{key}/{i}": part for i, part in enumerate(value)}
            elif value is not None:
                given[key] = value
        return Step(
            name=name or self.name, stage=self, config=config, resources=resources or self.resources(), inputs=given
        )

    def input(self, name: str) -> Input:
        """The definition of the input `name`, or of the input that the part `name/0` belongs to."""
        return self.inputs[name.split("/")[0]]


@dataclass(frozen=True, eq=False)
class Step:
    """A stage, settled: inert, and identified by name, revision, config and what its inputs hold."""

    name: str
    stage: Stage[Any]
    config: StageConfig
    resources: Resources
    inputs: Mapping[str, Step | Source]


Progress = Callable[[int, int, str], None]
"""Called with (done, total, what); total 0 where it is not known."""


def _silent(done: int, total: int, what: str) -> None:
    return None


@dataclass
class Context(Generic[C]):
    """What a running stage sees: its settings, its opened inputs, where to write, and how to say how far it is."""

    step: str
    config: C
    resources: Resources
    inputs: Mapping[str, Artifact | Source]
    output: Writer
    stage: Stage[C]
    progress: Progress = field(default=_silent)

    def has(self, name: str) -> bool:
        """Whether an optional input was given."""
        return name in self.inputs

    def parts(self, name: str) -> list[str]:
        """The names of the parts that were given for an input that takes many."""
        return [n for n in self.inputs if n.split("/")[0] == name]

    def files(self, name: str) -> list[Path]:
        """The Parquet files of an input table, or of all parts of an input that takes many."""
        found: list[Path] = []
        for part in [name] if name in self.inputs else self.parts(name):
            source = self.inputs[part]
            if not isinstance(source, Artifact):
                raise TypeError(f"input {part} of {self.step} is not a table")
            found += source.table_files(self.stage.input(part).table)
        return found

    def records(self, name: str, kind: type[R]) -> Iterator[R]:
        """Streams an input table's records."""
        from metier.lineage.shards import read_table

        return read_table(kind, self.files(name))

    def location(self, name: str) -> str:
        """The path (or hub id) of an input that is a folder or an outside source."""
        return self.inputs[name].location

    def fingerprint(self, name: str) -> str:
        """What an input holds, as a digest."""
        return self.inputs[name].fingerprint
