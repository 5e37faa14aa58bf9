"""SecLang's operators compiled to tests of a value, and its transformations by name.

An operator whose argument holds a macro (``%{tx.allowed_methods}``) is compiled when its value is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import re2

from littoral.edge.waf import sqli, xss
from littoral.edge.waf import transformations as t
from littoral.edge.waf.addresses import AddressSet, number
from littoral.edge.waf.crs.seclang import Unreadable
from littoral.edge.waf.patterns import options

Groups = list[bytes]
Test = Callable[[bytes], "Groups | None"]  # what was captured, or None where it does not match
MATCHED: Groups = []

TRANSFORMATIONS: Mapping[str, t.Transformation] = {
    "none": t.none,
    "base64Decode": t.base64_decode,
    "base64DecodeExt": t.base64_decode_ext,
    "cmdLine": t.cmd_line,
    "compressWhitespace": t.compress_white_space,
    "cssDecode": t.css_decode,
    "escapeSeqDecode": t.escape_seq_decode,
    "hexDecode": t.hex_decode,
    "hexEncode": t.hex_encode,
    "htmlEntityDecode": t.html_entity_decode,
    "jsDecode": t.js_decode,
    "length": t.length,
    "lowercase": t.lowercase,
    "md5": t.md5,
    "normalisePath": t.normalize_path,
    "normalizePath": t.normalize_path,
    "normalisePathWin": t.normalize_path_win,
    "normalizePathWin": t.normalize_path_win,
    "removeComments": t.replace_comments,
    "removeCommentsChar": t.remove_comments_char,
    "removeNulls": t.remove_nulls,
    "removeWhitespace": t.remove_white_space,
    "replaceComments": t.replace_comments,
    "replaceNulls": t.replace_nulls,
    "sha1": t.sha1,
    "sqlHexDecode": t.sql_hex_decode,
    "trim": t.trim,
    "trimLeft": t.trim_left,
    "trimRight": t.trim_right,
    "uppercase": t.uppercase,
    "urlDecode": t.url_decode,
    "urlDecodeUni": t.url_decode_uni,
    "utf8toUnicode": t.utf8_to_unicode,
}


def expression(argument: str) -> bytes:
    """An @rx as RE2 reads it."""
    return argument.encode("latin-1", "replace") if argument.isascii() else argument.encode()


def phrases(argument: str) -> bytes:
    """An @pm as one expression."""
    words = sorted({word.lower() for word in _phrases(argument)})
    return b"(?i)(?:" + b"|".join(_quoted(word.encode()) for word in words) + b")"


def _phrases(argument: str) -> list[str]:
    separator = "\n" if "\n" in argument else None
    return [_unhex(word) for word in argument.split(separator) if word.strip() and not word.startswith("#")]


def _unhex(word: str) -> str:
    return re.sub(r"\|((?:[0-9a-fA-F]{2} ?)+)\|", lambda found: bytes.fromhex(found[1]).decode("latin-1"), word)


def _quoted(text: bytes) -> bytes:
    return b"".join(bytes((c,)) if chr(c).isascii() and chr(c).isalnum() else b"\\x%02x" % c for c in text)


def compiled(operator: str, argument: str) -> Test:
    """Without the negation. Raises Unreadable."""
    try:
        return _compiled(operator, argument)
    except Unreadable:
        raise
    except ValueError as problem:  # ranges of bytes, blocks of addresses
        raise Unreadable(f"@{operator} {argument[:200]}: {problem}") from problem


def _compiled(operator: str, argument: str) -> Test:
    if operator in {"rx", "pm", "pmFromFile", "pmf"}:
        return _search(expression(argument) if operator == "rx" else phrases(argument))
    text = argument.encode("latin-1", "replace")
    simple: dict[str, Callable[[bytes], bool]] = {
        "contains": lambda value: text in value,
        "beginsWith": lambda value: value.startswith(text),
        "endsWith": lambda value: value.endswith(text),
        "streq": lambda value: value == text,
        "within": lambda value: value in text,
        "strmatch": lambda value: text in value,
        "unconditionalMatch": lambda _value: True,
        "validateUrlEncoding": lambda value: _BAD_PERCENT.search(value) is not None,
        "validateUtf8Encoding": _no_utf8,
        "detectSQLi": sqli.is_sqli,
        "detectXSS": xss.is_xss,
    }
    if operator in simple:
        return _plain(simple[operator])
    if operator in _NUMBERS:
        return _plain(_NUMBERS[operator](_integer(text)))
    if operator == "validateByteRange":
        return _plain(_outside(argument))
    if operator == "ipMatch":
        addresses = AddressSet(part.strip() for part in argument.split(","))
        return _plain(lambda value: (found := number(value.decode("latin-1"))) is not None and found in addresses)
    raise Unreadable(f"the operator @{operator}")


def _plain(test: Callable[[bytes], bool]) -> Test:
    return lambda value: MATCHED if test(value) else None


def _search(pattern: bytes) -> Test:
    settings = options(dot_nl=True)
    settings.never_capture = False
    try:
        search = re2.compile(pattern, settings).search
    except re2.error as problem:
        raise Unreadable(f"the expression {pattern[:200]!r}: {problem}") from problem

    def test(value: bytes) -> Groups | None:
        found = search(value)
        return None if found is None else [found.group(0), *(group or b"" for group in found.groups()[:9])]

    return test


def _integer(value: bytes) -> int:
    found = re.match(rb"\s*-?\d{1,18}", value)
    return int(found[0]) if found else 0


_NUMBERS: dict[str, Callable[[int], Callable[[bytes], bool]]] = {
    "eq": lambda limit: lambda value: _integer(value) == limit,
    "ge": lambda limit: lambda value: _integer(value) >= limit,
    "gt": lambda limit: lambda value: _integer(value) > limit,
    "le": lambda limit: lambda value: _integer(value) <= limit,
    "lt": lambda limit: lambda value: _integer(value) < limit,
}
_BAD_PERCENT = re.compile(rb"%(?![0-9a-fA-F]{2})")


def _no_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return True
    return False


def _outside(argument: str) -> Callable[[bytes], bool]:
    """Whether any byte is outside the ranges."""
    allowed = bytearray()
    for part in argument.split(","):
        first, _, last = part.strip().partition("-")
        allowed.extend(range(int(first), int(last or first) + 1))
    inside = bytes(allowed)
    return lambda value: bool(value.translate(None, inside))
