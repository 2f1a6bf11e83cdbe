from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from metier.inference.transformers_engine import load_tokenizer
from metier.records import Question
from metier.retrieval.prompt import ABSTENTION, prompt_messages
from metier.training.course import DevScore
from metier.training.dev_exam import DevQuestion, dev_exam
from metier.training.engine import Peers
from tests.fixtures.tiny_model import make_tiny_model

QUESTIONS = [
    Question(prompt="What is the limit?", reference="100", points=("100",), slice="numeric", task="default", split="dev"),
    Question(prompt="Who wrote it?", reference=ABSTENTION, points=(), slice="unanswerable", task="unanswerable",
             split="dev", answerable=False),
    Question(prompt="And the other?", reference="7", points=("7",), slice="numeric", task="default", split="dev"),
]  # fmt: skip
ASKED = [DevQuestion(q, prompt_messages(q.prompt, ())) for q in QUESTIONS]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])


@pytest.fixture(scope="module")
def abstaining(base):
    """The engine of a model that answers by rote, so that words, refusals and score are known."""
    tokenizer = load_tokenizer(str(base))
    said = tokenizer(ABSTENTION)["input_ids"] + [tokenizer.eos_token_id]
    plain = AutoModelForCausalLM.from_pretrained(base)

    class Parrot:
        device, config, generation_config = torch.device("cpu"), plain.config, plain.generation_config
        asked = 0

        def generate(self, input_ids, **how):
            Parrot.asked += len(input_ids)
            return torch.cat([input_ids, torch.tensor([said] * len(input_ids))], dim=1)

    def engine(peers: Peers) -> SimpleNamespace:
        return SimpleNamespace(peers=peers, device="cpu", collective=False, parrot=Parrot,
                               generating=lambda: contextlib.nullcontext(Parrot()))  # fmt: skip

    return engine, tokenizer


def test_the_model_in_memory_is_graded_as_the_real_exam_grades(abstaining):
    engine, tokenizer = abstaining
    scored = dev_exam(ASKED[:2], tokenizer, max_tokens=64)(engine(Peers()))
    assert scored == DevScore(
        score=0.5, error=pytest.approx(0.408, abs=0.001), answer_words=len(ABSTENTION.split()), refusal_share=1.0
    )


def test_workers_answer_a_share_each_equally_many_and_none_counts_twice(abstaining):
    engine, tokenizer = abstaining
    sent: list[torch.Tensor] = []
    answered = []
    for rank in range(2):
        one = engine(Peers(rank, 2, lambda t: sent.append(t.clone())))
        one.parrot.asked = 0
        dev_exam(ASKED, tokenizer, max_tokens=64)(one)
        answered.append(one.parrot.asked)
    assert answered == [2, 2]  # three questions: one of the answers is thrown away
    together = dict(zip(("score", "squares", "words", "refused"), (sent[0] + sent[1]).tolist(), strict=True))
    assert together == {"score": 1.0, "squares": 1.0, "words": 3.0 * len(ABSTENTION.split()), "refused": 3.0}
