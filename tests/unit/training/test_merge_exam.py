"""The dev exam of a merge, and the words for what it shows."""

from __future__ import annotations

import dataclasses

import pytest
from safetensors.torch import load_file, save_file

from metier.errors import InputError
from metier.evaluation.sittings import Sitting
from metier.retrieval.prompt import prompt_messages
from metier.training.attach import attached
from metier.training.dev_exam import DevQuestion
from metier.training.merge import Merged
from metier.training.merge_exam import Job, described, merged_and_examined, sitting, verdict
from tests.fixtures.tiny_adapter import make_tiny_adapter
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import tiny_questions

FOUND = Merged(from_adapter=0.2, from_base=2.0, largest_logit=30.0, layers=7, dtype="bfloat16", rounding=0.41)


def sensitive(base):
    """Larger weights: rounding them changes answers."""
    file = base / "model.safetensors"
    weights = {name: one * 5 if "proj" in name else one for name, one in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    return base


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    base = sensitive(make_tiny_model(folder / "base", ["The limit is 100 units."]))
    asked = [DevQuestion(q, prompt_messages(q.prompt, ())) for q in tiny_questions(3)]
    adapter = make_tiny_adapter(base, folder / "adapter")
    return Job(base, adapter, folder / "model", questions=asked, max_tokens=16)


def plain(**fields):
    return dataclasses.replace(Job(base=None, adapter=None, output=None), **fields)


def sat(right: int, of: int = 32) -> Sitting:
    scores = [1.0] * right + [0.0] * (of - right)
    return Sitting(tuple(scores), tuple(map(str, scores)))


def test_qlora_sits_three_times_each_time_with_the_weights_that_it_says(job):
    told = []
    made = merged_and_examined(dataclasses.replace(job, method="qlora"), lambda *said: told.append(said))
    assert [row["form"] for row in made["exam"]] == ["beside_rounded", "beside_full", "merged"]
    assert [row["same_answers"] for row in made["exam"]][1:] == [1.0, 1.0]
    assert told == [(i, 3, "models examined") for i in (1, 2, 3)]
    rounded, _ = attached(job.base, job.adapter, "cpu", rounded=True)
    full, _ = attached(job.base, job.adapter, "cpu")
    answers = sitting(rounded, job).answers, sitting(full, job).answers
    same = [a == b for a, b in zip(*answers, strict=True)]
    assert made["exam"][0]["same_answers"] == sum(same) / 3 < 1


def test_merged_onto_rounded_weights_it_answers_as_it_was_trained(job):
    made = merged_and_examined(dataclasses.replace(job, method="qlora", onto="rounded"))
    shares = {row["form"]: row["same_answers"] for row in made["exam"]}
    assert shares["beside_rounded"] == shares["merged"] == 1 > shares["beside_full"]


@pytest.mark.parametrize("method", ["lora", ""])
def test_beside_the_base_and_merged_is_all_there_is_where_nothing_was_rounded(job, method):
    made = merged_and_examined(dataclasses.replace(job, method=method))
    assert [row["form"] for row in made["exam"]] == ["beside_full", "merged"]
    assert made["exam"][0]["questions"] == 3
    assert made["text"].startswith("Merging costs nothing: 0.00 before, 0.00 merged (3 of 3 answers are the same).")


def test_without_questions_the_logits_speak(job):
    made = merged_and_examined(dataclasses.replace(job, questions=()))
    assert (made["exam"], made["worse"]) == ([], False)
    assert made["text"].startswith("Merged, and not examined: logits differ by ")


def test_rounding_the_base_is_for_qlora_alone(job):
    with pytest.raises(InputError, match="merge.onto rounded is for adapters that qlora trained; .* by lora"):
        merged_and_examined(dataclasses.replace(job, method="lora", onto="rounded"))


def test_a_fall_that_the_full_base_brings_says_so_and_what_to_do():
    found = {"beside_rounded": sat(17), "beside_full": sat(5), "merged": sat(5)}
    text = verdict(plain(method="qlora"), FOUND, found)
    assert text.startswith(
        "Merging costs 0.38, which chance does not explain: 0.53 before, 0.16 merged (difference -0.38"
    )
    assert "beside the base in full precision it scores 0.16." in text
    assert text.endswith("set merge.onto to rounded, or train with method lora.")


@pytest.mark.parametrize("method", ["qlora", "lora"])
def test_a_fall_that_the_written_format_brings_is_laid_to_it(method):
    found = {"beside_full": sat(17), "merged": sat(5)} | ({"beside_rounded": sat(17)} if method == "qlora" else {})
    text = verdict(plain(method=method), FOUND, found)
    assert "Rounding to bfloat16 loses what the adapter adds (41% of it): train longer" in text
    assert "merge.onto" not in text


def test_a_fall_within_noise_is_no_alarm(job):
    made = described(job, FOUND, {"beside_full": sat(17), "merged": sat(16)})
    assert made["worse"] is False
    assert made["text"] == (
        "Merging costs nothing that this exam shows: 0.53 before, 0.50 merged (difference -0.03, 95 % interval -0.09 to "
        "+0.00, 31 of 32 answers are the same)."
    )
    assert described(job, FOUND, {"beside_full": sat(17), "merged": sat(5)})["worse"] is True


def test_a_rise_is_told_as_one():
    assert verdict(plain(), FOUND, {"beside_full": sat(5), "merged": sat(17)}).startswith(
        "Merging gains 0.38: 0.16 before"
    )
