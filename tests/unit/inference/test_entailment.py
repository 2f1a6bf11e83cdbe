"""Scores of a real small model: right, the same in any batch, and refused where it is no NLI model."""

from __future__ import annotations

import itertools
import json

import pytest

from metier.errors import InputError
from metier.inference.entailment import label_of, scorer
from tests.fixtures.nli_model import COLOURS, LABELS, THINGS, make_nli, said


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_nli(tmp_path_factory.mktemp("nli")))


def test_it_tells_contradictions_by_the_label_of_that_name(model):
    assert label_of(model) == 2
    cases = list(itertools.product(THINGS, COLOURS, COLOURS))
    scores = scorer(model)([(said(t, a), said(t, b)) for t, a, b in cases])
    assert all((score > 0.9) is (a != b) for (_, a, b), score in zip(cases, scores, strict=True))


def test_batches_and_lengths_change_no_score(model):
    pairs = [(said(t, "amber") + " is" * (i % 5), said(t, "cobalt")) for i, t in enumerate(THINGS * 8)]
    together = scorer(model)(pairs)
    assert together == pytest.approx([scorer(model)([pair])[0] for pair in pairs], abs=1e-5)
    assert scorer(model)([]) == []


def test_what_is_longer_than_the_model_reads_is_cut(model):
    (score,) = scorer(model)([("door " * 500, "door " * 500)])
    assert 0 <= score <= 1


def test_a_model_without_such_a_label_is_refused(model, tmp_path):
    other = make_nli(tmp_path / "other", {0: "good", 1: "bad", 2: "so so"})
    with pytest.raises(InputError, match=r"labels \(bad, good, so so\) none is 'contradiction'"):
        label_of(str(other))
    described = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(described | {"id2label": LABELS, "model_type": "abacus"}))
    with pytest.raises(InputError, match="no sequence classifier"):
        scorer(str(other))
