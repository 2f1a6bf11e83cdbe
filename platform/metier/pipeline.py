"""The whole lifecycle on one screen: which stage feeds which. Only calls; nothing here runs anything."""

from __future__ import annotations

from metier.execution.step import Source, Step
from metier.experiment import Experiment
from metier.lineage.source import PathSource
from metier.models import ModelSource
from metier.retrieval.embedding import EmbedderSource
from metier.stages import (
    anonymise,
    blend,
    chunk,
    decontaminate,
    deduplicate,
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
from metier.text.name_models import NameModelSource


def lifecycle(e: Experiment) -> list[Step]:
    """What an experiment is run for: its report, and a release that was seen to answer. The rest is what these need."""
    c, on = e.stages, e.resources.of
    base, embedder = ModelSource(e.models.base), EmbedderSource(e.models.embedder)
    teacher = ModelSource(e.models.teacher or e.models.base)

    # documents: read, screened, made anonymous, rid of copies, and split before anything is written from them
    read = ingest.STAGE.step(c.ingest, on("ingest"), sources=ingest.DocumentSources(e.sources))
    worthy = screen.STAGE.step(c.screen, on("screen"), documents=read)
    names = NameModelSource(e.models.names) if e.models.names else None
    anonymous = anonymise.STAGE.step(c.anonymise, on("anonymise"), documents=worthy, names=names)
    dated = supersede.STAGE.step(c.supersede, on("supersede"), documents=anonymous)
    single = deduplicate.DOCUMENTS.step(c.deduplicate_documents, on("deduplicate_documents"), documents=dated)
    documents = split.STAGE.step(c.split, on("split"), documents=single, clusters=single, superseded=dated)
    passages = chunk.STAGE.step(c.chunk, on("chunk"), documents=documents)
    search = index.STAGE.step(c.index, on("index"), passages=passages, embedder=embedder)
    asked = questions.STAGE.step(c.questions, on("questions"), documents=documents, written=_file(e.exam))

    # pairs: written from the training documents, joined by what people asked, then kept or rejected with a reason
    written = synthesise.STAGE.step(
        c.synthesise, on("synthesise"), documents=documents, passages=passages, model=teacher
    )
    private = anonymise.DIALOGUES.step(
        c.anonymise, on("anonymise"), dialogues=written, documents=anonymous, names=names
    )
    logs = _logs(e, names)
    distinct = deduplicate.STAGE.step(c.deduplicate, on("deduplicate"), dialogues=[private, *logs[-1:]])
    judge = ModelSource(e.models.judge) if e.models.judge else None
    sound = filter.STAGE.step(
        c.filter, on("filter"), dialogues=distinct, superseded=dated, embedder=embedder, judge=judge
    )
    reviewed = review.STAGE.step(c.review, on("review"), dialogues=sound, verdicts=_file(e.verdicts))
    unseen = decontaminate.STAGE.step(
        c.decontaminate, on("decontaminate"), dialogues=reviewed, questions=asked, embedder=embedder
    )
    best = tune.STAGE.step(tune.Config(**dict(c.tune), blend=c.blend, train=c.train), on("tune"), dialogues=unseen,
                           passages=passages, index=search, embedder=embedder, questions=asked, base=base,
                           ) if c.tune.search else None  # fmt: skip
    pairs = blend.STAGE.step(c.blend, on("blend"), dialogues=unseen, passages=passages, index=search, embedder=embedder,
                             settings=best if c.tune.searches_blend else None)  # fmt: skip

    # the model: what prompting alone gives, then training, merging, quantising
    def examined(candidate: str, modes: tuple[str, ...], model: Step | Source) -> Step:
        config = c.exam.model_copy(update={"candidate": candidate, "modes": modes})
        return exam.STAGE.step(
            config,
            on("exam"),
            name=f"exam-{candidate}",
            questions=asked,
            model=model,
            index=search,
            embedder=embedder,
            dialogues=unseen,
        )

    baseline = examined("base", ("closed_book", "few_shot", "retrieval"), base)
    adapter = train.STAGE.step(c.train, on("train"), dialogues=pairs, questions=asked, index=search, embedder=embedder,
                               base=base, settings=best)  # fmt: skip
    merged = merge.STAGE.step(
        c.merge, on("merge"), adapter=adapter, base=base, questions=asked, index=search, embedder=embedder
    )
    tuned = examined("tuned", ("closed_book", "retrieval"), merged)
    smaller = [
        quantise.STAGE.step(
            c.quantise.model_copy(update={"format": form}),
            on("quantise"),
            name=f"quantise-{form}",
            model=merged,
            dialogues=pairs,
        )
        for form in e.models.formats
    ]
    regraded = [
        examined(f"tuned-{form}", ("retrieval",), model) for form, model in zip(e.models.formats, smaller, strict=True)
    ]

    # the decision and its report; then, if the gate lets it pass, the release and a served smoke test
    decision = gate.STAGE.step(c.gate, on("gate"), tuned=tuned, baseline=baseline, quantised=regraded, models=smaller)
    story = report.STAGE.step(
        c.report,
        on("report"),
        documents=documents,
        passages=passages,
        synthesised=written,
        deduplicated=distinct,
        filtered=sound,
        reviewed=reviewed,
        decontaminated=unseen,
        blended=pairs,
        questions=asked,
        train=adapter,
        tune=best,
        merge=merged,
        exams=[baseline, tuned, *regraded],
        quantised=smaller,
        gate=decision,
        others=[read, worthy, anonymous, dated, single, private, *logs, search],
    )
    release = register.STAGE.step(
        c.register.model_copy(update={"model": e.name}),
        on("register"),
        gate=decision,
        merged=merged,
        quantised=smaller,
        index=search,
        embedder=embedder,
    )
    served = smoke.STAGE.step(c.smoke, on("smoke"), release=release, questions=asked)
    return [story, served]


def _logs(e: Experiment, names: Source | None) -> list[Step]:
    """What people asked and were told, read and then made anonymous as documents are; nothing where no logs are named."""
    if not e.dialogues:
        return []
    c, on = e.stages, e.resources.of
    logs = import_dialogues.ChatLogs(e.dialogues)
    read = import_dialogues.STAGE.step(c.import_dialogues, on("import_dialogues"), logs=logs)
    return [
        read,
        anonymise.DIALOGUES.step(c.anonymise, on("anonymise"), name="anonymise_logs", dialogues=read, names=names),
    ]


def _file(path: str) -> Source | None:
    return PathSource(path) if path else None
