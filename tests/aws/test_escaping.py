"""Text and attributes as an XML parser reads them back."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.sax.saxutils import escape as reference

from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.escaping import escape, quoteattr

SAYABLE = st.text(st.sampled_from("&<>\"'\n\t x;") | st.characters(min_codepoint=32, exclude_categories=("Cs", "Cn")))


@given(SAYABLE)
def test_text_comes_back_as_it_was(text: str) -> None:
    assert escape(text) == reference(text)
    assert (ElementTree.fromstring(f"<a>{escape(text)}</a>").text or "") == text


@given(SAYABLE | st.just("\r\n"))
def test_an_attribute_comes_back_with_its_white_space(text: str) -> None:
    assert ElementTree.fromstring(f"<a b={quoteattr(text)}/>").get("b") == text
