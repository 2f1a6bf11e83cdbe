"""Presidio's recognisers where they are good: telephones, IBANs, bitcoin wallets, addresses of machines; and mailboxes.

They are called directly, without Presidio's engine: its tokeniser and its context words cost most of the time, and the words
that name a number are looked for here. A find must also look like what it is said to be, for versions, sizes and exponents
have the forms of addresses and telephone numbers.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from metier.text.forms import AFTER, BEFORE, CALLED, SURE, Found, phrase

_RECOGNISERS = {
    "PHONE_NUMBER": ("PhoneRecognizer", re.compile(r"\d[\d ().\-/]{5,}\d")),
    "IBAN_CODE": ("IbanRecognizer", re.compile(r"[A-Z]{2}\d{2}")),
    "CRYPTO": ("CryptoRecognizer", re.compile(r"(?:bc1|[13])[a-zA-HJ-NP-Z0-9]{25}")),
    "IP_ADDRESS": ("IpRecognizer", re.compile(r"\d\.\d{1,3}\.|:[0-9a-fA-F]*:")),
}
"""Presidio's class for each kind, and what no text lacks in which it finds something: most texts are told apart by that."""
# Presidio's own recogniser of mailboxes fetches the list of top-level domains from the network when it can.
_EMAIL = re.compile(r"(?<!\w)[\w][\w.+%'-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b")
_INTERNAL = frozenset("corp home internal intranet lan local localdomain private".split())  # noqa: SIM905
_HOST = phrase(
    "ip", "ipv[46]", "addr(?:ess)?", "host", "server", "client", "node", "ping", "ssh", "subnet", "gateway",
    "(?:login|logins|logged in|requests?|connections?|calls?|visitors?) from",
)  # fmt: skip
_VERSION = re.compile(r"(?:\bv|\bversions?|\breleases?|\bsection|\bchapter)[\s:=.]{0,3}$", re.I)
GROUPS_6 = 4  # written groups from which an IPv6 address is no slice and no C++ name


@functools.cache
def _domains() -> Any:
    """Takes domains apart by the list of top-level domains that travels with the package: nothing is fetched."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@functools.cache
def _recogniser(kind: str) -> Any:
    """One a process."""
    from presidio_analyzer import predefined_recognizers

    return getattr(predefined_recognizers, _RECOGNISERS[kind][0])()


def predefined(kinds: Sequence[str]) -> list[Callable[[str], Iterator[Found]]]:
    """Presidio's recognisers of those of the kinds that it is asked for."""
    return [functools.partial(_finds, kind) for kind in kinds if kind in _RECOGNISERS]


def _finds(kind: str, text: str) -> Iterator[Found]:
    if not _RECOGNISERS[kind][1].search(text):
        return
    check = {"PHONE_NUMBER": _telephone, "IP_ADDRESS": _address}.get(kind)
    for one in _recogniser(kind).analyze(text, [kind]):
        if check is None or check(text[: one.start], text[one.start : one.end], text[one.end :]):
            yield Found(kind, one.start, one.end, one.score)


def mailboxes(text: str) -> Iterator[Found]:
    """Addresses whose domain can exist; neither the login of a URL nor that of a code host, nor a matrix product."""
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        domain = match[0].rpartition("@")[2].lower()
        login = re.search(r"://[^\s/,;]{0,200}$", text[max(0, match.start() - 210) : match.start()])
        if login or match[0].startswith("git@"):
            continue
        if domain.rpartition(".")[2] in _INTERNAL or _domains()(domain).suffix:
            yield Found("EMAIL_ADDRESS", *match.span(), score=SURE)


def _telephone(before: str, written: str, after: str) -> bool:
    """Groups of digits between marks or behind a plus. Spaces alone also part the numbers of a list: those need a word."""
    if re.search(r"[\w.\-/=^*]$", before) or re.match(r"[\w\-/=^*%]|\.\d", after) or written.count(".") == 1:
        return False
    if written.startswith("+"):
        return True
    called = bool(CALLED.search(before[-BEFORE:]))
    groups = re.findall(r"\d+", written)
    return called or (len(groups) >= 3 and bool(re.search(r"[().\-/]", written)))


def _address(before: str, written: str, after: str) -> bool:
    """A public address that is said to be one: four numbers with points may be a version, and in a URL a machine."""
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if not address.is_global:
        return False
    if address.version == 6:  # `a::b` is one too
        return sum(1 for group in written.split(":") if group) >= GROUPS_6
    said = bool(_HOST.search(before[-BEFORE:]) or _HOST.search(after[:AFTER]))
    return before.endswith("@") or (said and not before.endswith("//") and not _VERSION.search(before[-BEFORE:]))
