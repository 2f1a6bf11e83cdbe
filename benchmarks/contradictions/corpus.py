"""Dialogues with planted contradictions, each among its clean neighbours, and the fact that every dialogue states.

A bundle is one fact about one institution, product or place, told in different wordings: as it is; with another value (the
planted contradiction); in other words; in another unit or form; and of another thing, of another owner, under another
condition, and another fact of the same owner. Which pairs can't both hold follows from the facts alone, never from the
wording: the same fact with another value. All bundles of a half lie in one heap, so every pair of dialogues is judged.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

FRAMES = Path(__file__).with_name("frames.yaml")
HALVES = ("development", "held-out")
NEIGHBOURS = ("paraphrase", "unit", "thing", "owner", "condition", "attribute")
CONDITIONED, SHORT, PRONOUN = (
    0.3,
    0.15,
    0.15,
)  # of bundles that hold under a condition; of answers that are only the value, or
# that leave it to the question what they speak of
SHORT_FORMS = ("It is {v}.", "{v}.", "That is {v}.")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
WRITTEN = dict(enumerate("zero one two three four five six seven eight nine ten eleven twelve".split()))  # noqa: SIM905

OWNERS = {
    "finance": ("{} Bank", "{} Capital", "{} Credit Union", "Banco {}"),
    "health": ("{} Clinic", "{} Hospital", "{} Health Centre", "{} Pharma"),
    "law": ("{}", "the Canton of {}", "{} County", "the Republic of {}"),
    "software": ("{}", "{} Server", "{}base", "{} Cloud"),
}
# For each half other ones: two conditions that exclude each other, or that are both narrower than the general rule.
CONDITIONS = {
    "finance": (
        (
            ("for private customers", "for business customers"),
            ("if the order is placed online", "if the order is placed in a branch"),
        ),
        (("for members", "for guests"), ("when the market is closed", "when the market is open"))),
    "health": (
        (("for adults", "for infants"), ("if the kidneys are weak", "if the liver is weak")),
        (("for pregnant women", "for smokers"), ("when fever occurs", "when a rash occurs"))),
    "law": (
        (("for companies", "for private persons"), ("if the owner lives abroad", "if the owner is a minor")),
        (("for residents", "for foreign nationals"), ("when a lawyer is involved", "when no hearing was held"))),
    "software": (
        (("for administrators", "for guest users"), ("if caching is active", "if the disk is full")),
        (("in the free plan", "in the business plan"), ("when debug mode is active", "when the network is slow"))),
}  # fmt: skip
SYLLABLES = ("hal", "vern", "tor", "vik", "mar", "len", "quil", "don", "ber", "sol", "ash", "wick", "nor", "ulm", "fen", "dra",
             "kel", "ost", "rin", "bax")  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """What a dialogue says, as its author means it. `value`: of values the one in its base unit; of statements yes or no."""

    frame: str
    owner: str
    thing: str
    condition: str
    value: Any

    def excludes(self, other: Fact) -> bool:
        """Whether the two can't both hold."""
        return replace(self, value=None) == replace(other, value=None) and self.value != other.value


@dataclass(frozen=True)
class Line:
    """One dialogue: the fact, its question and answer, and what it is in its bundle: base, planted, or a neighbour."""

    bundle: int
    role: str
    domain: str
    kind: str
    fact: Fact
    question: str
    answer: str


@dataclass(frozen=True)
class Frame:
    """A template: what can be said, of which things, in which wordings."""

    domain: str
    kind: str
    about: str
    things: list[str]
    ask: list[str]
    say: list[str]
    deny: list[str] = field(default_factory=list)
    unit: str = ""


def frames(half: str) -> list[Frame]:
    """The templates of a half: within a domain and kind every second one."""
    found = yaml.safe_load(FRAMES.read_text(encoding="utf-8"))
    return [
        Frame(domain=domain, kind=kind, **frame)
        for domain, kinds in found.items()
        for kind, rows in kinds.items()
        for frame in rows[HALVES.index(half) :: 2]
    ]


