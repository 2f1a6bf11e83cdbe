"""Words that carry meaning, and their stems."""

from metier.text.words import content_words, name_words, stem, wording


def test_forms_of_a_word_share_a_stem():
    for forms in (
        ("batch", "batches"),
        ("transform", "transformation", "transforms"),
        ("shuffle", "shuffled", "shuffling"),
    ):
        assert len({stem(f) for f in forms}) == 1


def test_short_words_keep_their_ending():
    assert stem("uses") == "uses"
    assert stem("class") == "class"


def test_content_words_leave_out_fillers_and_the_given_stems():
    assert content_words("Returns the default batches of a Parquet file", {"parquet"}) == ["batches", "file"]
    assert content_words("A fee of the bank", shortest=3) == ["fee", "bank"]


def test_the_parts_of_an_identifier():
    assert name_words("ray.data.read_csvFiles") >= {"read", "csv", stem("files")}


def test_wording_is_blind_to_layout():
    assert wording("A *bold*\n\ntext, 7.") == wording("a bold text 7")
