"""A sentence as what it is about and what it says of it: names, words, conditions, quantities, stance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from metier.text.identifiers import identifiers, literals, numbers
from metier.text.quantities import Quantity, split_off
from metier.text.stances import Stance, bounds, stance
from metier.text.synonyms import canonical, says_little
from metier.text.words import content_words, wording

# A clause or group that narrows a sentence. `in` and `at` narrow too, but stand before places, times and things as well.
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|except(?: for| if| when)?|provided(?: that)?|as long as|as soon as|once|while|during|only|where|"
    r"in (?:the )?cases?)\b(?P<clause>[^,;:.]*)",
    re.I,
)
_GROUP = re.compile(
    r"\b(?:for|in)\b(?P<group>(?: (?!(?:is|are|was|were|it|must|may|can|has|have|to|by|on|at|with|from|for|in|after|before|until|"
    r"since|of)\b)[\w'’-]+){1,4})",
    re.I,
)
_THRESHOLD = re.compile(
    r"\b(?:over|above|below|under|exceed(?:s|ing)?|beyond|more than|less than) (?P<value>.{1,30})", re.I
)
# Who says so, and no condition: "in the records of the bank".
_SOURCE = re.compile(
    r"\b(?:in|under|by|per|to) (?:the|its|their) (?:data|records?|reports?|books|findings|figures|statistics|view|opinion|words|"
    r"handbook|guidelines?|policy|terms|statutes|by-?laws|rules|law)(?: of)?\b",
    re.I,
)
# The one that is inherited by, which is no auxiliary: with an "s" it stays a word.
_WILL = re.compile(r"\b(?:a|the|this|that|my|your|his|her|their|last|joint) will\b", re.I)
_NAME = re.compile(r"(?:(?<=^)|(?<=\s)|(?<=[(\"'“/`-]))(?P<word>[A-Z][\w'’]*|\w*[a-z][A-Z]\w*|\w+_\w+|[A-Za-z]+\d\w*)")
_TOKEN = re.compile(r"[A-Za-z]\w+")
_NO_NAMES = frozenset({"i", "ai", "yes", "no", "ok", "true", "false", "none", "null"})
_OPENS = re.compile(r"(?:^|[.?!:])[\s\"'“(`]*$")


@dataclass(frozen=True, slots=True)
class Statement:
    """Words come in the name of their group, without names, values and those that say little."""

    sentence: str
    question: str  # its wording: who asks the same asks for one thing
    codes: frozenset[str]  # names of the question as code writes them
    names: frozenset[str]
    asked: frozenset[str]  # the words of the question
    said: frozenset[str]  # the words of the sentence, without its conditions
    about: frozenset[str]  # both
    places: frozenset[tuple[str, str, str]]  # in the sentence, a word with the one before and behind it
    asked_places: frozenset[tuple[str, str, str]]  # the same of the question
    conditions: tuple[frozenset[str], ...]  # what narrows the sentence, and was not asked for
    thresholds: tuple[Quantity, ...]  # what narrows it in numbers
    hinges: tuple[
        Quantity, ...
    ]  # the threshold in a condition of a sentence that gives no other quantity: what it tells
    quantities: tuple[Quantity, ...]
    stance: Stance
    bounds: dict[str, str]  # of question and sentence: a bare value is a minimum, or an end, where that was asked for
    shown: frozenset[str]  # words of its stance


def statement(question: str, sentence: str) -> Statement:
    """The statement that a sentence makes as an answer to a question, which may be empty."""
    measured, rest = split_off(_WILL.sub(r"\g<0>s", sentence))
    counted, plain = split_off(_WILL.sub(r"\g<0>s", question))
    conditional = [quantity for m in _CONDITION.finditer(sentence) for quantity in split_off(m["clause"])[0]]
    narrowing = [quantity for quantity in counted if re.search(r"\d", quantity.written)] + conditional
    if len(measured) > 1:
        narrowing += [quantity for m in _THRESHOLD.finditer(sentence) for quantity in split_off(m["value"])[0][:1]]
    values = [q for q in measured if q not in narrowing]
    values += [Quantity("literal", word, word) for word in literals(sentence)]
    names = frozenset(_names(f"{plain}. {rest}"))
    main, plain = _SOURCE.sub(" ", _CONDITION.sub(" ", rest)), _SOURCE.sub(" ", plain)
    took = stance(_GROUP.sub(" ", main))
    said, asked = frozenset(_words(main, names)), frozenset(_words(plain, names))
    groups = [g for m in _GROUP.finditer(main) if (g := frozenset(_words(m["group"], names))) and not g <= asked]
    clauses = [frozenset(_words(m["clause"], names)) for m in _CONDITION.finditer(rest)]
    own = said - (frozenset().union(*groups) - asked)
    return Statement(
        sentence=sentence,
        question=" ".join(wording(question)),
        codes=identifiers(question) - numbers(question),
        names=names,
        asked=asked,
        said=own,
        about=own | asked,
        places=frozenset(_places(main, names)),
        asked_places=frozenset(_places(plain, names)),
        conditions=(*groups, *clauses),
        thresholds=tuple(narrowing),
        hinges=tuple(conditional) if len(measured) == len(conditional) == 1 else (),
        quantities=tuple(values),
        stance=took,
        bounds=bounds(f"{plain} {main}"),
        shown=frozenset(canonical(word) for word in took.words | stance(plain).words),
    )


def _places(text: str, names: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    words = ["" if word.lower() in names else canonical(word) for word in _TOKEN.findall(text) if _tells(word, names)]
    return (
        (word, before, behind)
        for word, before, behind in zip(words, ["", *words], [*words[1:], ""], strict=False)
        if word
    )


def _tells(word: str, names: frozenset[str]) -> bool:
    return word.lower() in names or (bool(content_words(word, shortest=3)) and not says_little(word))


def _words(text: str, names: frozenset[str]) -> list[str]:
    plain = re.sub(r"[A-Z]\w*|\w+_\w+", lambda m: " " if m[0].lower() in names else m[0], text)
    return [canonical(word) for word in content_words(plain, shortest=3) if not says_little(word)]


def _names(text: str) -> Iterator[str]:
    """Words with a capital that no sentence gave them, in lower case; a sentence's first word where it has one elsewhere
    too, or where another name follows it."""
    found = [(m["word"], _OPENS.search(text[: m.start()]) is not None, m.end()) for m in _NAME.finditer(text)]
    sure = {word for word, opens, _ in found if not opens or not word[0].isupper() or re.search(r"[A-Z_\d]", word[1:])}
    for word, opens, end in found:
        follows = re.match(r" [A-Z]", text[end : end + 2]) is not None
        if (
            not opens or word in sure or (follows and content_words(word, shortest=1))
        ) and word.lower() not in _NO_NAMES:
            yield re.sub(r"[’']s?$", "", word).lower()
