"""All stages by name: the index of what Metier can do, in the order of a document's way."""

from __future__ import annotations

from typing import Any

from metier.execution.step import Stage
from metier.stages import (
    anonymise,
    blend,
    chunk,
    decontaminate,
    deduplicate,
    deduplicate_semantic,
    exam,
    filter,
    gate,
    import_dialogues,
    index,
    ingest,
    merge,
    quantise,
    questions,
    register,
    report,
    review,
    screen,
    smoke,
    split,
    supersede,
    synthesise,
    train,
    tune,
)

STAGES: dict[str, Stage[Any]] = {
    stage.name: stage
    for stage in (
        ingest.STAGE,
        screen.STAGE,
        anonymise.STAGE,
        supersede.STAGE,
        deduplicate.DOCUMENTS,
        split.STAGE,
        chunk.STAGE,
        index.STAGE,
        questions.STAGE,
        synthesise.STAGE,
        import_dialogues.STAGE,
        anonymise.DIALOGUES,
        deduplicate.STAGE,
        deduplicate_semantic.STAGE,
        filter.STAGE,
        review.STAGE,
        decontaminate.STAGE,
        tune.STAGE,
        blend.STAGE,
        train.STAGE,
        merge.STAGE,
        quantise.STAGE,
        exam.STAGE,
        gate.STAGE,
        register.STAGE,
        smoke.STAGE,
        report.STAGE,
    )
}
