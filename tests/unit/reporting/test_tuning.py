"""What the report says of a search."""

from __future__ import annotations

import dataclasses
import json

from metier.records import Setting, Trial
from metier.reporting.tuning import LOSS, SCORE, Tuning, setting_text, settings_of, tuning_of
from metier.training.space import Dimension


def trial(state="complete", score=0.5, loss=1.0, **settings) -> Trial:
    named = tuple(Setting(name=name, value=json.dumps(value)) for name, value in settings.items())
    return Trial(settings=named, state=state, checkpoints=2, score=score, val_loss=loss)


def test_a_search_is_read_as_it_was_written():
    space = [Dimension("learning_rate", 1e-4, 1e-2, log=True), Dimension("method.rank", choices=(8, 16))]
    trials = [trial(learning_rate=1e-3)]
    written = {
        "space": [dataclasses.asdict(one) for one in space],
        "importances": {"a": 0.2, "b": 0.8},
        "seconds": {"x": 2},
    }
    read = tuning_of(trials, json.loads(json.dumps(written)))
    assert (read.space, read.trials, read.seconds) == (space, trials, {"x": 2})
    assert list(read.importances.items()) == [("b", 0.8), ("a", 0.2)]


def test_trials_are_counted_by_what_became_of_them():
    told = Tuning([trial(), trial("failed", None), trial("pruned"), trial("pruned", 0.1)], [], {}, {})
    assert told.states == {"complete": 1, "pruned": 2, "failed": 1}
    assert list(told.states) == ["complete", "pruned", "failed"]


def test_without_an_exam_the_loss_is_the_aim():
    assert Tuning([trial(score=None)], [], {}, {}).aim == LOSS
    assert Tuning([trial(), trial("failed", None)], [], {}, {}).aim == SCORE


def test_settings_are_read_as_people_write_them():
    assert settings_of(trial(rank=8, method="lora", share=0.25)) == {"rank": 8, "method": "lora", "share": 0.25}
    assert [setting_text(v) for v in (0.000412345, 16, "lora", True)] == ["0.000412", "16", "lora", "True"]