def _time(base: str, *larger: tuple[str, int]) -> Callable[[int], list[str]]:
    """Writes an amount of time in its own unit, in words, and in every larger unit that divides it."""

    def forms(amount: int) -> list[str]:
        found = [f"{amount} {base}"]
        for unit, size in ((base, 1), *larger):
            if amount % size == 0:
                whole = amount // size
                name = unit if whole > 1 else unit.removesuffix("s")
                found += [f"{whole} {name}"] + ([f"{WRITTEN[whole]} {name}"] if whole in WRITTEN else [])
        return list(dict.fromkeys(found))

    return forms


def _written(amount: int, unit: str) -> list[str]:
    return [f"{amount} {unit}", *([f"{WRITTEN[amount]} {unit}"] if amount in WRITTEN else [])]


UNITS: dict[str, tuple[list[Any], Callable[[Any], list[str]]]] = {
    "years": ([2, 3, 5, 6, 8, 10], lambda y: [*_written(y, "years"), f"{12 * y} months"]),
    "days": ([7, 10, 14, 21, 28, 30, 42, 60], lambda d: [*_time("days", ("weeks", 7))(d), *(["one month"] if d == 30 else [])]),
    "hours": ([4, 6, 8, 12, 24, 48, 72], lambda h: [*_time("hours", ("days", 24))(h), f"{60 * h} minutes"]),
    "seconds": ([15, 30, 60, 90, 120, 300], lambda s: [*_time("seconds", ("minutes", 60))(s), f"{1000 * s:,} ms"]),
    "money": ([9, 25, 40, 75, 120, 500, 1500, 2000], lambda m: [f"{m:,} euros", f"EUR {m}", f"€{m:,}", f"{m}.00 euros"]),
    "mass": ([250, 500, 750, 1500, 2000, 4000], lambda m: [f"{m:,} mg", f"{m / 1000:g} g", f"{m} milligrams"]),
    "temperature": ([-20, 2, 4, 5, 8, 15, 25], lambda c: [f"{c} °C", f"{c} degrees Celsius", f"{c * 9 / 5 + 32:g} °F"]),
    "percent": ([10, 20, 25, 40, 50, 60], lambda p: [f"{p}%", f"{p} percent", f"{p} per cent"]),
    "data": ([1, 2, 5, 8, 10], lambda g: [f"{g} GB", f"{1000 * g:,} MB", f"{g} gigabytes"]),
    "times": ([2, 3, 4, 5, 8, 10], lambda n: _written(n, "times")),
    "date": ([(y, m, d) for y in (2023, 2024, 2025) for m in (1, 3, 6, 7, 9, 12) for d in (1, 5, 15, 28)],
             lambda t: [f"{t[2]} {MONTHS[t[1] - 1]} {t[0]}", f"{MONTHS[t[1] - 1]} {t[2]}, {t[0]}", f"{t[0]}-{t[1]:02}-{t[2]:02}"]),
    "version": (["2.1", "2.10", "3.2", "3.9", "3.11", "4.0", "4.1.2", "5.3"], lambda v: [v]),
}  # fmt: skip


def spellings(frame: Frame, value: Any) -> list[str]:
    """The ways to write a value; the first is the plain one."""
    return UNITS[_unit(frame)][1](value)


def _unit(frame: Frame) -> str:
    return frame.unit or frame.kind


