"""A merge under examination: the dev exam sat by the adapter as it was trained, beside the full base, and merged.

A qlora adapter learnt beside weights in 4 bits and is merged onto the full ones: it mends errors of rounding that are no
longer there. That is mostly harmless, and sometimes ruins the model; so it is measured, and said in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from metier.errors import InputError
from metier.evaluation.sittings import Change, Sitting, change
from metier.training.attach import attached, is_adapter, tokenizer_of
from metier.training.merge import Merged, Onto, free, merge

if TYPE_CHECKING:
    from metier.training.dev_exam import DevQuestion

Form = Literal["beside_rounded", "beside_full", "merged"]
NAMES: dict[Form, str] = {
    "beside_rounded": "adapter beside the base in 4 bits",
    "beside_full": "adapter beside the base in full precision",
    "merged": "merged",
}


@dataclass(frozen=True)
class Job:
    """What is merged, and how it is examined. `method`: how the adapter was trained, empty where nobody knows."""

    base: Path
    adapter: Path
    output: Path
    method: str = ""
    onto: Onto = "full"
    questions: Sequence[DevQuestion] = ()
    max_tokens: int = 48
    device: str = "cpu"

    @property
    def beside(self) -> Form:
        """The adapter beside the very weights that it is folded into."""
        return "beside_rounded" if self.onto == "rounded" else "beside_full"


def _silent(done: int, total: int, what: str) -> None:
    return None


def merged_and_examined(job: Job, progress: Callable[[int, int, str], None] = _silent) -> dict[str, Any]:
    """Merges; gives what merge.json holds. One model is in memory at a time. Raises what `merge` raises."""
    if job.onto == "rounded" and job.method not in ("", "qlora"):
        raise InputError(f"merge.onto rounded is for adapters that qlora trained; this one was trained by {job.method}")
    sat: dict[Form, Sitting] = {}
    examines = bool(job.questions) and is_adapter(job.adapter)
    forms = 3 if job.method == "qlora" else 2

    def sit(form: Form, model: Any) -> None:
        if examines:
            sat[form] = sitting(model, job)
            progress(len(sat), forms, "models examined")

    if examines and job.method == "qlora":
        other: Form = "beside_full" if job.onto == "rounded" else "beside_rounded"
        model, _ = attached(job.base, job.adapter, job.device, rounded=other == "beside_rounded")
        sit(other, model)
        del model
        free()
    found = merge(
        job.base,
        job.adapter,
        job.output,
        onto=job.onto,
        device=job.device,
        seen=lambda merged, model: sit("merged" if merged else job.beside, model),
    )
    return described(job, found, sat)


def sitting(model: Any, job: Job) -> Sitting:
    """The dev exam as a model in memory sits it."""
    from metier.training.dev_exam import answered

    found = answered(model, tokenizer_of(job.base, job.adapter), job.questions, job.max_tokens)
    return Sitting(tuple(score for _, score in found), tuple(text for text, _ in found))


def described(job: Job, found: Merged, sat: dict[Form, Sitting]) -> dict[str, Any]:
    """The comparison as JSON: distances of logits, one row for each form that sat the exam, and the words."""
    told = asdict(found) | {"method": job.method, "onto": job.onto, "exam": [], "worse": False}
    if not is_adapter(job.adapter):
        return told | {"text": "All weights were trained: there was nothing to merge."}
    if not sat:
        far = found.from_adapter / found.largest_logit
        return told | {"text": f"Merged, and not examined: logits differ by {far:.1e} of the largest ({found.dtype})."}
    changes = {form: change(one, sat["merged"]) for form, one in sat.items()}
    trained = changes["beside_rounded" if "beside_rounded" in sat else "beside_full"]
    rows = [_row(form, sat[form], changes[form]) for form in NAMES if form in sat]
    return told | {"exam": rows, "worse": trained.worse, "text": verdict(job, found, sat)}


def _row(form: Form, one: Sitting, to_merged: Change) -> dict[str, Any]:
    gap = to_merged.difference
    return {"form": form, "name": NAMES[form], "questions": len(one.scores), "score": one.score, "error": one.error,
            "difference": gap.mean, "low": gap.low, "high": gap.high, "same_answers": to_merged.same_answers}  # fmt: skip


def verdict(job: Job, found: Merged, sat: dict[Form, Sitting]) -> str:
    """What merging cost against the adapter as it was trained, and what to do where that is more than chance."""
    merged, trained = sat["merged"], sat.get("beside_rounded") or sat["beside_full"]
    whole, folded = change(trained, merged), change(sat[job.beside], merged)
    text = f"{_cost(whole)}: {trained.score:.2f} before, {merged.score:.2f} merged ({_certainty(whole)})."
    if "beside_rounded" in sat and "beside_full" in sat:
        text += (
            " The adapter was trained beside weights in 4 bits; beside the base in full precision it scores "
            f"{sat['beside_full'].score:.2f}."
        )
    if whole.worse:
        text += f" {_remedy(job, found, folded)}"
    return text


def _cost(whole: Change) -> str:
    mean = whole.difference.mean
    if whole.worse:
        return f"Merging costs {-mean:.2f}, which chance does not explain"
    if whole.better:
        return f"Merging gains {mean:.2f}"
    if whole.difference.low == whole.difference.high == 0:
        return "Merging costs nothing"
    return "Merging costs nothing that this exam shows"


def _certainty(whole: Change) -> str:
    gap, same = whole.difference, round(whole.same_answers * whole.questions)
    apart = (
        f"difference {gap.mean:+.2f}, 95 % interval {gap.low:+.2f} to {gap.high:+.2f}, " if gap.low or gap.high else ""
    )
    return f"{apart}{same} of {whole.questions} answers are the same"


def _remedy(job: Job, found: Merged, folded: Change) -> str:
    if folded.worse or job.beside == "beside_rounded" or job.method != "qlora":
        return (
            f"Rounding to {found.dtype} loses what the adapter adds ({found.rounding:.0%} of it): train longer, at a higher "
            "learning rate, or on a base that is stored in float32."
        )
    return (
        "The base in full precision is not the one that it was trained beside: set merge.onto to rounded, or train with "
        "method lora."
    )
