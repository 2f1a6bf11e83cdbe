"""The plan: which steps are reused, which run, and why. Making it runs nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from metier.errors import MissingError
from metier.execution.step import Source, Step
from metier.lineage.artifact import Artifact
from metier.lineage.manifest import Manifest, config_changes, step_key
from metier.lineage.store import Store

Action = Literal["reuse", "run", "run if changed"]


@dataclass(frozen=True)
class Decision:
    """What will happen to one step. `key` and `artifact` are known only where nothing before the step has to run."""

    step: Step
    action: Action
    reason: str
    key: str = ""
    artifact: Artifact | None = None


def in_order(targets: Sequence[Step]) -> list[Step]:
    """The targets and all that they need, inputs first. Raises ValueError when two steps share a name."""
    ordered: dict[str, Step] = {}

    def visit(step: Step) -> None:
        for source in step.inputs.values():
            if isinstance(source, Step):
                visit(source)
        if ordered.setdefault(step.name, step) is not step:
            raise ValueError(f"two steps are called {step.name}")

    for target in targets:
        visit(target)
    return list(ordered.values())


def key_of(step: Step, fingerprints: dict[str, str]) -> str:
    """The key of a step whose inputs hold what the fingerprints say."""
    return step_key(step.name, step.stage.revision, step.config.identity(), fingerprints)


def fingerprints_of(step: Step, made: dict[str, Artifact]) -> dict[str, str] | None:
    """What each input holds; None while an input is not made yet."""
    found: dict[str, str] = {}
    for name, source in step.inputs.items():
        if not isinstance(source, Step):
            found[name] = source.fingerprint
        elif source.name in made:
            found[name] = made[source.name].fingerprint
        else:
            return None
    return found


def make_plan(targets: Sequence[Step], store: Store, *, missing_ok: bool = False) -> list[Decision]:
    """A decision for every step, in the order in which they run.

    Raises InputError for a source that can't be used, or not with a step's settings. `missing_ok`: a folder that is not
    there yet is its step's reason, and no error: for a plan that nothing carries out.
    """
    made: dict[str, Artifact] = {}
    decisions = []
    ordered = in_order(targets)
    missing = {step.name: said for step in ordered if (said := _missing(step, missing_ok))}
    for step in ordered:
        decision = Decision(step, "run", missing[step.name]) if step.name in missing else _decide(step, made, store)
        if decision.artifact:
            made[step.name] = decision.artifact
        decisions.append(decision)
    for decision in decisions:
        step = decision.step
        if step.stage.check and step.name not in missing and decision.action != "reuse":
            step.stage.check(step)
    return decisions


def _missing(step: Step, missing_ok: bool) -> str:
    """Which source of a step is not there; empty where all are."""
    try:
        for source in step.inputs.values():
            if not isinstance(source, Step):
                source.check()
    except MissingError as fault:
        if not missing_ok:
            raise
        return f"to be filled: {fault}"
    return ""


def _decide(step: Step, made: dict[str, Artifact], store: Store) -> Decision:
    fingerprints = fingerprints_of(step, made)
    before = store.latest(step.name)
    if fingerprints is None:
        waits = sorted(s.name for s in step.inputs.values() if isinstance(s, Step) and s.name not in made)
        own = list(_differences(step, before.manifest, {})) if before else ["never ran"]
        reason = "; ".join([*own, f"after {', '.join(waits)}"])
        return Decision(step, "run" if own else "run if changed", reason)
    key = key_of(step, fingerprints)
    found = store.find(step.name, key)
    if found:
        return Decision(step, "reuse", "nothing that it depends on changed", key, found)
    if store.interrupted(step.name, key):
        return Decision(step, "run", "an earlier attempt was interrupted", key)
    changes = list(_differences(step, before.manifest, fingerprints)) if before else ["never ran"]
    return Decision(step, "run", "; ".join(changes) or "its artifact was removed", key)


def _differences(step: Step, before: Manifest, fingerprints: dict[str, str]) -> Iterator[str]:
    if before.revision != step.stage.revision:
        yield f"{step.name}: revision {before.revision} -> {step.stage.revision}"
    yield from config_changes(step.name, before.config, step.config.identity())
    for name, value in fingerprints.items():
        if before.inputs.get(name) != value:
            yield f"input {_origin(step, name)} changed"
    for name in sorted(set(before.inputs) - set(step.inputs)):
        yield f"input {name} is gone"


def _origin(step: Step, name: str) -> str:
    source: Step | Source = step.inputs[name]
    return source.name if isinstance(source, Step) else name
