"""Named prompt templates. A name carries the digest of its words, so a reworded template is another setting.

A stage's config names a template; what it names is settled as `name@digest`, which enters the step's key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from metier.records import Message


@dataclass(frozen=True)
class Template:
    """A prompt with gaps, and the form that the reply must have."""

    name: str
    system: str
    turns: tuple[tuple[str, str, str], ...]  # worked examples: passage, given sentence, reply
    user: str  # with {passage}, and {given} where a sentence of the passage is given as the answer
    reply: re.Pattern[str]  # named groups: what is taken out of the reply

    @property
    def settled(self) -> str:
        """`name@digest`."""
        words = "\x00".join([self.system, *(t for turn in self.turns for t in turn), self.user, self.reply.pattern])
        return f"{self.name}@{hashlib.blake2b(words.encode(), digest_size=4).hexdigest()}"

    @property
    def gives_answer(self) -> bool:
        """Whether the answer is a sentence of the passage, and only the question is asked for."""
        return "{given}" in self.user

    def messages(self, passage: str, given: str = "") -> tuple[Message, ...]:
        """The conversation that asks about `passage`."""
        shown = [Message(role="system", content=self.system)]
        for example, sentence, reply in self.turns:
            shown.append(Message(role="user", content=self._filled(example, sentence)))
            shown.append(Message(role="assistant", content=reply))
        return (*shown, Message(role="user", content=self._filled(passage, given)))

    def _filled(self, passage: str, given: str) -> str:
        before, _, after = self.user.partition("{passage}")
        return before + passage + after.replace("{given}", given)

    def parsed(self, text: str) -> dict[str, str] | None:
        """The parts of a reply that keeps the form to the letter; None for any other."""
        match = self.reply.fullmatch(text.strip())
        return {name: part.strip() for name, part in match.groupdict("").items()} if match else None


EVICT = "library.Cache.evict(key, *, force=False): Remove an entry from the cache. Returns whether there was one."
CONNECT = "Parameters of library.connect:\n- `timeout` (float, default 30.0): Seconds to wait for the server."

# The answer comes first, as a sentence of the passage, and the model writes the question to it (instruction
# back-translation: Li et al. 2023, section 2). A model of 135M weights answers freely with names that do not exist;
# asked only for the question it can't.
SENTENCE_QUESTION = Template(
    name="sentence-question",
    system="You write the questions that users ask about documentation. You write one question and nothing else.",
    turns=(
        (EVICT, "Returns whether there was one.", "Question: How do I know if library.Cache.evict removed something?"),
        (CONNECT, "Seconds to wait for the server.", "Question: What does the timeout of library.connect set?"),
    ),
    user="Passage:\n{passage}\n\nAnswer: {given}\n\nWrite the question to this answer.",
    reply=re.compile(r"Question: (?P<question>[^\n]{10,200}\?)"),
)

# For a teacher that can be trusted with both halves.
PASSAGE_QUESTION = Template(
    name="passage-question",
    system="You write questions that users ask about documentation, and their answers, taken from the passage alone.",
    turns=(
        (EVICT, "", "Question: How do I remove an entry from a library.Cache?\n"
                    "Answer: Call `library.Cache.evict` with the entry's key."),
        (CONNECT, "", "Question: How long does library.connect wait for the server by default?\n"
                      "Answer: It waits for `30.0` seconds, the default of `timeout`."),
    ),
    user="Passage:\n{passage}\n\nWrite one question that this passage answers, and its answer.",
    reply=re.compile(r"Question: (?P<question>[^\n]{10,300}\?)\s*\nAnswer: (?P<answer>[^\n]{3,500})"),
)  # fmt: skip

# Two answers, sentence by sentence, and whether both can be right. The examples hold what misleads: another unit for one
# value, another thing with another value, and a plain contradiction.
CONTRADICTION = Template(
    name="contradiction",
    system="You compare two answers from one handbook. Some are about different things, and some say one thing in other words. "
    "You reply no, or yes and the two sentences that can't both be true. You write nothing else.",
    turns=(
        ("A: How long may a parcel stay at the counter?\nA1. It is kept for two weeks.\n"
         "B: When is a parcel sent back?\nB1. Nobody has to sign.\nB2. After five days at the counter it goes back.",
         "", "yes A1 B2"),
        ("A: How long may a parcel stay at the counter?\nA1. It is kept for two weeks.\n"
         "B: When is a parcel sent back?\nB1. It is sent back when 14 days are over.", "", "no"),
        ("A: How long may a letter stay at the counter?\nA1. Three days.\n"
         "B: How long may a parcel stay at the counter?\nB1. It is kept for two weeks.", "", "no"),
    ),
    user="{passage}\n\nDoes a sentence of A contradict a sentence of B?",
    reply=re.compile(r"(?P<verdict>yes|no)\b[,:]?(?: A(?P<first>\d{1,2})(?: and|,)? B(?P<second>\d{1,2}))?\.?", re.I),
)  # fmt: skip

TEMPLATES = {template.name: template for template in (SENTENCE_QUESTION, PASSAGE_QUESTION)}
JUDGEMENTS = {CONTRADICTION.name: CONTRADICTION}


def template(name: str, known: Mapping[str, Template] = TEMPLATES) -> Template:
    """The template called `name` or `name@digest`. Raises ValueError for an unknown name or another wording."""
    short, _, _ = name.partition("@")
    if short not in known:
        raise ValueError(f"no prompt template {short!r}; there are: {', '.join(known)}")
    found = known[short]
    if name not in (short, found.settled):
        raise ValueError(f"template {name} has another wording now ({found.settled})")
    return found
