"""Whether two statements can both hold, as far as names, words, numbers, days, opposites and negations tell."""

from __future__ import annotations

from metier.text.quantities import Quantity, clash, same
from metier.text.statements import Statement

Places = frozenset[tuple[str, str, str]]
ALIKE = 0.5  # share of the words of the shorter that the other has, from which both may speak of one thing
SAID_ALIKE, SAID = (
    0.6,
    2,
)  # the same of the sentences alone, and how many words at least, where each side has words of its own
_NEGATING = ("un", "in", "im", "ir", "il", "non", "dis", "a")


def comparable(a: Statement, b: Statement) -> bool:
    """Whether both may speak of one thing, as far as names and what narrows them in numbers tell."""
    return a.codes == b.codes and not _apart(a.names, b.names) and (same(a.thresholds, b.thresholds) or _hinge(a, b))


def _hinge(a: Statement, b: Statement) -> bool:
    """Whether both say when the same is so, and in nothing but the threshold may differ."""
    others = ([q for q in one.thresholds if q not in one.hinges] for one in (a, b))
    return bool(a.hinges and b.hinges) and same(*others) and a.stance.agrees(b.stance)


def closeness(a: Statement, b: Statement) -> float:
    """Share of the words of both, question included, that they have in common."""
    union = len(a.about | b.about)
    return len(a.about & b.about) / union if union else 1.0


def contradiction(a: Statement, b: Statement) -> str:
    """Why they can't both hold; empty where they can."""
    if not comparable(a, b):
        return ""
    shown = a.shown | b.shown
    if _narrowed(a, b, shown) or _narrowed(b, a, shown):
        return ""
    mine, theirs = a.said - b.said, b.said - a.said
    negated = {(x, y) for x in mine for y in theirs if not {x, y} <= shown and (_negates(x, y) or _negates(y, x))}
    known = shown | {word for pair in negated for word in pair}
    if not _alike(a, b, known):
        return ""
    why = clash(_values(a, b), _values(b, a))
    if why:
        return "" if any(b.bounds.get(axis, side) != side for axis, side in a.bounds.items()) else why
    why = a.stance.opposes(b.stance, bool(negated))
    if why:
        return why
    close = _share(a.said - known, b.said - known) >= SAID_ALIKE
    denied = close and a.stance.denied_by(b.stance, bool(negated), verbatim=a.said == b.said)
    return "one denies what the other says" if denied else ""


def _values(a: Statement, b: Statement) -> list[Quantity]:
    """What a statement gives as values. True and False are values of what was asked for, thresholds where those differ."""
    hinges = () if same(a.thresholds, b.thresholds) else a.hinges
    return [*hinges, *(q for q in a.quantities if q.dimension != "literal" or _same_question(a, b))]


def _same_question(a: Statement, b: Statement) -> bool:
    return bool(a.question) and a.question == b.question


def _share(a: frozenset[str], b: frozenset[str]) -> float:
    """The share of the smaller set that the other has; of nothing all."""
    smaller = min(len(a), len(b))
    return len(a & b) / smaller if smaller else 1.0


def _apart(a: frozenset[str], b: frozenset[str]) -> bool:
    return bool(a - b) and bool(b - a)


def _narrowed(a: Statement, b: Statement, shown: frozenset[str]) -> bool:
    """Whether a condition of the one is none of the other's, and mostly nothing that the other speaks of."""
    for condition in a.conditions:
        new = _new(condition, b.about) - shown
        if new and 2 * len(new) >= len(condition) and not new.issubset(frozenset().union(*b.conditions)):
            return True
    return False


def _new(words: frozenset[str], known: frozenset[str]) -> frozenset[str]:
    """The words that are not known in any form."""
    return frozenset(word for word in words - known if not any(_akin(word, o) or _akin(o, word) for o in known))


def _negates(word: str, other: str) -> bool:
    return any(word == prefix + other for prefix in _NEGATING)


def _akin(word: str, other: str) -> bool:
    """Whether a word goes on from another by a few letters: withdraw, withdrawal."""
    return len(word) >= 6 and other.startswith(word) and len(other) - len(word) <= 3


def _alike(a: Statement, b: Statement, known: frozenset[str]) -> bool:
    """Whether both speak of one thing. `known`: words of their stances, which differ where they contradict each other."""
    mine, theirs = _new(a.about, b.about) - known, _new(b.about, a.about) - known
    if not mine or not theirs:
        return (bool(a.about & b.about) or _same_question(a, b)) and _share(a.about, b.about) >= ALIKE
    ours, others = a.said - known, b.said - known
    if _same_question(a, b) or (a.asked and a.asked == b.asked):
        return _share(ours, others) >= ALIKE or len(a.quantities) == len(b.quantities) == 1
    if mine & a.asked & a.said and theirs & b.asked & b.said:
        return False
    ours, others = ours or a.asked - known, others or b.asked - known  # a bare value says what was asked for
    agreed = len(ours & others) >= SAID and _share(ours, others) >= SAID_ALIKE
    repeated = bool(a.asked & a.said & b.asked & b.said) and not mine & a.said and not theirs & b.said
    wordings = (a.places or a.asked_places, b.places or b.asked_places), (a.asked_places, b.asked_places)
    exchanged = any(_exchanged(x, y, mine, theirs) for x, y in wordings)
    return (agreed or repeated) and not exchanged


def _exchanged(a: Places, b: Places, mine: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether one stands where the other has another word: annual fee, late fee."""
    ours = [(before, behind) for word, before, behind in a if word in mine]
    others = [(before, behind) for word, before, behind in b if word in theirs]
    return any((x and x == v) or (y and y == w) for x, y in ours for v, w in others)
