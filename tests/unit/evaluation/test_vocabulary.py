"""What a corpus holds, as far as a question about one document must know it."""

from __future__ import annotations

from metier.evaluation.vocabulary import vocabulary_of
from metier.records import ApiObject, Document, Parameter


def api(name: str, kind="method", module="lib", parameters=(), summary="Lift the cover.") -> Document:
    given = tuple(Parameter(name=p) for p in parameters)
    described = ApiObject(name=name, kind=kind, signature="f()", summary=summary, parameters=given)
    return Document(uri=name, title=name, text=summary, module=module, api=described)


def page(title: str, text: str = "", **fields) -> Document:
    return Document(uri=f"{title}-{len(text)}.md", title=title, text=text or f"# {title}\n", **fields)


def test_parameters_and_methods_are_known_by_module():
    corpus = vocabulary_of(
        [
            api("lib.Box.open", parameters=("self_", "tries", "*more", "_hidden")),
            api("lib.run", "function"),
            api("other.Box.close", module="other", parameters=("speed",)),
        ]
    )
    assert corpus.parameters == {"lib": {"self_", "tries"}, "other": {"speed"}}
    assert corpus.methods == {"lib": {"open"}, "other": {"close"}}
    assert corpus.uris == {"lib.Box.open", "lib.run", "other.Box.close"}


def test_it_is_counted_how_many_are_described_so():
    corpus = vocabulary_of([api("a"), api("b"), api("c", summary="Drop the covers.")])
    assert corpus.summaries["lift the cover."] == 2
    assert corpus.documents_with["cover"] == 3
    assert corpus.documents_with["lift"] == 2


def test_a_sentence_that_one_page_repeats_counts_once():
    twice = page("Mine", "# Mine\n\nNobody may enter here alone.\n\n## Again\n\nNobody may enter here alone.\n")
    assert vocabulary_of([twice]).summaries["nobody may enter here alone."] == 1


def test_headings_of_prose_are_known_and_those_of_objects_are_not():
    corpus = vocabulary_of([page("Leave", "# Leave\n\n## Length\n"), api("lib.run")])
    assert corpus.headings == {"Leave", "Length"}


def test_a_title_tells_apart_the_only_document_or_the_only_current_one():
    old, new = page("Leave", superseded="2025-01-31"), page("leave", "# Leave\n\nAnew.\n")
    alone = page("Fees", superseded="2025-01-31")
    corpus = vocabulary_of([old, new, alone])
    assert [corpus.tells_apart(d) for d in (old, new, alone)] == [False, True, True]
    assert not vocabulary_of([new, page("Leave", "# Leave\n\nA twin.\n")]).tells_apart(new)
