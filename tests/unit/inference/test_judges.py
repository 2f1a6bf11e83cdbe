"""What a judge is shown, and what its reply makes of an open pair."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from metier.inference.judges import JudgeConfig, LlmJudge, NliJudge, NoJudge, answered, asked, inferred
from metier.inference.protocol import Response
from metier.text.claims import Contradiction, claim_of, left_open
from tests.fixtures.stage_alone import dialogue

LLM = LlmJudge()


def opened(first="The valve is amber. It is old.", second="Cobalt is the colour of the valve.", **fields):
    rows = [dialogue("Which colour has the valve?", a, **f) for a, f in ((first, fields), (second, {}))]
    found = left_open(*(claim_of(d, answers=True) for d in rows), 0.0)
    assert found
    return found


def reply(text: str, error: str = "") -> Response:
    return Response("0", text, 1, 1, "stop", error)


def test_the_config_is_a_tagged_union_and_its_template_settled():
    read = TypeAdapter(JudgeConfig).validate_python
    assert isinstance(read({"judge": "none"}), NoJudge)
    assert read({"judge": "nli", "min_probability": 0.5}) == NliJudge(min_probability=0.5)
    assert read({"judge": "llm"}).template.startswith("contradiction@")
    with pytest.raises(ValidationError, match="no prompt template 'sentence-question'; there are: contradiction"):
        read({"judge": "llm", "template": "sentence-question"})


def test_a_language_model_sees_both_questions_and_all_sentences_numbered():
    (request,) = asked([opened()], LLM)
    shown = request.messages[-1].content
    assert "A: Which colour has the valve?\nA1. The valve is amber.\nA2. It is old.\nB: Which" in shown
    assert "B1. Cobalt is the colour of the valve." in shown
    assert (request.temperature, request.max_tokens) == (0.0, LLM.max_tokens)


def test_yes_names_the_sentences_the_model_and_the_words_it_was_asked_in():
    found = answered(opened(effective="2025-01-01"), reply("Yes A2, B1."), LLM, "m@1")
    assert isinstance(found, Contradiction)
    assert (found.first_sentence, found.second_sentence) == ("It is old.", "Cobalt is the colour of the valve.")
    assert found.by == "effective"
    ((_, evidence),) = found.evidence()
    assert f"(yes to {LLM.template}, says language model m@1), which is newer (effective 2025-01-01)" in evidence


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no", "no"),
        ("No.", "no"),
        ("yes", "unclear"),  # which sentences?
        ("yes A3 B1", "unclear"),  # there is no A3
        ("yes A1", "unclear"),
        ("yes A0 B1", "unclear"),
        ("They may differ.", "unclear"),
        ("no, but yes A1 B1", "unclear"),
        ("", "unclear"),
    ],
)
def test_what_is_no_clear_yes_counts_as_no(text, kind):
    assert answered(opened(), reply(text), LLM, "m") == kind


def test_a_failed_request_is_told_apart():
    assert answered(opened(), reply("yes A1 B1", "timeout"), LLM, "m") == "failed"


@pytest.mark.parametrize(("scores", "count"), [((0.95, 0.93), 1), ((0.99, 0.5), 0), ((0.2, 0.99), 0)])
def test_an_nli_model_has_to_be_sure_in_both_directions(scores, count):
    directions = iter(scores)
    seen = []

    def score(pairs):
        seen.extend(pairs)
        return [next(directions)] * len(pairs)

    found = list(inferred([opened()], score, NliJudge(), "abc"))
    assert len(found) == count
    assert seen[0] == seen[1][::-1]
    assert all("Which colour has the valve?" in text for text in seen[0])
    if found:
        assert (found[0].why, found[0].found_by) == ("contradiction 0.93", "NLI model abc")
        assert len(list(found[0].evidence())) == 2
