"""The table of request smuggling: bytes on which two servers in a row could disagree, and what must come of each.

Read by ``test_smuggling`` (the listener) and by ``tests/edge/test_smuggling`` (what an edge sends on). Every case is
followed by ``NEXT``, a request that stands for the smuggled one. An outcome is one of:

``refused(status)``   no request is seen, the answer has that status and is the last; NEXT is never seen
``served(one, …)``    exactly these requests are seen, then NEXT
``last(one, …)``      exactly these, and the connection ends: NEXT is never seen
``broken(one)``       the head was good and is seen with an error for a body; 400; NEXT is never seen
``waits()``           more bytes are awaited: NEXT is part of what came before and nothing is answered

A request is written as ``METHOD target host body``.
"""

from __future__ import annotations

from dataclasses import dataclass

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
SEEN_NEXT = "GET /next next "


@dataclass(frozen=True)
class Outcome:
    statuses: tuple[int, ...]
    seen: tuple[str, ...]
    ends: bool


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    outcome: Outcome


def refused(status: int, *before: str) -> Outcome:
    return Outcome((*(200 for _ in before), status), before, True)


def served(*requests: str) -> Outcome:
    return Outcome((200,) * (len(requests) + 1), (*requests, SEEN_NEXT), False)


def last(*requests: str) -> Outcome:
    return Outcome((200,) * len(requests), requests, True)


def broken(*before: str) -> Outcome:
    return Outcome((*(200 for _ in before), 400), (*before, "POST / a !"), True)


def waits(*before: str) -> Outcome:
    return Outcome((200,) * len(before), before, False)


HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"\r\n"
NOTHING = b"0\r\n\r\n"
ABC = b"3\r\nabc\r\n0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nX: "

BARE = "GET / a "
EMPTY = "POST / a "
POSTED = "POST / a abc"


def _lengths() -> list[Case]:
    """Content-Length: RFC 9110 8.6, RFC 9112 6.3."""

    def length(name: str, value: bytes, body: bytes, outcome: Outcome) -> Case:
        return Case(f"length {name}", POST + b"Content-Length:" + value + END + END + body, outcome)

    bad = [
        ("empty", b""), ("of a space", b" "), ("signed", b" +3"), ("negative", b" -3"), ("hexadecimal", b" 0x3"),
        ("octal prefix", b" 0o3"), ("with a point", b" 3.0"), ("with an exponent", b" 3e0"), ("in quotes", b' "3"'),
        ("a word", b" three"), ("of two words", b" 3 3"), ("a list of equals", b" 3, 3"), ("a list", b" 3,4"),
        ("a list without space", b" 3,3"), ("with a comma after", b" 3,"), ("with a comma before", b" ,3"),
        ("with a semicolon", b" 3;"), ("with an underscore", b" 1_0"), ("with a thousands mark", b" 1'000"),
        ("after a vertical tab", b" \x0b3"), ("before a vertical tab", b" 3\x0b"), ("before a form feed", b" 3\x0c"),
        ("after NUL", b" \x003"), ("before NUL", b" 3\x00"), ("with a soft hyphen", b" \xad3"),
        ("with a no-break space", b" \xa03"), ("of Arabic digits", b" \xd9\xa3"), ("of full-width digits", b" \xef\xbc\x93"),
        ("beyond 64 bits", b" 18446744073709551616"), ("that wraps to three", b" 18446744073709551619"),
        ("of a hundred digits", b" " + b"9" * 100), ("of 64 bits", b" 18446744073709551615"),
        ("of 63 bits and one more", b" 9223372036854775808"), ("folded", b"\r\n 3"), ("folded by a tab", b" 3\r\n\t4"),
        ("before a bare CR", b" 3\r"), ("around a bare CR", b" 3\r4"), ("around a bare LF", b" 3\n4"),
    ]  # fmt: skip
    cases = [length(name, value, b"abc", refused(400)) for name, value in bad]
    good = [
        ("without space", b"3"), ("after two spaces", b"  3"), ("before a space", b" 3 "), ("before a tab", b" 3\t"),
        ("with leading zeros", b" 0003"),
    ]  # fmt: skip
    cases += [length(name, value, b"abc", served(POSTED)) for name, value in good]
    cases += [
        length("after a tab", b"\t3", b"abc", served(POSTED)),
        length("nought", b" 0", b"", served(EMPTY)),
        length("noughts", b" 000", b"", served(EMPTY)),
        length("that takes in the next request", b" %d" % len(NEXT), b"", last()),
        length("longer than what comes", b" 1000", b"abc", waits()),
        length("shorter than what comes", b" 1", b"abc", refused(400, "POST / a a")),
    ]
    taken = Outcome((200,), (EMPTY + NEXT.decode(),), False)
    cases[-3] = Case("length that takes in the next request", cases[-3].data, taken)
    two = [
        ("twice", b"Content-Length: 3\r\nContent-Length: 3\r\n"),
        ("twice, in another case", b"Content-Length: 3\r\ncontent-length: 3\r\n"),
        ("and another", b"Content-Length: 3\r\nContent-Length: 4\r\n"),
        ("and none", b"Content-Length: 3\r\nContent-Length: 0\r\n"),
        ("and another, far below", b"Content-Length: 3\r\n" + b"X: y\r\n" * 40 + b"Content-Length: 0\r\n"),
        ("with a space before the colon", b"Content-Length : 3\r\n"),
        ("with a tab before the colon", b"Content-Length\t: 3\r\n"),
        ("with a space before its name", b" Content-Length: 3\r\n"),
        ("with a NUL in its name", b"Content\x00-Length: 3\r\n"),
        ("with a CR in its name", b"Content\r-Length: 3\r\n"),
    ]
    cases += [Case(f"length {name}", POST + lines + END + b"abc", refused(400)) for name, lines in two]
    cases.append(Case("length of a look-alike", POST + b"Content_Length: 3\r\nContentLength: 3\r\n\r\n", served(EMPTY)))
    cases.append(Case("length of a GET", GET + HOST + b"Content-Length: 3\r\n\r\nabc", served("GET / a abc")))
    cases.append(
        Case(
            "length nought over a request (CL.0)",
            POST + b"Content-Length: 0\r\n\r\n" + SMUGGLED + b"\r\n\r\n",
            refused(400, EMPTY),
        )
    )
    return cases


