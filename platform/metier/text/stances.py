"""Which side a sentence takes where words have opposites: required or optional, allowed or forbidden, up or down, ...

A negation beside such a word turns it round, so that "not mandatory" and "optional" are one side. What no pair of opposites
explains is left as a plain denial.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REQUIRED, OPTIONAL, ALLOWED, FORBIDDEN = "required", "optional", "allowed", "forbidden"
_DUTY = {
    REQUIRED: "requir(?:e|es|ed|ing)|mandatory|obligatory|compulsory|obliged|must|needs?|needed|necessary|ha(?:ve|s) to|essential",
    OPTIONAL: "optional|voluntary|unnecessary|dispensable",
    ALLOWED: "allow(?:s|ed|ing)?|permit(?:s|ted|ting)?|may|lawful|legal|permissible|admissible",
    FORBIDDEN: "forbid(?:s|den|ding)?|prohibit(?:s|ed|ing)?|ban(?:s|ned|ning)?|disallow(?:s|ed)?|unlawful|illegal|inadmissible"
    "|impermissible",
}  # fmt: skip
_TURNED = {REQUIRED: OPTIONAL, OPTIONAL: REQUIRED, ALLOWED: FORBIDDEN, FORBIDDEN: ALLOWED}
_COMPATIBLE = {frozenset({REQUIRED, ALLOWED}), frozenset({OPTIONAL, ALLOWED})}
_OPPOSITES = {
    "direction": (
        "increas(?:e|es|ed|ing)|rais(?:e|es|ed|ing)|ris(?:e|es|ing)|rose|grow(?:s|n|ing)?|grew|go(?:es)? up|went up"
        "|climb(?:s|ed)?|upwards?",
        "decreas(?:e|es|ed|ing)|reduc(?:e|es|ed|ing)|lower(?:s|ed|ing)|fall(?:s|en|ing)?|fell|drop(?:s|ped)?|declin(?:e|es|ed|ing)"
        "|shrink(?:s|ing)?|go(?:es)? down|went down|downwards?"),
    "order": ("before|prior to|ahead of|in advance of", "after|following|afterwards"),
    "state": ("enabl(?:e|es|ed|ing)|(?:switch|turn)(?:ed|es|s)? on|(?:is|are|set to) on(?! \\d)|activat(?:e|es|ed)|active",
              "disabl(?:e|es|ed|ing)|(?:switch|turn)(?:ed|es|s)? off|(?:is|are|set to) off|deactivat(?:e|es|ed)|inactive"),
    "scope": ("includ(?:e|es|ed|ing)", "exclud(?:e|es|ed|ing)"),
    "welcome": ("accept(?:s|ed|ing)?", "reject(?:s|ed|ing)?|refus(?:e|es|ed|ing)|turn(?:s|ed) away"),
    "openness": ("public|publicly", "confidential|secret"),
    "tax": ("taxable|subject to (?:\\w+ )?tax|taxed", "tax-free|tax-exempt|exempt from (?:\\w+ )?tax|untaxed"),
    "bound": ("at least|no less than|not less than|no fewer than|minimum|minimal|lowest|not below",
              "at most|no more than|not more than|not exceed(?:s|ed)?|never exceeds?|maximum|maximal|up to|highest|not above"),
    "span": ("since|from|starts?|started|begins?|began|opens?|opened|in(?:to)? force|in(?:to)? effect",
             "until|till|ends?|ended|expires?|expired|expiry|runs? out|laps(?:e|es|ed)|last|used up"),
    "door": ("open", "closed|shut"),
    "side": ("internal(?:ly)?", "external(?:ly)?"),
    "hand": ("manual(?:ly)?|by hand", "automatic(?:ally)?"),
    "duration": ("permanent(?:ly)?|indefinite(?:ly)?", "temporar(?:y|ily)"),
    "outcome": ("succeed(?:s|ed)?|successful(?:ly)?", "fail(?:s|ed)?|unsuccessful(?:ly)?"),
    "safety": ("safe(?:ly)?|harmless", "unsafe(?:ly)?|dangerous|harmful"),
    "force": ("strengthen(?:s|ed)?|improv(?:e|es|ed)", "weaken(?:s|ed)?|worsen(?:s|ed)?"),
    "sight": ("visible|shown", "hidden|invisible"),
    "price": ("free of charge|for free|at no cost|gratis", "against payment|for a fee"),
    "guilt": ("guilty", "innocent"),
    "sequence": ("ascending", "descending"),
    "frequency": ("always", "never"),
    "rate": ("fixed", "variable|floating|adjustable"),
    "result": ("surplus|in credit", "deficit|overdrawn|in debt"),
    "worth": ("appreciat(?:e|es|ed)|gains? (?:in )?value|gained (?:in )?value", "depreciat(?:e|es|ed)|los(?:es?|t) value"),
    "outlook": ("bullish|optimistic", "bearish|pessimistic"),
    "booking": ("credit(?:s|ed) to", "debit(?:s|ed) (?:from|to)|deducted from"),
    "warmth": ("hot|warm|heated", "cold|cool(?:ed)?|chilled|refrigerated"),
    "moisture": ("wet|moist|damp", "dry"),
    "pace": ("speeds? up|accelerat(?:e|es|ed)|hasten(?:s|ed)?", "slow(?:s|ed)?(?: down)?|delay(?:s|ed)?|retard(?:s|ed)?"),
    "width": ("widen(?:s|ed)?|dilat(?:e|es|ed)", "narrow(?:s|ed)?|constrict(?:s|ed)?"),
    "drive": ("stimulat(?:e|es|ed)|promot(?:e|es|ed)", "inhibit(?:s|ed)?|suppress(?:es|ed)?"),
    "growth": ("benign", "malignant"),
    "course": ("acute", "chronic"),
    "test": ("positive", "negative"),
    "stomach": ("with (?:food|meals?)|on a full stomach", "without food|on an empty stomach|fasting"),
    "company": ("jointly|together", "separately|individually"),
    "validity": ("valid|enforceable", "void|invalid|unenforceable"),
    "access": ("writable|editable|mutable", "read-only|immutable"),
    "laziness": ("lazy|lazily|on demand", "eager|eagerly|up front"),
    "timing": ("synchronous(?:ly)?", "asynchronous(?:ly)?"),
    "place": ("inside|indoors?", "outside|outdoors?"),
}  # fmt: skip
BOUNDS = {"bound", "span"}  # with other values two rules, not a contradiction
ADVERBS = {"order", "frequency", *BOUNDS}  # a denial near them is of something else, unless it is adjacent
_NOT = r"(?:not|never|no longer|no|cannot|nor|neither|hardly|without)"
_PROPERTY = r"non-(?:negative|positive|zero|empty|null|blank)\b"  # of a value: it denies nothing
_DENIAL = re.compile(rf"\b{_NOT}\b|n[’']t\b|\b(?!{_PROPERTY})non(?=-)", re.I)
# A "not" that denies nothing of the main clause: a contrast, a relative clause without a subject of its own, an idiom.
_IDIOM = re.compile(
    r"\bnot only\b|\b(?:no|not) (?:later|earlier|more|less|fewer) than\b|\bno doubt\b|\bwhether or not\b"
    r"|(?:^|, )(?:no|yes)(?=[,.:;])"
    r"|, (?:but |and )?not (?:the|a|an|just|all|every)\b"
    r"|\b(?:that|which|who) (?:do|does|did|is|are|was|were|has|have|can|could|may|must|will|should)(?: ?not|n[’']t)\b",
    re.I,
)
_WORD = re.compile(r"[\w’'-]+")
REACH = 3  # words between a negation and what it turns round


def _sides(sides: dict[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in sides.items()), re.I)


_DUTIES = _sides(_DUTY)
_AXES = {axis: _sides({"up": up, "down": down}) for axis, (up, down) in _OPPOSITES.items()}


@dataclass(frozen=True, slots=True)
class Stance:
    """The sides that a sentence takes, by axis, and whether it denies beyond them."""

    duty: str  # required, optional, allowed, forbidden; empty where it says none, or several
    sides: tuple[tuple[str, str], ...]  # (axis, up or down)
    spare: bool  # whether a denial is left that turned none of the sides round
    denies: bool  # whether the denials in it leave it a denial
    words: frozenset[str]  # what showed the sides, in lower case

    def opposes(self, other: Stance, opposed: bool = False) -> str:
        """Which opposites exclude each other; empty where none do, or where a spare denial may turn them round.
        `opposed`: a word of one is the negated form of a word of the other."""
        if self.spare != other.spare:
            return ""
        duties = frozenset((self.duty, other.duty)) - {""}
        if len(duties) == 2 and duties not in _COMPATIBLE:
            return f"{self.duty} against {other.duty}"
        return "one says the opposite of the other" if self._apart(other) != opposed else ""

    def agrees(self, other: Stance) -> bool:
        """Whether both take the same sides, but for bounds."""
        mine, theirs = ({side for side in one.sides if side[0] not in BOUNDS} for one in (self, other))
        return (self.duty, self.denies, mine) == (other.duty, other.denies, theirs)

    def denied_by(self, other: Stance, opposed: bool = False, verbatim: bool = False) -> bool:
        """Whether one of them is the denial of the other. `verbatim`: but for the denial they have the same words; without
        that a denial beside the same side of opposites may be of something else."""
        settled = (self.duty and other.duty) or set(self._shared(other)) - ADVERBS
        denied = self.denies != other.denies and not self._apart(other) and not opposed
        return denied and (verbatim or not settled)

    def _shared(self, other: Stance) -> dict[str, bool]:
        """The axes on which both take a side, and whether it is the same."""
        theirs = dict(other.sides)
        return {axis: theirs[axis] == side for axis, side in self.sides if axis in theirs and axis not in BOUNDS}

    def _apart(self, other: Stance) -> bool:
        return not all(self._shared(other).values())


def bounds(text: str) -> dict[str, str]:
    """The side by axis where a text speaks of a minimum or maximum, of a beginning or end."""
    found = {axis: {str(m.lastgroup) for m in _AXES[axis].finditer(text)} for axis in BOUNDS}
    return {axis: next(iter(sides)) for axis, sides in found.items() if len(sides) == 1}


def stance(sentence: str) -> Stance:
    """The sides of a sentence, which should be without its conditions."""
    plain = _IDIOM.sub(lambda m: " " * len(m[0]), sentence)
    denials = [m.span() for m in _DENIAL.finditer(plain)]
    used: set[int] = set()

    def turned(start: int, end: int, reach: int = REACH) -> bool:
        """Whether a negation stands just before the word, or right behind it (must not)."""
        for i, (begin, stop) in enumerate(denials):
            gap = plain[stop:start] if stop <= start else plain[end:begin] if begin >= end else ","
            if not re.search("[,;:.]", gap) and len(_WORD.findall(gap)) <= (reach if stop <= start else min(reach, 0)):
                used.add(i)
                return True
        return False

    def side_of(match: re.Match[str], reach: int, other: dict[str, str]) -> str:
        side = str(match.lastgroup)
        return other[side] if turned(*match.span(), reach) else side

    words: set[str] = set()
    duties, sides = set(), []
    for match in _DUTIES.finditer(plain):
        must_not = _TURNED | {REQUIRED: FORBIDDEN} if match[0].lower() == "must" else _TURNED
        duties.add(side_of(match, REACH, must_not))
        words.update(match[0].lower().split())
    for axis, pattern in _AXES.items():
        found = set()
        for match in pattern.finditer(sentence if axis in BOUNDS else plain):
            reach = -1 if axis in BOUNDS else 0 if axis in ADVERBS else REACH
            found.add(side_of(match, reach, {"up": "down", "down": "up"}))
            words.update(match[0].lower().split())
        if len(found) == 1:
            sides.append((axis, found.pop()))
    return Stance(
        duty=duties.pop() if len(duties) == 1 else "",
        sides=tuple(sides),
        spare=(len(denials) - len(used)) % 2 == 1,
        denies=len(denials) % 2 == 1,
        words=frozenset(words),
    )