class Author:
    """Writes bundles. Every choice comes from one seed."""

    def __init__(self, half: str, seed: int) -> None:
        self.half, self.frames = half, frames(half)
        self.random = random.Random(f"{seed}{half}")
        self.names: set[str] = set()

    def owner(self, domain: str) -> str:
        """A name that no other bundle has."""
        while True:
            name = "".join(self.random.sample(SYLLABLES, self.random.choice((2, 3)))).capitalize()
            if name not in self.names:
                self.names.add(name)
                return self.random.choice(OWNERS[domain]).format(name)

    def value(self, frame: Frame, without: Any = None) -> Any:
        """A value of the frame, another than the given one. Of a statement: whether it holds."""
        if frame.deny:
            return self.random.random() < 0.5 if without is None else not without
        return self.random.choice([v for v in UNITS[_unit(frame)][0] if v != without])

    def line(self, bundle: int, role: str, frame: Frame, fact: Fact, form: int | None = 0, without: str = "") -> Line:
        """Puts a fact into words. `form` None: an unusual spelling of the value; `without`: a wording that is taken."""
        wordings = frame.deny if frame.deny and not fact.value else frame.say
        written = ""
        if not frame.deny:
            forms = spellings(frame, fact.value)
            written = forms[0] if form == 0 else self.random.choice(forms[1:] or forms)
        wording = self.random.choice([w for w in wordings if w != without] or wordings)
        if not frame.deny and role != "base" and self.random.random() < SHORT:
            wording = self.random.choice(SHORT_FORMS)
        elif role != "base" and self.random.random() < PRONOUN:
            wording = re.sub(r"^(?:The|A) \{t\} (?=\w+s )", "It ", wording)
            wording = re.sub(r"^The \{t\} ", "They ", wording)
        said = self._conditioned(_filled(wording, fact, written), fact)
        asked = _filled(self.random.choice(frame.ask), fact, "")
        return Line(bundle, role, frame.domain, frame.kind, fact, asked, said)

    def _conditioned(self, said: str, fact: Fact) -> str:
        if not fact.condition:
            return said
        if self.random.random() < 0.5:
            return f"{fact.condition[0].upper()}{fact.condition[1:]}, {_inside(said, fact)}"
        return f"{said.removesuffix('.')} {fact.condition}."

    def bundle(self, number: int, frame: Frame) -> Iterator[Line]:
        """A fact, its contradiction, and the neighbours of the fact."""
        pair = self.random.choice(CONDITIONS[frame.domain][HALVES.index(self.half)])
        condition = self.random.choice(pair) if self.random.random() < CONDITIONED else ""
        owner, thing = self.owner(frame.domain), self.random.choice(frame.things)
        fact = Fact(frame.about, owner, thing, condition, self.value(frame))
        base = self.line(number, "base", frame, fact)
        other = self.value(frame, fact.value)
        form = self.random.choice((0, 0, None))
        yield base
        yield self.line(number, "planted", frame, replace(fact, value=other), form)
        yield self.line(number, "paraphrase", frame, fact)
        if not frame.deny:
            yield self.line(number, "unit", frame, fact, None)
        things = [t for t in frame.things if t != thing]
        yield self.line(number, "thing", frame, replace(fact, thing=self.random.choice(things), value=other))
        yield self.line(number, "owner", frame, replace(fact, owner=self.owner(frame.domain), value=other))
        narrower = self.random.choice([c for c in pair if c != condition])
        yield self.line(number, "condition", frame, replace(fact, condition=narrower, value=other))
        sibling = self._sibling(frame)
        value = other if _unit(sibling) == _unit(frame) and not frame.deny else self.value(sibling)
        told = Fact(sibling.about, owner, self.random.choice(sibling.things), condition, value)
        yield self.line(number, "attribute", sibling, told)

    def _sibling(self, frame: Frame) -> Frame:
        """Another frame of the domain; one of the same kind where there is one, most of the time."""
        others = [f for f in self.frames if f.domain == frame.domain and f.about != frame.about]
        near = [f for f in others if f.kind == frame.kind]
        return self.random.choice(near if near and self.random.random() < 0.7 else others)

    def lines(self, bundles: int) -> list[Line]:
        """That many bundles for each frame, shuffled."""
        numbered = enumerate(frame for frame in self.frames for _ in range(bundles))
        found = [line for number, frame in numbered for line in self.bundle(number, frame)]
        self.random.shuffle(found)
        return found


def _filled(wording: str, fact: Fact, written: str) -> str:
    """The wording with everything in it, beginning with a capital."""
    text = wording.format(who=fact.owner, t=fact.thing, v=written)
    return text[0].upper() + text[1:]


def _inside(said: str, fact: Fact) -> str:
    """A sentence that no longer begins one: its first word loses its capital unless it is a name, a month or a currency."""
    names = (fact.owner[0].upper() + fact.owner[1:], "EUR", *MONTHS, *([fact.thing] if fact.thing[0].isupper() else []))
    return said if said.startswith(names) else said[0].lower() + said[1:]
