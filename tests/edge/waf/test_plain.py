"""What a plain query cannot match, held against RE2 itself."""

from __future__ import annotations

import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from littoral.edge.waf.patterns import BadPattern, check, literal, options
from littoral.edge.waf.plain import LONGEST, is_plain, possible

PIECES = [*"ab0=&%</ .-^$*+?|(){}[]\\,1:!", "(?:", "(?i)", "[[:alpha:]]", "[^a]", "[]a]", "{1,2}", "{0}"]
PIECES += ["\\x3c", "\\x41", "\\.", "\\d", "\\z", "\\Q", "\\E", "<?", "%*", "<+", "(<|a)"]
PATTERNS = st.lists(st.sampled_from(PIECES), max_size=8)
QUERIES = st.lists(st.sampled_from(["a", "b", "0", "1", "=", "&", "A"]), max_size=6)


@settings(max_examples=1500)
@given(PATTERNS.map("".join).map(str.encode), QUERIES.map("".join).map(str.encode))
def test_what_is_called_impossible_is_never_found(pattern: bytes, query: bytes) -> None:
    try:
        check(pattern)
    except BadPattern:
        assume(False)
    if not possible(pattern) and is_plain(query):
        assert re2.search(pattern, query, options()) is None


def test_it_is_told_apart() -> None:
    impossible = [b"(or|and) [0-9]+", b"union select", b"<script", rb"a\x3cb", rb"\.php\z", b"%+a", b"a(b|c)*/"]
    perhaps = [
        b"a=",
        b"[0-9]+",
        b"<?a",
        b"<*a",
        b"<{0,1}a",
        b"<|a",
        b"(<)",
        rb"\Q<\E",
        b"%a{x|y}?",
        b"[[:punct:]]",
        b"",
    ]
    assert not any(map(possible, impossible))
    assert all(map(possible, perhaps))
    assert not possible(literal(b"../", "CONTAINS"))
    assert possible(literal(b"id=1", "EXACTLY"))
    assert not possible(literal(b"a b", "CONTAINS_WORD"))


def test_a_query_is_plain() -> None:
    assert is_plain(b"") and is_plain(b"id=1&page=tide&flag&&x=")
    assert not is_plain(b"a=b=c") and not is_plain(b"a=%41") and not is_plain(b"a=1\n")
    assert is_plain(b"a" * LONGEST) and not is_plain(b"a" * (LONGEST + 1))
