"""An answer says what its source says, or what is foreign in it is named."""

from __future__ import annotations

import pytest

from metier.text.grounding import foreign_numbers, plain, ungrounded

EVIDENCE = "- `batch_size` (int | None, default 256): Rows in each batch. A replica keeps three models, see Dataset.map_batches."
QUESTION = "What is the default of `batch_size` in ray.data.Dataset.iter_batches?"


@pytest.mark.parametrize(
    "answer",
    [
        "256",
        "If you leave it out, `batch_size` is `256`.",
        '{"parameter": "batch_size", "default": 256}',
        '```json\n{"default": 256.0}\n```',
        "Each batch has 256 rows.",
        "A replica keeps 3 models.",
        "See `ray.data.Dataset.map_batches`.",
        "It is None or an int.",
    ],
)
def test_what_the_source_says_is_grounded(answer):
    assert ungrounded(answer, QUESTION, EVIDENCE, 0.6) == ""


@pytest.mark.parametrize(
    ("answer", "foreign"),
    [
        ("25", "25"),
        ("The default is 512.", "512"),
        ("`prefetch_batches` is 256.", "prefetch_batches"),
        ("It is True.", "true"),
        ('{"default": -256}', "-256"),
        ("Use ray.data.Dataset.to_torch.", "ray.data.dataset.to_torch"),
        ("Shuffling happens asynchronously across distributed workers.", "shuffling"),
    ],
)
def test_what_is_foreign_is_named(answer, foreign):
    assert foreign in ungrounded(answer, QUESTION, EVIDENCE, 0.6)


def test_the_share_decides_about_words_only():
    answer = "Rows in each batch arrive shuffled."
    assert ungrounded(answer, QUESTION, EVIDENCE, 0.9)
    assert not ungrounded(answer, QUESTION, EVIDENCE, 0.3)
    assert ungrounded(answer + " 17", QUESTION, EVIDENCE, 0.0)


def test_of_a_json_answer_its_values_count():
    assert plain('{"a": [1, {"b": null}], "c": true}') == "1\nNone\nTrue"
    assert plain("256") == "256"
    assert plain("{not json") == "{not json"


def test_numbers_that_the_source_does_not_hold_are_named():
    assert (
        foreign_numbers("It is 512, not 256, since 2025-01-31.", QUESTION, EVIDENCE)
        == "not in the source: 2025-01-31, 512"
    )
    assert foreign_numbers("256.0 rows, and 3 models", QUESTION, EVIDENCE) == ""
    assert foreign_numbers("Shuffling happens asynchronously.", QUESTION, EVIDENCE) == ""
