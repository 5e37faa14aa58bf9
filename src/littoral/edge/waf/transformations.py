"""Text transformations: what WAFv2 and SecLang do to a value before it is matched. Bytes in, bytes out, linear time.

Owns: the table of WAFv2's names, and the functions, which the SecLang importer shares. Knows no request.
Source: "Text transformations" of the AWS WAF developer guide, and the ModSecurity reference manual, which that page
follows. A transformation never makes a value longer than six times its input, and never fails: what cannot be
decoded stays as it is.
"""

from __future__ import annotations

import base64
import hashlib
import html.entities
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

Transformation = Callable[[bytes], bytes]
SPACES = b" \t\n\r\f\v"


def none(data: bytes) -> bytes:
    return data


# ------------------------------------------------------------------------------------ white space, case, nulls


_RUN = re.compile(rb"[ \t\n\r\f\v\xa0]+")
_WHITE = re.compile(rb"[ \t\n\r\f\v\xa0]")


def compress_white_space(data: bytes) -> bytes:
    return _RUN.sub(b" ", data)


def remove_white_space(data: bytes) -> bytes:
    return _WHITE.sub(b"", data)


lowercase: Transformation = bytes.lower
uppercase: Transformation = bytes.upper


def trim(data: bytes) -> bytes:
    return data.strip(SPACES)


def trim_left(data: bytes) -> bytes:
    return data.lstrip(SPACES)


def trim_right(data: bytes) -> bytes:
    return data.rstrip(SPACES)


def remove_nulls(data: bytes) -> bytes:
    return data.replace(b"\0", b"")


def replace_nulls(data: bytes) -> bytes:
    return data.replace(b"\0", b" ")


# ------------------------------------------------------------------------------------ URLs and markup


_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_PERCENT_UNI = re.compile(rb"%[uU]([0-9a-fA-F]{4})|%([0-9a-fA-F]{2})")
_DIGITS = "0123456789abcdefABCDEF"
_BYTES = {(high + low).encode(): bytes((int(high + low, 16),)) for high in _DIGITS for low in _DIGITS}


def _percent(found: re.Match[bytes]) -> bytes:
    return _BYTES[found[1]]


def url_decode(data: bytes) -> bytes:
    data = data.replace(b"+", b" ")
    return _PERCENT.sub(_percent, data) if b"%" in data else data


def _narrow(code: int) -> bytes:
    """A code unit as one byte; the full-width forms of ASCII are ASCII."""
    low = code & 0xFF
    return bytes((low + 0x20 if 0xFF01 <= code <= 0xFF5E else low,))


