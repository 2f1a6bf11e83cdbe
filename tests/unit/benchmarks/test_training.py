from __future__ import annotations

from benchmarks.training import orchestration


def test_speed_counts_after_the_warm_up_and_between_start_and_end():
    warm = orchestration.WARM
    marks = [100.0 + i for i in range(warm)] + [100.0 + warm + 1, 100.0 + warm + 3]
    found = orchestration._figures(90.0, marks, [1000] * warm + [400, 600], ended=130.0)
    training = marks[-1] - marks[warm - 1]
    assert found["tokens_per_second"] == round(1000 / training, 1)
    assert found["start_seconds"] + found["training_seconds"] + found["end_seconds"] == 40.0
    assert found["median_step_seconds"] == 2.0


def test_the_cost_is_what_orchestration_takes_of_the_bare_loops_speed():
    lines = [{"kind": "bare", "tokens_per_second": 100.0}, {"kind": "orchestrated", "tokens_per_second": 97.0}] * 2
    assert orchestration.summary(lines)["cost_percent"] == 3.0
