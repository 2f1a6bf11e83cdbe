"""Lines that say nothing of their document: navigation, cookie and copyright notices, and what many documents repeat."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import xxhash

from metier.text.words import wording

SHORTEST = 3  # words of a line that is counted; headings and list marks recur everywhere
_FENCED = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.DOTALL | re.MULTILINE)
_NOTICES = (
    r"\b(?:we|this (?:web)?site|our partners) uses? cookies\b",
    r"\b(?:accept|reject|manage|allow) (?:all )?cookies\b",
    r"\bcookie (?:policy|settings|preferences|consent)\b",
    r"\ball rights reserved\b",
    r"^\W*(?:©|\(c\)|copyright)\W*(?:\d{4}|by\b)",
    r"\b(?:privacy policy|terms (?:of (?:use|service)|and conditions))\b.{0,40}$",
    r"^\W*(?:skip to (?:main )?content|back to top|table of contents|on this page|main menu|view page source)\b",
    r"^\W*edit (?:this page|on github)\b",
    r"^\W*(?:previous|next)(?: page| article)?\W*$",
    r"\b(?:sign up for|subscribe to) our newsletter\b",
    r"\b(?:share on|follow us on) (?:facebook|twitter|x|linkedin)\b",
)
_MENU = "home|about|contact|products?|services|blog|news|login|log in|sign in|search|menu|help|faq"
_NOTICE = re.compile("|".join((*_NOTICES, rf"^\W*(?:{_MENU})(?:\W+(?:{_MENU}))+\W*$")), re.I)


def notice(line: str) -> bool:
    """Whether a line is navigation or a notice by its wording. A long line that mentions cookies is about them."""
    return len(line) <= 300 and bool(_NOTICE.search(line))


def line_keys(text: str) -> Iterator[tuple[int, str]]:
    """Each line of some words outside code, with the hash of its wording."""
    for line in _FENCED.sub("", text).split("\n"):
        words = wording(line)
        if len(words) >= SHORTEST or notice(line):
            yield xxhash.xxh3_64_intdigest(" ".join(words).encode("utf-8", "surrogatepass")), line.strip()


def boilerplate(text: str, recurring: Collection[int], max_share: float) -> str:
    """An example of the lines that are boilerplate, where they hold more than a share of the words; empty else.
    `recurring`: the hashes of lines that many documents have."""
    found = [(line, key in recurring or notice(line)) for key, line in line_keys(text)]
    words = sum(len(wording(line)) for line, _ in found)
    empty = [line for line, is_empty in found if is_empty]
    share = sum(len(wording(line)) for line in empty) / words if words else 0.0
    return f"{share:.0%} of the words are boilerplate, such as {empty[0][:80]!r}" if empty and share > max_share else ""