def _percent_uni(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return _narrow(int(found[1], 16))
    return _BYTES[found[2]]


def url_decode_uni(data: bytes) -> bytes:
    """And Microsoft's %uHHHH."""
    data = data.replace(b"+", b" ")
    return _PERCENT_UNI.sub(_percent_uni, data) if b"%" in data else data


_ENTITY = re.compile(rb"&(?:#[xX]([0-9a-fA-F]{1,8});?|#([0-9]{1,9});?|([A-Za-z][A-Za-z0-9]{1,31});?)")
_NAMED = {b"quot": b'"', b"amp": b"&", b"lt": b"<", b"gt": b">", b"nbsp": b"\xa0"}


def _entity(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes((int(found[1], 16) & 0xFF,))
    if found[2]:
        return bytes((int(found[2]) & 0xFF,))
    name = found[3].lower()
    if name in _NAMED:
        return _NAMED[name]
    known = html.entities.html5.get(found[3].decode() + ";", "") if found[0].endswith(b";") else ""
    return known.encode("latin-1") if len(known) == 1 and ord(known) < 256 else found[0]


def html_entity_decode(data: bytes) -> bytes:
    return _ENTITY.sub(_entity, data) if b"&" in data else data


_JS = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2})|(.))", re.DOTALL)
_JS_EXT = re.compile(
    rb"\\(?:u\{0*([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2})|(.))", re.DOTALL
)
_SIMPLE = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _js(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return _narrow(int(found[1], 16))
    if found[2]:
        return bytes((int(found[2], 16),))
    if found[3]:
        return bytes((int(found[3], 8) & 0xFF,))
    return _SIMPLE.get(found[4], found[4])


def js_decode(data: bytes) -> bytes:
    return _JS.sub(_js, data) if b"\\" in data else data


def _js_ext(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return _narrow(int(found[1], 16))
    if found[2]:
        return _narrow(int(found[2], 16))
    if found[3]:
        return bytes((int(found[3], 16),))
    if found[4]:
        return bytes((int(found[4], 8) & 0xFF,))
    return _SIMPLE.get(found[5], found[5])


def js_decode_ext(data: bytes) -> bytes:
    r"""And ``\u{H…}``."""
    return _JS_EXT.sub(_js_ext, data) if b"\\" in data else data


_CSS = re.compile(rb"\\(?:([0-9a-fA-F]{1,6})[ \t\n\r\f\v]?|(\n)|(.))", re.DOTALL)


def _css(found: re.Match[bytes]) -> bytes:
    if found[1]:
        code = int(found[1][-4:], 16)
        return _narrow(code) if len(found[1]) >= 4 else bytes((code & 0xFF,))
    return b"" if found[2] else found[3]


def css_decode(data: bytes) -> bytes:
    return _CSS.sub(_css, data).removesuffix(b"\\") if b"\\" in data else data


_ANSI = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([abfnrtv?'\"\\]))")
_ANSI_SIMPLE = {**_SIMPLE, b"?": b"?", b"'": b"'", b'"': b'"', b"\\": b"\\"}


def _ansi(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes((int(found[1], 16),))
    if found[2]:
        return bytes((int(found[2], 8) & 0xFF,))
    return _ANSI_SIMPLE[found[3]]


def escape_seq_decode(data: bytes) -> bytes:
    """ANSI C escapes; others stay."""
    return _ANSI.sub(_ansi, data) if b"\\" in data else data


def utf8_to_unicode(data: bytes) -> bytes:
    """Characters beyond ASCII as %uHHHH; what is no UTF-8 stays byte by byte."""
    if data.isascii():
        return data
    text = data.decode("utf-8", "surrogateescape")
    out = []
    for char in text:
        code = ord(char)
        if code < 0x80:
            out.append(bytes((code,)))
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(bytes((code - 0xDC00,)))
        else:
            out.append(b"%%u%04x" % code)
    return b"".join(out)


# ------------------------------------------------------------------------------------ encodings and digests


_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


def base64_decode(data: bytes) -> bytes:
    """Up to the first character that is not base64's."""
    found = _BASE64.match(data)
    return _unbase64(found[0] if found else b"")


def base64_decode_ext(data: bytes) -> bytes:
    """Passing over characters that are not base64's."""
    return _unbase64(_NOT_BASE64.sub(b"", data.rstrip(b"=")))


def _unbase64(clean: bytes) -> bytes:
    clean = clean[:-1] if len(clean) % 4 == 1 else clean
    return base64.b64decode(clean + b"=" * (-len(clean) % 4))


_TO_HEX = bytes(c if c in b"0123456789abcdefABCDEF" else ord("0") for c in range(256))


def hex_decode(data: bytes) -> bytes:
    """Pairs of digits; a character that is no digit counts as zero."""
    if len(data) % 2:
        data = data[:-1]
    return bytes.fromhex(data.translate(_TO_HEX).decode("ascii"))


def hex_encode(data: bytes) -> bytes:
    return data.hex().encode()


_SQL_HEX = re.compile(rb"0[xX]((?:[0-9a-fA-F]{2})+)")


def sql_hex_decode(data: bytes) -> bytes:
    """0x414243 is ABC."""
    return _SQL_HEX.sub(lambda found: bytes.fromhex(found[1].decode()), data)


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def length(data: bytes) -> bytes:
    return b"%d" % len(data)


# ------------------------------------------------------------------------------------ comments, commands, paths


_COMMENT = re.compile(rb"/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMENT_MARKS = re.compile(rb"/\*|\*/|--|#")


def replace_comments(data: bytes) -> bytes:
    """Each C comment, ended or not, is one space."""
    return _COMMENT.sub(b" ", data) if b"/*" in data else data


def remove_comments_char(data: bytes) -> bytes:
    return _COMMENT_MARKS.sub(b"", data)


def _command(deleted: bytes) -> Transformation:
    separators = bytes.maketrans(b",;\t\n\r\f\v", b"       ")
    runs = re.compile(rb" {2,}")

    def apply(data: bytes) -> bytes:
        text = data.translate(separators, deleted).lower()
        if b" " not in text:
            return text
        return runs.sub(b" ", text).replace(b" /", b"/").replace(b" (", b"(")

    return apply


cmd_line = _command(b"\\\"'^")
cmd_line_unix = _command(b"\\\"'")
cmd_line_win = _command(b"\"'^")


def normalize_path(data: bytes) -> bytes:
    """No doubled slashes, no ``.``, and ``..`` only where it leads out of the beginning."""
    if not data or (b"//" not in data and b"./" not in data and not data.endswith(b".")):
        return data
    parts: list[bytes] = []
    absolute = data.startswith(b"/")
    for part in data.split(b"/"):
        if part == b".." and parts and parts[-1] != b"..":
            parts.pop()
        elif part == b".." and absolute:
            continue
        elif part not in (b"", b"."):
            parts.append(part)
    made = (b"/" if absolute else b"") + b"/".join(parts)
    ends = data.endswith((b"/", b"/.", b"/.."))
    return made + b"/" if ends and made and not made.endswith(b"/") else made


def normalize_path_win(data: bytes) -> bytes:
    return normalize_path(data.replace(b"\\", b"/"))


def combine_duplicate_arguments(data: bytes) -> bytes:
    """Arguments of one name become one, their values joined by commas, as some frameworks do (pre-parse only)."""
    merged: dict[bytes, list[bytes]] = {}
    for part in data.split(b"&"):
        name, _, value = part.partition(b"=")
        merged.setdefault(name, []).append(value)
    return b"&".join(name + b"=" + b",".join(values) for name, values in merged.items())


def replace_semicolons(data: bytes) -> bytes:
    return data.replace(b";", b"&")


WAF: Mapping[str, Transformation] = {
    "NONE": none,
    "COMPRESS_WHITE_SPACE": compress_white_space,
    "HTML_ENTITY_DECODE": html_entity_decode,
    "LOWERCASE": lowercase,
    "CMD_LINE": cmd_line,
    "URL_DECODE": url_decode,
    "BASE64_DECODE": base64_decode,
    "HEX_DECODE": hex_decode,
    "MD5": md5,
    "REPLACE_COMMENTS": replace_comments,
    "ESCAPE_SEQ_DECODE": escape_seq_decode,
    "SQL_HEX_DECODE": sql_hex_decode,
    "CSS_DECODE": css_decode,
    "JS_DECODE": js_decode,
    "NORMALIZE_PATH": normalize_path,
    "NORMALIZE_PATH_WIN": normalize_path_win,
    "REMOVE_NULLS": remove_nulls,
    "REPLACE_NULLS": replace_nulls,
    "BASE64_DECODE_EXT": base64_decode_ext,
    "URL_DECODE_UNI": url_decode_uni,
    "UTF8_TO_UNICODE": utf8_to_unicode,
    "REMOVE_WHITESPACE": remove_white_space,
    "TRIM": trim,
    "TRIM_LEFT": trim_left,
    "TRIM_RIGHT": trim_right,
    "REMOVE_COMMENTS_CHAR": remove_comments_char,
    "UPPERCASE": uppercase,
    "CMD_LINE_WIN": cmd_line_win,
    "CMD_LINE_UNIX": cmd_line_unix,
    "JS_DECODE_EXT": js_decode_ext,
    "SHA256": sha256,
}
# Those that make a word of letters and digits of one, whatever it is.
LEAVES_WORDS = frozenset(
    "NONE LOWERCASE UPPERCASE COMPRESS_WHITE_SPACE HTML_ENTITY_DECODE URL_DECODE URL_DECODE_UNI TRIM TRIM_LEFT "
    "TRIM_RIGHT REMOVE_NULLS REPLACE_NULLS REMOVE_WHITESPACE JS_DECODE JS_DECODE_EXT CSS_DECODE ESCAPE_SEQ_DECODE "
    "REPLACE_COMMENTS".split()
)
LEAVES_QUERIES = LEAVES_WORDS - {"HTML_ENTITY_DECODE"}  # and of several joined by = and &
PRE_PARSE: Mapping[str, Transformation] = {
    "NONE": none,
    "URL_DECODE": url_decode,
    "URL_DECODE_UNI": url_decode_uni,
    "COMBINE_DUPLICATE_QUERY_ARGS_BY_COMMA": combine_duplicate_arguments,
    "REPLACE_SEMICOLONS_WITH_AMPERSANDS": replace_semicolons,
}


def chain(names: Sequence[str], table: Mapping[str, Transformation] = WAF) -> Transformation:
    """One function of a list of names in their order. Raises KeyError for a name that is unknown."""
    return composed([table[name] for name in names])


def composed(transformations: Sequence[Transformation]) -> Transformation:
    """One function of these, one after the other."""
    steps = [each for each in transformations if each is not none]
    if not steps:
        return none
    if len(steps) == 1:
        return steps[0]
    if len(steps) == 2:
        first, second = steps
        return lambda data: second(first(data))
    return lambda data: reduce(lambda value, step: step(value), steps, data)
