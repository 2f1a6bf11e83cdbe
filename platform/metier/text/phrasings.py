"""Facts said as users ask and as an assistant answers: many wordings a kind, chosen by a seeded hash.

Three styles: a full sentence that holds the value, the bare value, a JSON object. Answers stay close to the words of
the documentation, so that what is taught is to take them from a passage. The exam has wordings of its own
(`metier.evaluation.questions`), and neither side reads the other's.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from metier.text.facts import Fact

T = TypeVar("T")
Style = Literal["sentence", "value", "json"]


@dataclass(frozen=True)
class Pair:
    """A question with its answer: of which task, and the text that the answer comes from."""

    question: str
    answer: str
    task: str
    evidence: str


@dataclass(frozen=True)
class Chooser:
    """Picks by a hash of what is asked about, so the same seed gives the same wording in any order of rows."""

    seed: int

    def number(self, *key: str) -> int:
        """A 64-bit number for a key."""
        text = "\x00".join([str(self.seed), *key])
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def share(self, *key: str) -> float:
        """A number in [0, 1) for a key."""
        return self.number(*key) / 2**64

    def of(self, options: Sequence[T], *key: str) -> T:
        """One of the options."""
        return options[self.number(*key) % len(options)]


NAMES = ("`{0}`", "`{0}`", "`{0}`", "{0}")  # users mostly copy a name out of their code

QUESTIONS: dict[str, tuple[str, ...]] = {
    "purpose": (
        "What does {name} do?", "I came across {name}. What is it?", "Describe {name} in one sentence.",
        "Why would I use {name}?", "Someone on my team uses {name}. What is it meant for?", "Sum up {name} for me.",
        "Remind me what {name} is about.", "What can I use {name} for?",
    ),
    "default": (
        "If I leave out {detail} when calling {name}, which value is used?", "Which default does {name} have for {detail}?",
        "I don't set {detail} in {name}. What does it become?", "What's {detail} set to by default in {name}?",
        "Default of {detail} in {name}?", "Does {name} give {detail} a default, and which?",
        "What happens to {detail} of {name} when I say nothing about it?",
    ),
    "type": (
        "Which type does {name} expect for {detail}?", "What kind of value do I pass as {detail} to {name}?",
        "How is {detail} of {name} typed?", "{detail} in {name}: what type is it?",
        "What is the type annotation of {detail} in {name}?",
    ),
    "parameter": (
        "What does {detail} control in {name}?", "Explain the {detail} argument of {name}.",
        "In {name}, what is {detail} there for?", "What should I know about {detail} when I call {name}?",
        "What do I say with {detail} in {name}?",
    ),
    "parameters": (
        "Which arguments can I give to {name}?", "List the arguments of {name}.", "What can be passed to {name}?",
        "Name every parameter that {name} accepts.",
    ),
    "returns": (
        "What do I get back from {name}?", "What is the result of calling {name}?", "What comes out of {name}?",
        "What will {name} hand me back?",
    ),
    "example": (
        "Show me how {name} is used.", "Can I see some code that uses {name}?", "Give me a short example of {name}.",
        "How would I write a call of {name}?",
    ),
    "module": (
        "Where do I import {name} from?", "To which module does {name} belong?", "In which module does {name} live?",
    ),
    "number": (
        "Fill the gap in this sentence from {name}: {detail}", "Under {name}, which number is missing here? {detail}",
        "{name} gives a number. Which one completes this: {detail}",
    ),
    "effective": ("From which day does {name} hold?", "Since when does {name} apply?", "When did {name} come into force?"),
    "superseded": ("Until which day did {name} hold?", "When was {name} replaced?", "Since when is {name} out of date?"),
}  # fmt: skip

PROSE_QUESTIONS = (
    "What does the documentation say about {name}?", "Tell me the main point of {name}.", "What is written under {name}?",
    "In short, what about {name}?", "What should I know first about {name}?",
)  # fmt: skip

ANSWERS: dict[str, tuple[str, ...]] = {
    "purpose": ("{value}", "{value}", "`{subject}`: {value}"),
    "default": (
        "`{detail}` defaults to `{value}`.", "The default of `{detail}` is `{value}`.",
        "By default, `{detail}` is `{value}`.", "In `{subject}`, `{detail}` defaults to `{value}`.",
        "If you leave it out, `{detail}` is `{value}`.",
    ),
    "type": ("`{detail}` has the type `{value}`.", "`{subject}` takes `{value}` for `{detail}`.", "It is `{value}`."),
    "parameter": ("{value}", "{value}", "`{detail}`: {value}"),
    "parameters": ("`{subject}` takes {listed}.", "It accepts {listed}.", "The parameters are {listed}."),
    "returns": ("{value}", "{value}", "`{subject}` returns this: {value}"),
    "example": ("```python\n{value}\n```",),
    "module": ("`{subject}` is in `{value}`.", "It belongs to `{value}`.", "Import it from `{value}`."),
    "number": ("{evidence}", "`{value}`: {evidence}"),
    "effective": ("It holds from `{value}`.", "Since `{value}`."),
    "superseded": ("It was superseded on `{value}`.", "It no longer holds since `{value}`."),
}  # fmt: skip

VALUE_ONLY = (
    "Reply with the value alone.", "Just the value, please.", "Nothing but the value.", "One value, no sentence.",
    "Give me only the value.",
)  # fmt: skip

AS_JSON = (
    "Answer as a JSON object with the keys {keys}.", "Reply in JSON only; the keys are {keys}.",
    "I parse your answer: write one JSON object with {keys} and nothing around it.", "Give it as JSON with the keys {keys}.",
    "Use this form: {form}",
)  # fmt: skip

WHICH = (
    "Which API of {module} does this: {purpose}",
    "I look for something in {module}. It should do this: {purpose} What is it called?",
    "What in {module} fits this description? {purpose}", "Name what {module} offers for the following: {purpose}",
)  # fmt: skip

DIFFERENCES = (
    "What is the difference between {a} and {b}?", "How does {a} differ from {b}?", "I mix up {a} and {b}. What does each do?",
    "{a} or {b}: which does what?", "Compare {a} with {b}.",
)  # fmt: skip

ABSENT = (
    "How many workers does {name} use on a machine with 64 cores?", "Who wrote {name}, and when?",
    "How much memory does {name} need for a billion rows?", "In which year was {name} added?",
    "How fast is {name} compared with last year's release?", "What did {name} cost to run last month?",
)  # fmt: skip


def said_name(subject: str, choose: Chooser, *key: str) -> str:
    """A name as a user writes it."""
    return choose.of(NAMES, "name", subject, *key).format(subject)


def styles_of(fact: Fact) -> tuple[Style, ...]:
    """The styles in which a fact can be asked for."""
    if fact.kind in ("default", "type"):
        return ("sentence", "value", "json")
    if fact.kind in ("number", "date"):
        return ("sentence", "value")
    if fact.kind in ("purpose", "parameters", "module"):
        return ("sentence", "json")
    return ("sentence",)


def pair_of(fact: Fact, style: Style, choose: Chooser, *, prose: bool) -> Pair:
    """A fact as question and answer in one style."""
    kind = fact.detail if fact.kind == "date" else fact.kind
    key = (fact.subject, kind, fact.detail, style)
    options = PROSE_QUESTIONS if prose and kind == "purpose" else QUESTIONS[kind]
    name = f'"{fact.subject}"' if prose else said_name(fact.subject, choose, kind, fact.detail)
    detail = fact.detail if fact.kind == "number" else f"`{fact.detail}`"
    question = choose.of(options, "question", *key).format(name=name, detail=detail)
    if style == "value":
        return Pair(f"{question} {choose.of(VALUE_ONLY, *key)}", fact.value, fact.kind, fact.evidence)
    if style == "json":
        held = _as_object(fact)
        return Pair(
            f"{question} {as_json(held, choose, *key)}", json.dumps(held, ensure_ascii=False), "json", fact.evidence
        )
    said = {"value": fact.value, "subject": fact.subject, "detail": fact.detail, "evidence": fact.evidence}
    said["listed"] = _listed(fact.value.split(", "))
    return Pair(question, choose.of(ANSWERS[kind], "answer", *key).format(**said), fact.kind, fact.evidence)


def as_json(held: dict[str, Any], choose: Chooser, *key: str) -> str:
    """The demand for a JSON object with the keys of `held`."""
    keys = [f'"{k}"' for k in held]
    form = "{" + ", ".join(f"{k}: ..." for k in keys) + "}"
    return choose.of(AS_JSON, "json", *key).replace("{keys}", " and ".join(keys)).replace("{form}", form)


def which_pair(fact: Fact, module: str, choose: Chooser) -> Pair:
    """The purpose turned round: which API does this?"""
    question = choose.of(WHICH, "which", fact.subject).format(module=f"`{module}`", purpose=fact.value)
    answer = choose.of(("`{0}`.", "`{0}`", "Use `{0}`.", "That is `{0}`."), "which answer", fact.subject)
    return Pair(question, answer.format(fact.subject), "which", fact.evidence)


def difference_pair(one: Fact, other: Fact, choose: Chooser) -> Pair:
    """Two purposes set against each other."""
    key = (one.subject, other.subject)
    names = {"a": said_name(one.subject, choose, *key), "b": said_name(other.subject, choose, *key)}
    question = choose.of(DIFFERENCES, "difference", *key).format(**names)
    answer = f"`{one.subject}`: {one.value}\n`{other.subject}`: {other.value}"
    return Pair(question, answer, "difference", f"{one.evidence}\n{other.evidence}")


def absent_question(subject: str, parameter: str, choose: Chooser) -> str:
    """A question about what is not documented: a parameter that the subject lacks, or (with none) some other thing."""
    if not parameter:
        return choose.of(ABSENT, "absent", subject).format(name=said_name(subject, choose, "absent"))
    kind = choose.of(("default", "type", "parameter", "default"), "absent kind", subject, parameter)
    style: Style = choose.of(styles_of(Fact(subject, kind, parameter, "", "")), "absent style", subject, parameter)  # type: ignore[arg-type]
    return pair_of(Fact(subject, kind, parameter, "", ""), style, choose, prose=False).question  # type: ignore[arg-type]


def _as_object(fact: Fact) -> dict[str, Any]:
    if fact.kind in ("default", "type"):
        value = _value(fact.value) if fact.kind == "default" else fact.value
        return {"parameter": fact.detail, fact.kind: value}
    if fact.kind == "parameters":
        return {"name": fact.subject, "parameters": fact.value.split(", ")}
    return {"name": fact.subject, fact.kind: fact.value}


def _value(source: str) -> Any:
    """The JSON value of a default's source text; the text itself for what JSON can't say."""
    try:
        value = ast.literal_eval(source)
        json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError):
        return source
    return value


def _listed(names: Sequence[str]) -> str:
    quoted = [f"`{n}`" for n in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
