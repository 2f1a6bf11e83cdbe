"""A trained model finds names that no list holds, through the same door whatever its make."""

from __future__ import annotations

import shutil

import pytest

from metier.errors import InputError
from metier.records import Dialogue, Document
from metier.stages.anonymise import DIALOGUES, STAGE, Config
from metier.text.name_models import PIECE, NameModelSource, is_spacy, pieces, recogniser
from metier.text.names import people
from tests.fixtures.name_models import NAMES, make_classifier, make_spacy
from tests.fixtures.stage_alone import dialogue, run_alone

LABELS = ("PER", "PERSON")


@pytest.fixture(scope="module", params=[make_spacy, make_classifier])
def model(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("model"))


def found(model, text: str) -> list[str]:
    return [text[f.start : f.end] for f in recogniser(str(model), LABELS)(text)]


def test_a_model_finds_names_that_the_lists_do_not_hold(model):
    for name in NAMES:
        text = f"the ledger of {name} is closed"
        assert found(model, text) == [name]
        assert list(people(text)) == []
    assert found(model, "the ledger is closed") == []


def test_a_long_text_is_read_to_its_end(model):
    text = "a report came about the form, " * (PIECE // 25) + f"ask {NAMES[0]}"
    assert NAMES[0] in found(model, text)


def test_labels_that_the_model_does_not_give_are_refused(model):
    with pytest.raises(InputError, match="it gives the labels .*PER"):
        recogniser(str(model), ("CITY",))


def test_the_stages_use_the_model(model, tmp_path):
    source, text = NameModelSource(str(model)), f"we asked {NAMES[1]} about the fee"
    source.check()
    made = run_alone(
        STAGE, Config(), tmp_path / "a", documents=[Document(uri="a.md", title="A", text=text)], names=source
    )
    pairs = run_alone(DIALOGUES, Config(), tmp_path / "b", dialogues=[dialogue("Who?", text)], names=source)
    assert [d.text for d in made.records(Document)] == ["we asked <PERSON_1> about the fee"]
    assert [d.answer for d in pairs.records(Dialogue)] == ["we asked <PERSON_1> about the fee"]
    assert str(model) not in (made.folder / "manifest.json").read_text()


def test_a_model_is_what_it_holds_wherever_it_lies(model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    assert NameModelSource(str(copy)).fingerprint == NameModelSource(str(model)).fingerprint
    weights = next(p for p in copy.rglob("*") if p.is_file() and p.stat().st_size > 20_000)
    weights.write_bytes(weights.read_bytes() + b"x")
    assert NameModelSource(str(copy)).fingerprint != NameModelSource(str(model)).fingerprint


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        NameModelSource(str(tmp_path)).check()
    (tmp_path / "config.cfg").write_text("")
    (tmp_path / "meta.json").write_text("{}")
    assert is_spacy(str(tmp_path))
    with pytest.raises(InputError, match="spaCy can't load it"):
        recogniser(str(tmp_path), LABELS)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="pickled"):
        NameModelSource(str(tmp_path)).check()


def test_pieces_hold_the_whole_text_and_cut_no_word():
    text = "word " * PIECE
    cut = list(pieces(text))
    assert "".join(piece for _, piece in cut) == text
    assert all(text[start : start + len(piece)] == piece and len(piece) <= PIECE for start, piece in cut)
    assert not any(piece.startswith("ord") for _, piece in cut)
