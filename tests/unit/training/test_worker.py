from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from metier.records import Question
from metier.retrieval.prompt import ABSTENTION, prompt_messages
from metier.training import checkpoints, worker
from metier.training.encoding import Example
from metier.training.gradient import Peers
from metier.training.model import FullMethod, QloraMethod
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import make_job


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])


def result(folder) -> dict:
    return json.loads((folder / worker.RESULT).read_text())


def test_a_job_leaves_the_best_adapter_with_its_tokenizer(base, tmp_path):
    from peft import PeftModel

    folder = make_job(tmp_path / "job", base)
    worker.work(folder, Peers(), "cpu")
    made = result(folder)
    assert made["best_step"] in [p["step"] for p in made["history"]["points"]]
    assert 0 < made["trainable"] < made["total"]
    names = {p.name for p in (folder / worker.ADAPTER).iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= names
    kept = load_file(checkpoints.folder_of(folder / worker.CHECKPOINTS, made["best_step"]) / checkpoints.ADAPTER)
    saved = load_file(folder / worker.ADAPTER / "adapter_model.safetensors")
    assert sorted(float(v.sum()) for v in kept.values()) == sorted(float(v.sum()) for v in saved.values())
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder / worker.ADAPTER)


@pytest.mark.parametrize("packing", ["padded", "rows"])
def test_an_adapter_beside_4_bit_weights_loads_onto_the_full_base(base, tmp_path, packing):
    from peft import PeftModel

    folder = make_job(tmp_path / "job", base, method=QloraMethod(rank=4), packing=packing)
    worker.work(folder, Peers(), "cpu")
    made = result(folder)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert made["total"] == sum(p.numel() for p in plain.parameters()) + made["trainable"]
    assert made["fit"] is None
    PeftModel.from_pretrained(plain, folder / worker.ADAPTER)


def test_full_training_leaves_a_whole_model(base, tmp_path):
    folder = make_job(tmp_path / "job", base, method=FullMethod(), learning_rate=1e-3)
    worker.work(folder, Peers(), "cpu")
    made = result(folder)
    assert made["trainable"] == made["total"]
    trained = AutoModelForCausalLM.from_pretrained(folder / worker.ADAPTER, dtype=torch.float32)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    moved = [float((a - b).detach().abs().max()) for a, b in zip(trained.parameters(), plain.parameters(), strict=True)]
    assert min(moved) > 0
    history = made["history"]["losses"]
    assert history[-1][1] < history[0][1]


def test_each_checkpoint_carries_validation_loss_and_dev_exam(base, tmp_path):
    folder = make_job(tmp_path / "job", base)
    worker.work(folder, Peers(), "cpu")
    for point in result(folder)["history"]["points"]:
        assert point["val_loss"] > 0
        assert 0 <= point["dev_score"] <= 1
        assert 0 <= point["refusal_share"] <= 1


def test_without_dev_questions_the_validation_loss_decides(base, tmp_path):
    folder = make_job(tmp_path / "job", base, questions=0)
    worker.work(folder, Peers(), "cpu")
    points = result(folder)["history"]["points"]
    assert {p["dev_score"] for p in points} == {None}
    assert result(folder)["best_step"] == min(points, key=lambda p: p["val_loss"])["step"]


def test_progress_is_there_to_be_followed_step_by_step(base, tmp_path):
    folder = make_job(tmp_path / "job", base)
    worker.work(folder, Peers(), "cpu")
    said = [json.loads(line) for line in (folder / worker.PROGRESS).read_text().splitlines()]
    assert [done for done, _, _ in said] == list(range(1, said[0][1] + 1))
    assert said[0][2].startswith("steps, loss ")


def test_a_failure_of_ours_becomes_the_result(base, tmp_path):
    folder = make_job(tmp_path / "job", base, dialogues=0)
    worker.work(folder, Peers(), "cpu")
    assert result(folder) == {
        "error": "StepError",
        "text": "training: no token of the training set carries a label, so the loss would cover nothing",
    }


def test_the_dev_exam_grades_what_the_model_in_memory_answers(base):
    """The stand-in answers by rote, so that words, refusals and score are known."""
    questions = [
        Question(prompt="What is the limit?", reference="100", points=("100",), slice="numeric", task="default", split="dev"),
        Question(prompt="Who wrote it?", reference=ABSTENTION, points=(), slice="unanswerable", task="unanswerable",
                 split="dev", answerable=False),
    ]  # fmt: skip
    asked = [worker.DevQuestion(q, prompt_messages(q.prompt, ())) for q in questions]

    from metier.inference.transformers_engine import load_tokenizer

    tokenizer = load_tokenizer(str(base))
    said = tokenizer(ABSTENTION)["input_ids"] + [tokenizer.eos_token_id]

    class Parrot:
        device = torch.device("cpu")
        config = AutoModelForCausalLM.from_pretrained(base).config
        generation_config = AutoModelForCausalLM.from_pretrained(base).generation_config

        def generate(self, input_ids, **how):
            return torch.cat([input_ids, torch.tensor([said] * len(input_ids))], dim=1)

    scored = worker.dev_exam(asked, tokenizer, max_tokens=64)(Parrot())
    assert scored == worker.DevScore(
        score=0.5, error=pytest.approx(0.408, abs=0.001), answer_words=len(ABSTENTION.split()), refusal_share=1.0
    )


def test_what_is_not_ours_is_not_hidden(tmp_path):
    (tmp_path / worker.JOB).write_text("{}")
    with pytest.raises(KeyError):
        worker.work(tmp_path, Peers(), "cpu")
    assert not (tmp_path / worker.RESULT).exists()


def test_a_text_with_a_line_separator_of_its_own_stays_one_row(tmp_path):
    row = Example([1, 2], [1, 2])
    path = tmp_path / "rows.jsonl"
    asked = Question(prompt="a\u2028b\u0085c", reference="", points=("x",), slice="factual", task="t", split="dev")
    worker.write_rows(path, [worker.DevQuestion(asked, ()), row])
    assert [r.get("question", {}).get("prompt") for r in worker._rows(path)] == [asked.prompt, None]
