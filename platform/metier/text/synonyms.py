"""Words that say the same in rules and manuals, and words that say too little to tell two things apart.

A short list of our own, for the general words around a fact; the words of a trade are left as they are.
"""

from __future__ import annotations

import functools

from metier.text.words import stem

_GROUPS = """
keep kept retain retention retained store stored storage preserve preserved archive
cost costs fee fees charge charges charged price priced
limit limits limited cap ceiling maximum maximal threshold exceed exceeded
period time duration term length lifetime
force effect effective valid validity introduce introduced bring brought applicable binding govern governs apply applies applied
end ends ended expire expires expired expiry lapse lapses terminate terminated termination cancel cancelled close closes
due deadline file filed hand handed submit submitted submission filing
pay pays paid payment payout payable receive received
refund refunds refunded reimburse reimbursed repaid repay
annual annually yearly
daily day
monthly month
weekly week
need needs needed require requires required requirement necessary ask asks demand demands
check checks checked verify verified verification examine inspection
permit permits permitted allow allows allowed
forbid forbidden prohibit prohibited ban banned
buy purchase purchased acquire
sell sold sale
send sends sent transmit transmitted deliver delivered
delete deleted remove removed erase erased
change changes changed modify modified alter altered amend amended
create created make made build builds built
show shows display displayed
quick fast rapid
big large
small little
person people individual
employee employees staff worker workers personnel
customer customers client clients
doctor physician
drug drugs medicine medication
patient patients
illness disease
penalty fine fines fined punish punished
court courts tribunal
attorney lawyer counsel
contract agreement
insurance insured cover covers covered coverage protect protects protected extend extends
error failure fail fails failed fault
run runs execute executed
use uses used usage using
wait waits timeout
retry retries retried repeat repeats repeated
open opens opened
replace replaced replaces rotate rotated rotates rotation
move moves moved relocation relocate
register registered registration
approve approved approval authorise authorised
release released available
support supports supported
suffice suffices sufficient enough
visit visits visitor visitors
"""


def _form(word: str) -> str:
    """The stem, but for who or what does something: a worker is not work."""
    text = word.lower().removesuffix("s") if word.lower().endswith("ers") else word.lower()
    return text if text.endswith("er") else stem(text)


_CANON = {_form(word): f"={group.split()[0]}" for group in _GROUPS.strip().split("\n") for word in group.split()}
_EMPTY = frozenset(
    """
    long much many high higher often soon large size date last first amount number level rule rules according happen
    happens effect come comes goes going gets getting done make makes made know known find found says said say tell
    tells view answer possible case cases must shall should have having been ahead need needs needed want wants will
    please still whole certain general generally currently usually normally always never without within until since
    from when what which there here ever also just only already again they them their limit limits limited mean means
    time times yes whom into onto whose whoever year years day days month months week weeks period periods set sets
    take takes taken give gives given enter enters entered put puts keep let lets able rest begin begins start starts
    started today hold holds held law laws doesn isn don aren wasn won shouldn couldn cannot version versions edition
    revision temperature warm cold weight duration state states status follow follows act acts behave behaves react
    reacts work works look looks
    """.split()  # noqa: SIM905
)


@functools.cache
def canonical(word: str) -> str:
    """The name of the group that a word is in, else its stem."""
    found = _form(word)
    return _CANON.get(found, found)


@functools.cache
def says_little(word: str) -> bool:
    """Whether a word stands beside any fact, so that having it or not tells nothing."""
    return word.lower() in _EMPTY
