"""How exam questions are worded: several ways for each kind, one chosen by a seeded hash, so that no run differs."""

from __future__ import annotations

import hashlib

PHRASES: dict[str, tuple[str, ...]] = {
    "purpose": (
        "What does {name} do?",
        "What is {name} for?",
        "In one sentence, what is the purpose of {name}?",
        "Can you explain briefly what {name} does?",
    ),
    "default": (
        "What is the default value of `{detail}` in {name}?",
        "If I don't pass `{detail}` to {name}, which value is used?",
        "What does `{detail}` default to in {name}?",
        "I call {name} without `{detail}`. What value does it take?",
    ),
    "type": (
        "Which type does the parameter `{detail}` of {name} accept?",
        "What type is `{detail}` in {name}?",
        "What kind of value do I pass as `{detail}` to {name}?",
    ),
    "returns": (
        "What does {name} return?",
        "What do I get back from {name}?",
        "What is the return value of {name}?",
    ),
    "which": (
        'Which {kind} of {module} fits this description: "{value}"',
        'I am looking for the {kind} in {module} with this purpose: "{value}" What is it called?',
        'Name the {kind} of {module} that the documentation describes so: "{value}"',
    ),
    "parameter": (
        'Which parameter of {name} is described so: "{value}"',
        'Which argument of {name} do I set for this: "{value}"',
        'In {name}, what is the name of the parameter with this meaning: "{value}"',
    ),
    "parameters": (
        "Which parameters does {name} take?",
        "List the parameters of {name}.",
        "What arguments can I pass to {name}?",
    ),
    "json_default": (
        'Give the default of `{detail}` in {name} as a JSON object with the keys "parameter" and "default".',
        'What does `{detail}` default to in {name}? Answer only with JSON that has the keys "parameter" and "default".',
    ),
    "json_type": (
        'Give the type of `{detail}` in {name} as a JSON object with the keys "parameter" and "type".',
        'Which type has `{detail}` in {name}? Answer only with JSON that has the keys "parameter" and "type".',
    ),
    "json_parameters": (
        'List the parameters of {name} as a JSON object with the keys "name" and "parameters" (a list of names).',
        'Answer only with JSON that has the keys "name" and "parameters" (a list): which parameters does {name} take?',
    ),
    "json_purpose": (
        'Describe {name} as a JSON object with the keys "name" and "purpose" (one sentence).',
        'What is {name} for? Answer only with JSON that has the keys "name" and "purpose".',
    ),
    "absent_parameter": (
        "What is the default value of `{detail}` in {name}?",
        "What does the parameter `{detail}` of {name} do?",
        "Which type does the parameter `{detail}` of {name} accept?",
        "If I don't pass `{detail}` to {name}, which value is used?",
    ),
    "absent_method": (
        "What does {name}.{detail} do?",
        "Which parameters does {name}.{detail} take?",
        "What does {name}.{detail} return?",
    ),
    "prose_purpose": (
        'What does "{title}" say about {name}?',
        'According to "{title}", what should I know about {name}?',
    ),
    "prose_number": (
        'In "{title}", which number belongs into the gap: "{detail}"',
        'Which number is missing from this sentence of "{title}": "{detail}"',
    ),
    "prose_date": (
        'From which day is "{title}" {state}?',
        'On which day does "{title}" become {state}?',
    ),
    "prose_which": (
        'Which document says: "{value}"',
        'In which document do I find this: "{value}"',
    ),
    "json_number": (
        'Fill the gap in "{detail}" from "{title}". Answer as a JSON object with the keys "document" and "value".',
    ),
    "json_date": ('From which day is "{title}" {state}? Answer as a JSON object with the keys "document" and "date".',),
    "absent_heading": (
        'What does "{title}" say about {detail}?',
        'What are the rules on {detail} in "{title}"?',
    ),
}


def phrased(kind: str, seed: int, /, **words: str) -> str:
    """The question of a kind with its words filled in."""
    choices = PHRASES[kind]
    return choices[rank(seed, kind, *words.values()) % len(choices)].format(**words)


def rank(seed: int, *parts: str) -> int:
    """A number from a seed and some words: the same everywhere, and unrelated for other words."""
    return int.from_bytes(hashlib.blake2b("\0".join((str(seed), *parts)).encode(), digest_size=8).digest(), "big")