def _codings() -> list[Case]:
    """Transfer-Encoding: RFC 9112 6.1. What is not exactly ``chunked`` is refused, whatever a proxy made of it."""

    def coding(name: str, lines: bytes, outcome: Outcome) -> Case:
        return Case(f"coding {name}", POST + lines + END + ABC, outcome)

    def value(name: str, text: bytes, status: int) -> Case:
        return coding(name, b"Transfer-Encoding:" + text + END, refused(status))

    cases = [
        coding("and length (TE.CL)", CHUNKED + b"Content-Length: 3\r\n", refused(400)),
        coding("after length (CL.TE)", b"Content-Length: 3\r\n" + CHUNKED, refused(400)),
        coding("and length nought (TE.0)", CHUNKED + b"Content-Length: 0\r\n", refused(400)),
        coding("and a bad length", CHUNKED + b"Content-Length: x\r\n", refused(400)),
        coding("xchunked and length", b"Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n", refused(400)),
        coding("identity and length", b"Content-Length: 3\r\nTransfer-Encoding: identity\r\n", refused(400)),
        coding("empty and length", b"Content-Length: 3\r\nTransfer-Encoding:\r\n", refused(400)),
        coding("twice", CHUNKED + CHUNKED, refused(400)),
        coding("then identity", CHUNKED + b"Transfer-Encoding: identity\r\n", refused(400)),
        coding("after identity", b"Transfer-Encoding: identity\r\n" + CHUNKED, refused(501)),
        coding("then x", CHUNKED + b"Transfer-encoding: x\r\n", refused(400)),
        coding("with a space before the colon", b"Transfer-Encoding : chunked\r\n", refused(400)),
        coding("with a tab before the colon", b"Transfer-Encoding\t: chunked\r\n", refused(400)),
        coding("with a space before its name", b" Transfer-Encoding: chunked\r\n", refused(400)),
        coding("in a fold", b"X: y\r\n Transfer-Encoding: chunked\r\n", refused(400)),
        coding("after a bare CR", b"X: y\rTransfer-Encoding: chunked\r\n", refused(400)),
        coding("after a bare LF", b"X: y\nTransfer-Encoding: chunked\r\n", refused(400)),
        coding("after a NUL", b"X: y\x00Transfer-Encoding: chunked\r\n", refused(400)),
        coding("with NUL in its name", b"Transfer\x00-Encoding: chunked\r\n", refused(400)),
        coding("with a control in its name", b"Transfer-\x01Encoding: chunked\r\n", refused(400)),
        coding("with a letter beyond ASCII", b"Transfer-\xe9ncoding: chunked\r\n", refused(400)),
        coding("with a bare LF at its end", b"Transfer-Encoding: chunked\n", refused(400)),
        coding("with CR CR LF at its end", b"Transfer-Encoding: chunked\r\r\n", refused(400)),
        coding("without a colon", b"Transfer-Encoding chunked\r\n", refused(400)),
        coding("in HTTP/1.0", b"X: y\r\n", refused(400, EMPTY)),
        value("empty", b"", 400),
        value("of a space", b" ", 400),
        value("identity", b" identity", 501),
        value("gzip", b" gzip", 501),
        value("xchunked", b" xchunked", 501),
        value("chunkedx", b" chunkedx", 501),
        value("chunk", b" chunk", 501),
        value("chunked in quotes", b' "chunked"', 501),
        value("chunked in ticks", b" 'chunked'", 501),
        value("chunked with a parameter", b" chunked;q=1", 501),
        value("chunked with a semicolon", b" chunked;", 501),
        value("chunked, chunked", b" chunked, chunked", 400),
        value("chunked, identity", b" chunked, identity", 400),
        value("identity, chunked", b" identity, chunked", 501),
        value("gzip, chunked", b" gzip, chunked", 501),
        value("chunked, gzip", b" chunked, gzip", 400),
        value("chunked and a comma", b" chunked,", 400),
        value("a comma and chunked", b" ,chunked", 501),
        value("cow, chunked", b" cow,chunked", 501),
        value("folded", b"\r\n chunked", 400),
        value("folded inside", b" chun\r\n ked", 400),
        # The tokenizer is stricter than it must be, and says so only after the head.
        coding("before a tab", b"Transfer-Encoding: chunked\t\r\n", broken()),
        value("before a vertical tab", b" chunked\x0b", 400),
        value("after a vertical tab", b" \x0bchunked", 400),
        value("after a form feed", b" \x0cchunked", 400),
        value("after NUL", b" \x00chunked", 400),
        value("before NUL", b" chunked\x00", 400),
        value("before DEL", b" chunked\x7f", 400),
        value("after a no-break space", b" \xa0chunked", 501),
        value("of a long s", b" chun\xc5\xbfed", 501),
        value("with a Kelvin sign", b" chun\xe2\x84\xaaed", 501),
        coding("chunked", CHUNKED, served(POSTED)),
        coding("CHUNKED", b"TRANSFER-ENCODING: CHUNKED\r\n", served(POSTED)),
        coding("without space", b"Transfer-Encoding:chunked\r\n", served(POSTED)),
        coding("after a tab", b"Transfer-Encoding:\tchunked\r\n", served(POSTED)),
        coding("with a space after", b"Transfer-Encoding: chunked \r\n", served(POSTED)),
        coding(
            "of a look-alike", b"Transfer_Encoding: chunked\r\nContent-Length: 13\r\n", served(EMPTY + ABC.decode())
        ),
        Case("coding of a GET", GET + HOST + CHUNKED + END + ABC, served("GET / a abc")),
        Case(
            "coding over a request (TE.0)", POST + CHUNKED + END + NOTHING + SMUGGLED + b"\r\n\r\n", refused(400, EMPTY)
        ),
    ]
    old = b"POST / HTTP/1.0\r\nHost: a\r\n"
    at = next(place for place, case in enumerate(cases) if case.name == "coding in HTTP/1.0")
    cases[at] = Case("coding in HTTP/1.0", old + CHUNKED + END + ABC, refused(400))
    cases.append(
        Case("coding in HTTP/1.0, kept", old + b"Connection: keep-alive\r\n" + CHUNKED + END + ABC, refused(400))
    )
    return cases


