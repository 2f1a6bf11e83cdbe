"""What was packed comes back as it was, and as short ASCII."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metier.text.claims import Claim, claim_of, left_open
from metier.text.compact import packed, unpacked
from metier.text.quantities import Quantity
from tests.fixtures.stage_alone import dialogue

ANSWER = (
    "Version 3.2 must not run above 40 °C for guests.\nIt costs at most 12.5 euros — since 2025-01-31, or is it “void”?"
)


def test_a_claim_comes_back_as_it_was():
    claim = claim_of(dialogue("Was kostet `a.b` in Zürich?", ANSWER, effective="2025-01-01"), answers=True)
    text = packed(claim)
    assert text.isascii()
    assert "statements" not in text  # values without their names
    assert unpacked(Claim, text) == claim


def test_records_inside_keep_their_ids():
    a, b = (
        claim_of(dialogue("Which colour has the valve?", f"The valve is {c}."), answers=True) for c in ("red", "blue")
    )
    found = left_open(a, b, 0.2)
    assert unpacked(type(found), packed(found)) == found


@given(st.text(), st.one_of(st.text(), st.floats(allow_nan=False)), st.text())
def test_any_text_and_number_survives(dimension, value, written):
    one = Quantity(dimension, value, written)
    assert unpacked(Quantity, packed(one)) == one
