"""The search for settings as the report tells it: its trials, and what mattered."""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metier.records import Trial
from metier.training.space import Dimension

SHOWN = 50  # trials in the table, the best ones
SCORE, LOSS = "dev exam", "validation loss"


@dataclass(frozen=True)
class Tuning:
    """A finished search. Of the trials the first is the winner, better ones stand before worse ones."""

    trials: Sequence[Trial]
    space: Sequence[Dimension]
    importances: Mapping[str, float]  # largest first; empty where there is nothing to say
    seconds: Mapping[str, float]  # of each trial, by its id

    @property
    def states(self) -> dict[str, int]:
        """Trials by what became of them."""
        counted: collections.Counter[str] = collections.Counter(one.state for one in self.trials)
        return {state: counted[state] for state in ("complete", "pruned", "failed") if counted[state]}

    @property
    def shown(self) -> Sequence[Trial]:
        """Those in the table."""
        return self.trials[:SHOWN]

    @property
    def aim(self) -> str:
        """What trials are compared by."""
        return LOSS if all(one.score is None for one in self.trials) else SCORE


def tuning_of(trials: Sequence[Trial], search: Mapping[str, Any]) -> Tuning:
    """From the table of trials and search.json."""
    space = [Dimension(**one | {"choices": tuple(one["choices"])}) for one in search["space"]]
    shares = dict(sorted(search["importances"].items(), key=lambda pair: -pair[1]))  # JSON sorted them by name
    return Tuning(trials, space, shares, search["seconds"])


def settings_of(trial: Trial) -> dict[str, Any]:
    """A trial's settings by name."""
    return {one.name: json.loads(one.value) for one in trial.settings}


def setting_text(value: Any) -> str:
    """A setting as it is read."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