def _chunks() -> list[Case]:
    """Chunk sizes, extensions, line ends and trailers: RFC 9112 7.1."""

    def body(name: str, data: bytes, outcome: Outcome) -> Case:
        return Case(f"chunk {name}", POST + CHUNKED + END + data, outcome)

    wrong = [
        ("size empty", b"\r\nabc\r\n0\r\n\r\n"), ("size of a letter", b"g\r\n"), ("size signed", b"+3\r\nabc\r\n0\r\n\r\n"),
        ("size negative", b"-3\r\nabc\r\n0\r\n\r\n"), ("size 0x3", b"0x3\r\nabc\r\n0\r\n\r\n"), ("size 3h", b"3h\r\nabc\r\n0\r\n\r\n"),
        ("size with an underscore", b"0_3\r\nabc\r\n0\r\n\r\n"), ("size with a point", b"3.0\r\nabc\r\n0\r\n\r\n"),
        ("size in quotes", b'"3"\r\nabc\r\n0\r\n\r\n'), ("size after a space", b" 3\r\nabc\r\n0\r\n\r\n"),
        ("size after a tab", b"\t3\r\nabc\r\n0\r\n\r\n"), ("size before a space", b"3 \r\nabc\r\n0\r\n\r\n"),
        ("size before a tab", b"3\t\r\nabc\r\n0\r\n\r\n"), ("size with a space inside", b"0 3\r\nabc\r\n0\r\n\r\n"),
        ("size before NUL", b"3\x00\r\nabc\r\n0\r\n\r\n"), ("size of 17 digits", b"fffffffffffffffff\r\n"),
        ("size that wraps to three", b"10000000000000003\r\nabc\r\n0\r\n\r\n"), ("size of 16 KiB of digits", b"1" * 16_384),
        ("size after an empty line", b"\r\n3\r\nabc\r\n0\r\n\r\n"), ("size of two", b"3,3\r\nabc\r\n0\r\n\r\n"),
        ("line end LF", b"3\nabc\r\n0\r\n\r\n"), ("line end CR", b"3\rabc\r\n0\r\n\r\n"), ("line end LF CR", b"3\n\rabc\r\n0\r\n\r\n"),
        ("line end CR CR LF", b"3\r\r\nabc\r\n0\r\n\r\n"), ("data end LF", b"3\r\nabc\n0\r\n\r\n"),
        ("data end CR", b"3\r\nabc\r0\r\n\r\n"), ("data end missing", b"3\r\nabc0\r\n\r\n"), ("data end of two letters", b"3\r\nabcXX0\r\n\r\n"),
        ("data end CR CR LF", b"3\r\nabc\r\r\n0\r\n\r\n"), ("data longer", b"3\r\nabcd\r\n0\r\n\r\n"), ("data shorter", b"3\r\nab\r\n0\r\n\r\n"),
        ("end LF", b"0\n\r\n"), ("end of an LF line", b"0\r\n\n"), ("end of a CR", b"0\r\n\r0"), ("end CR CR LF", b"0\r\n\r\r\n"),
        ("end of 00 LF", b"00\n\n"), ("end after an empty line", b"3\r\nabc\r\n\r\n0\r\n\r\n"),
        ("extension empty", b"3;\r\nabc\r\n0\r\n\r\n"), ("extension ended by LF", b"3;a\nabc\r\n0\r\n\r\n"),
        ("extension ended by CR", b"3;a\rabc\r\n0\r\n\r\n"), ("extension with LF", b"3;\nx\r\nabc\r\n0\r\n\r\n"),
        ("extension with CR", b"3;a\rb\r\nabc\r\n0\r\n\r\n"), ("extension with NUL", b"3;\x00\r\nabc\r\n0\r\n\r\n"),
        ("extension with a space", b"3; a\r\nabc\r\n0\r\n\r\n"), ("extension after a space", b"3 ;a\r\nabc\r\n0\r\n\r\n"),
        ("extension of two words", b"3;a b\r\nabc\r\n0\r\n\r\n"), ("extension with an open quote", b'3;a="b\r\nabc\r\n0\r\n\r\n'),
        ("extension with CRLF in quotes", b'3;a="\r\n"\r\nabc\r\n0\r\n\r\n'), ("extension with LF in quotes", b'3;a="\n"\r\nabc\r\n0\r\n\r\n'),
        ("extension with DEL", b"3;\x7f\r\nabc\r\n0\r\n\r\n"), ("extension of another mark", b"3,a\r\nabc\r\n0\r\n\r\n"),
        ("extension at the end ended by LF", b"0;a\n\r\n"),
        ("trailer of length", b"0\r\nContent-Length: 5\r\n\r\n"), ("trailer of coding", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("trailer with a space before the colon", b"0\r\nX : 1\r\n\r\n"), ("trailer without a colon", b"0\r\nX\r\n\r\n"),
        ("trailer without a name", b"0\r\n: 1\r\n\r\n"), ("trailer folded", b"0\r\nX: 1\r\n 2\r\n\r\n"),
        ("trailer ended by LF", b"0\r\nX: 1\nY: 2\r\n\r\n"), ("trailer with CR", b"0\r\nX: 1\rY: 2\r\n\r\n"),
        ("trailer with NUL", b"0\r\nX: \x00\r\n\r\n"), ("trailer that is a request", b"0\r\n" + NEXT),
    ]  # fmt: skip
    cases = [body(name, data, broken()) for name, data in wrong]
    right = [
        ("size of a zero and three", b"03\r\nabc\r\n0\r\n\r\n"), ("size of many zeros", b"0" * 30 + b"3\r\nabc\r\n0\r\n\r\n"),
        ("sizes one", b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"), ("end of noughts", b"3\r\nabc\r\n000\r\n\r\n"),
        ("extension", b"3;a=b\r\nabc\r\n0\r\n\r\n"), ("extension in quotes", b'3;a="b;c"\r\nabc\r\n0\r\n\r\n'),
        ("extension at the end", b"3\r\nabc\r\n0;a=b\r\n\r\n"), ("trailer", b"3\r\nabc\r\n0\r\nX: 1\r\n\r\n"),
        ("trailer of host", b"3\r\nabc\r\n0\r\nHost: b\r\n\r\n"), ("trailer of a method override", b"3\r\nabc\r\n0\r\nX-Http-Method: PUT\r\n\r\n"),
    ]  # fmt: skip
    cases += [body(name, data, served(POSTED)) for name, data in right]
    cases += [
        body("size in capitals", b"A\r\n0123456789\r\n0\r\n\r\n", served("POST / a 0123456789")),
        body("that holds a request", b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT), served(EMPTY + NEXT.decode())),
        body("without an end", b"3\r\nabc\r\n", broken()),  # NEXT is no chunk size
        body("size that takes all", b"7fffffffffffffff\r\n", waits()),
        body("size that takes in the next request", b"%x\r\n" % (len(NEXT) + 10), waits()),
    ]
    return cases


def _lines() -> list[Case]:
    """Request line, header lines and what may stand between messages: RFC 9112 2.2, 3, 5."""

    def line(name: str, first: bytes, outcome: Outcome) -> Case:
        return Case(f"line {name}", first + HOST + END, outcome)

    def header(name: str, lines: bytes, outcome: Outcome) -> Case:
        return Case(f"header {name}", GET + HOST + lines + END, outcome)

    bad_lines = [
        ("after a space", b" GET / HTTP/1.1\r\n"), ("after a tab", b"\tGET / HTTP/1.1\r\n"), ("after NUL", b"\x00GET / HTTP/1.1\r\n"),
        ("after a byte order mark", b"\xef\xbb\xbfGET / HTTP/1.1\r\n"), ("with a tab after the method", b"GET\t/ HTTP/1.1\r\n"),
        ("with a tab before the version", b"GET /\tHTTP/1.1\r\n"), ("ended by LF", b"GET / HTTP/1.1\n"), ("ended by CR", b"GET / HTTP/1.1\r"),
        ("ended by CR CR LF", b"GET / HTTP/1.1\r\r\n"), ("ended by a space", b"GET / HTTP/1.1 \r\n"), ("with four words", b"GET / HTTP/1.1 x\r\n"),
        ("with a space in the target", b"GET /a b HTTP/1.1\r\n"), ("with NUL in the target", b"GET /\x00 HTTP/1.1\r\n"),
        ("with CR in the target", b"GET /\r HTTP/1.1\r\n"), ("with LF in the target", b"GET /\n HTTP/1.1\r\n"),
        ("with a control in the target", b"GET /\x01 HTTP/1.1\r\n"), ("with DEL in the target", b"GET /\x7f HTTP/1.1\r\n"),
        ("with UTF-8 in the target", b"GET /\xc3\xa9 HTTP/1.1\r\n"), ("without a target", b"GET HTTP/1.1\r\n"),
        ("of lower-case protocol", b"GET / http/1.1\r\n"), ("of version 1", b"GET / HTTP/1\r\n"), ("of version 1.", b"GET / HTTP/1.\r\n"),
        ("of version 01.1", b"GET / HTTP/01.1\r\n"), ("of version 1.01", b"GET / HTTP/1.01\r\n"), ("of version 1.10", b"GET / HTTP/1.10\r\n"),
        ("of version 1.2", b"GET / HTTP/1.2\r\n"), ("of version 3.0", b"GET / HTTP/3.0\r\n"), ("of version -1.1", b"GET / HTTP/-1.1\r\n"),
        ("of version 1,1", b"GET / HTTP/1,1\r\n"), ("of version x", b"GET / HTTP/x\r\n"), ("of a space in the version", b"GET / HTTP/ 1.1\r\n"),
        ("of another protocol", b"GET / SHTTP/1.1\r\n"), ("of lower-case method", b"get / HTTP/1.1\r\n"), ("of an unknown method", b"FETCH / HTTP/1.1\r\n"),
        ("of a method with NUL", b"GE\x00T / HTTP/1.1\r\n"), ("of a method in quotes", b'"GET" / HTTP/1.1\r\n'), ("of two methods", b"GETPOST / HTTP/1.1\r\n"),
        ("of a method with a colon", b"GET: / HTTP/1.1\r\n"),
        ("relative", b"GET a HTTP/1.1\r\n"), ("of a query alone", b"GET ?a HTTP/1.1\r\n"), ("of a fragment", b"GET /a#b HTTP/1.1\r\n"),
        ("in authority form", b"GET a:80 HTTP/1.1\r\n"), ("in asterisk form", b"GET * HTTP/1.1\r\n"), ("absolute of another host", b"GET http://b/ HTTP/1.1\r\n"),
        ("absolute of another port", b"GET http://a:80/ HTTP/1.1\r\n"), ("absolute with a user", b"GET http://u@a/ HTTP/1.1\r\n"),
        ("absolute with the host as user", b"GET http://a@b/ HTTP/1.1\r\n"), ("absolute with a host in the path", b"GET http:/a/ HTTP/1.1\r\n"),
        ("absolute without a host", b"GET http:///x HTTP/1.1\r\n"), ("absolute with a fragment", b"GET http://a/#x HTTP/1.1\r\n"),
        ("absolute with a backslash", b"GET http://a\\@b/ HTTP/1.1\r\n"), ("absolute of another scheme", b"GET ftp://a/ HTTP/1.1\r\n"),
        ("absolute of a file", b"GET file:///etc/passwd HTTP/1.1\r\n"), ("absolute of a script", b"GET javascript:a HTTP/1.1\r\n"),
    ]  # fmt: skip
    cases = [line(name, first, refused(400)) for name, first in bad_lines]
    cases += [
        line("of HTTP/0.9", b"GET /\r\n", refused(505)),
        line("of version 0.9", b"GET / HTTP/0.9\r\n", refused(505)),
        line("of version 2.0", b"GET / HTTP/2.0\r\n", refused(505)),
        line("of CONNECT", b"CONNECT a:443 HTTP/1.1\r\n", refused(501)),
        line("of CONNECT to a path", b"CONNECT /x HTTP/1.1\r\n", refused(501)),
        line("of Icecast", b"SOURCE / ICE/1.0\r\n", refused(501)),
        line("absolute", b"GET http://a/x HTTP/1.1\r\n", served("GET /x a ")),
        line("absolute in capitals", b"GET HTTP://A/x HTTP/1.1\r\n", served("GET /x a ")),
        line("absolute without a path", b"GET http://a?x HTTP/1.1\r\n", served("GET /?x a ")),
        line("that looks like an authority", b"GET //b/x HTTP/1.1\r\n", served("GET //b/x a ")),
        line("that holds an address", b"GET /http://b/x HTTP/1.1\r\n", served("GET /http://b/x a ")),
        line("with an escaped line end", b"GET /%0d%0aX:%20y HTTP/1.1\r\n", served("GET /%0d%0aX:%20y a ")),
        line("with an escaped NUL", b"GET /%00 HTTP/1.1\r\n", served("GET /%00 a ")),
        line("with dots", b"GET /../../x HTTP/1.1\r\n", served("GET /../../x a ")),
        line("after empty lines", b"\r\n\r\nGET / HTTP/1.1\r\n", served(BARE)),
        # Ignored by the tokenizer like an empty line: nothing of a message is in them.
        line("after an LF", b"\nGET / HTTP/1.1\r\n", served(BARE)),
        line("after a CR", b"\rGET / HTTP/1.1\r\n", served(BARE)),
        line("with two spaces", b"GET  / HTTP/1.1\r\n", served(BARE)),
        Case("line of an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused(400)),
        Case("line of a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", refused(400)),
        Case("line of HTTP/0.9 alone", b"GET /\r\n", refused(400)),
        Case("line in asterisk form for OPTIONS", b"OPTIONS * HTTP/1.1\r\n" + HOST + END, served("OPTIONS * a ")),
    ]
    bad_headers = [
        ("folded by a space", b"X: y\r\n z\r\n"), ("folded by a tab", b"X: y\r\n\tz\r\n"), ("folded and empty", b"X: y\r\n \r\n"),
        ("folded before all", b""), ("ended by LF", b"X: y\n"), ("ended by CR", b"X: y\rZ: z\r\n"), ("ended by LF LF", b"X: y\n\n"),
        ("ended by LF CR", b"X: y\n\rZ: z\r\n"), ("ended by CR CR LF", b"X: y\r\r\n"), ("with NUL", b"X: a\x00b\r\n"), ("with SOH", b"X: a\x01b\r\n"),
        ("with backspace", b"X: a\x08b\r\n"), ("with escape", b"X: a\x1bb\r\n"), ("with DEL", b"X: a\x7fb\r\n"), ("without a colon", b"X\r\n"),
        ("without a name", b": y\r\n"), ("name before a space", b"X : y\r\n"), ("name before a tab", b"X\t: y\r\n"), ("name after a space", b" X: y\r\n"),
        ("name with a space", b"X Y: z\r\n"), ("name with NUL", b"X\x00: y\r\n"), ("name with a bracket", b"X(: y\r\n"), ("name with an at", b"X@: y\r\n"),
        ("name with a slash", b"X/: y\r\n"), ("name with a quote", b'X": y\r\n'), ("name with an equals sign", b"X=: y\r\n"), ("name with a semicolon", b"X;: y\r\n"),
        ("name beyond ASCII", b"X\xe9: y\r\n"), ("name with DEL", b"X\x7f: y\r\n"), ("that is a request", NEXT[:-2]), ("of a pseudo-header", b":path: /x\r\n"),
    ]  # fmt: skip
    cases += [header(name, lines, refused(400)) for name, lines in bad_headers if lines]
    cases += [
        Case("header folded before all", b"GET / HTTP/1.1\r\n Host: a\r\n" + END, refused(400)),
        Case("header end LF", GET + b"Host: a\r\n\n", refused(400)),
        Case("header end LF LF", GET + b"Host: a\n\n", refused(400)),
        Case("header end CR", GET + b"Host: a\r\n\rX", refused(400)),
        Case("header end CR CR LF", GET + b"Host: a\r\n\r\r\n", refused(400)),
        header("with no value", b"X:\r\n", served(BARE)),
        header("with text beyond ASCII", b"X: \xe9\xff\r\n", served(BARE)),
        header("with a tab inside", b"X: a\tb\r\n", served(BARE)),
        header("with a colon in its value", b"X: a: b\r\n", served(BARE)),
        header("of many lines", b"X: y\r\n" * 99, served(BARE)),
        header("of too many lines", b"X: y\r\n" * 100, refused(431)),
        header("of an override", b"X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\n", served(BARE)),
    ]
    return cases


def _hosts() -> list[Case]:
    """Host: RFC 9112 3.2."""

    def host(name: str, lines: bytes, outcome: Outcome) -> Case:
        return Case(f"host {name}", GET + lines + END, outcome)

    bad = [
        ("missing", b""), ("empty", b"Host:\r\n"), ("twice", b"Host: a\r\nHost: b\r\n"), ("twice the same", b"Host: a\r\nhost: a\r\n"),
        ("twice, once empty", b"Host: a\r\nHost:\r\n"), ("with a user", b"Host: u@a\r\n"), ("with a path", b"Host: a/b\r\n"), ("with a query", b"Host: a?b\r\n"),
        ("list", b"Host: a,b\r\n"), ("of two words", b"Host: a b\r\n"), ("with a tab", b"Host: a\tb\r\n"), ("with a word for a port", b"Host: a:b\r\n"),
        ("with two ports", b"Host: a:80:81\r\n"), ("with no port", b"Host: a:\r\n"), ("with six digits of port", b"Host: a:100000\r\n"),
        ("with a negative port", b"Host: a:-1\r\n"), ("of a port alone", b"Host: :80\r\n"), ("with a scheme", b"Host: http://a\r\n"),
        ("with NUL", b"Host: a\x00\r\n"), ("beyond ASCII", b"Host: \xc3\xa9\r\n"), ("folded", b"Host: a\r\n b\r\n"), ("escaped", b"Host: a%2fb\r\n"),
        ("in quotes", b'Host: "a"\r\n'), ("of an open bracket", b"Host: [::1\r\n"), ("with a space before the colon", b"Host : a\r\n"),
        ("with a bare LF", b"Host: a\nHost: b\r\n"), ("with a bare CR", b"Host: a\rHost: b\r\n"), ("with a zone", b"Host: [fe80::1%25eth0]\r\n"),
        ("with a backslash", b"Host: a\\b\r\n"),
    ]  # fmt: skip
    cases = [host(name, lines, refused(400)) for name, lines in bad]
    cases += [
        host("with a port", b"Host: a:80\r\n", served("GET / a:80 ")),
        host("of IPv6", b"Host: [::1]:80\r\n", served("GET / [::1]:80 ")),
        host("in capitals", b"HOST: A\r\n", served("GET / A ")),
        host("and a look-alike", b"Host: a\r\nX-Forwarded-Host: b\r\nHost_: c\r\n", served(BARE)),
        Case("host missing in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", last("GET /  ")),
        Case("host twice in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", refused(400)),
        Case("host of an absolute target alone in HTTP/1.0", b"GET http://a/ HTTP/1.0\r\n\r\n", last("GET /  ")),
    ]
    return cases


def _connections() -> list[Case]:
    """Persistence, upgrades, expectations and what follows an error: RFC 9112 9, RFC 9110 7.8, 10.1.1."""

    def asked(name: str, lines: bytes, outcome: Outcome) -> Case:
        return Case(f"connection {name}", GET + HOST + lines + END, outcome)

    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    websocket = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    return [
        asked("close", b"Connection: close\r\n", last(BARE)),
        asked("close in capitals", b"CONNECTION: CLOSE\r\n", last(BARE)),
        asked("close in a list", b"Connection: keep-alive, close\r\n", last(BARE)),
        asked("close in two lines", b"Connection: keep-alive\r\nConnection: close\r\n", last(BARE)),
        asked("keep-alive", b"Connection: keep-alive\r\n", served(BARE)),
        asked("of a word", b"Connection: closed\r\n", served(BARE)),
        asked("that names the framing", b"Connection: Content-Length, Transfer-Encoding, Host\r\n", served(BARE)),
        asked("upgrade to h2c", h2c, last(BARE)),
        asked("upgrade to a WebSocket not served", websocket, last(BARE)),
        asked("upgrade without Connection", b"Upgrade: websocket\r\n", served(BARE)),
        asked("Connection without Upgrade", b"Connection: Upgrade\r\n", served(BARE)),
        Case("connection upgrade with a body", POST + h2c + b"Content-Length: 3\r\n\r\nabc", last(POSTED)),
        Case("connection upgrade with a request for a body", POST + websocket + b"Content-Length: %d\r\n\r\n" % len(NEXT),
             Outcome((200,), (EMPTY + NEXT.decode(),), True)),
        Case("connection upgrade with chunks", POST + websocket + CHUNKED + END + ABC, last(POSTED)),
        Case("connection upgrade with broken chunks", POST + websocket + CHUNKED + END + b"x", broken()),
        Case("connection upgrade with both framings", POST + websocket + CHUNKED + b"Content-Length: 3\r\n\r\n" + ABC, refused(400)),
        Case("connection of HTTP/1.0", b"GET / HTTP/1.0\r\n" + HOST + END, last(BARE)),
        Case("connection of HTTP/1.0, kept", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + END, served(BARE)),
        Case("connection of HTTP/1.0 with a body", b"POST / HTTP/1.0\r\nContent-Length: 3\r\n" + HOST + END + b"abc", last(POSTED)),
        Case("connection of HTTP/1.0 with a body, kept",
             b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n" + HOST + END + b"abc", served(POSTED)),
        Case("connection pipelined", GET + HOST + END + POST + b"Content-Length: 3\r\n\r\nabc" + GET + HOST + END, served(BARE, POSTED, BARE)),
        Case("connection pipelined after a bad head", GET + HOST + END + GET + b"X\r\n\r\n" + GET + HOST + END, refused(400, BARE)),
        Case("connection pipelined after a bad body", GET + HOST + END + POST + CHUNKED + END + b"x\r\n" + GET + HOST + END, broken(BARE)),
        Case("connection pipelined after close", GET + HOST + b"Connection: close\r\n\r\n" + GET + HOST + END, last(BARE)),
        Case("connection pipelined after too long a target",
             b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + END + GET + HOST + END, refused(414)),
        Case("connection pipelined after an unknown coding", POST + b"Transfer-Encoding: x\r\n\r\n" + GET + HOST + END, refused(501)),
        Case("connection pipelined with letters between", GET + HOST + END + b"xyz" + GET + HOST + END, refused(400, BARE)),
        Case("connection with letters after a body", POST + b"Content-Length: 3\r\n\r\nabcxyz", refused(400, POSTED)),
        Case("connection expects gold", POST + b"Expect: gold\r\nContent-Length: 3\r\n\r\nabc", refused(417)),
        Case("connection expects a list", POST + b"Expect: 100-continue, x\r\nContent-Length: 3\r\n\r\nabc", refused(417)),
        Case("connection expects without a body", GET + HOST + b"Expect: 100-continue\r\n\r\n", served(BARE)),
        Case("connection expects with its body", POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", served(POSTED)),
    ]  # fmt: skip


CASES: list[Case] = [*_lengths(), *_codings(), *_chunks(), *_lines(), *_hosts(), *_connections()]
