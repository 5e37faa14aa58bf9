"""One request as SecLang's collections: what each variable of a rule holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

from littoral.edge.waf.crs.bodies import Content, Pair, arguments_of, content_of
from littoral.edge.waf.crs.seclang import Target
from littoral.edge.waf.view import Head, RawHeaders, View

Values = Sequence[Pair]


class Transaction:
    """Collections are made when a rule first asks for them. ``tx`` is the rules' own."""

    def __init__(self, view: View, tx: dict[str, bytes]) -> None:
        self._view = view
        self.spend = view.spend
        self.tx = tx
        self.matched: list[Pair] = []  # of the last condition that matched
        self._made: dict[str, Values] = {}
        self._content: Content | None = None

    @property
    def has_body(self) -> bool:
        return bool(self._view.body)

    @property
    def raw(self) -> RawHeaders:
        return self._view.raw

    @property
    def head(self) -> Head:
        return self._view.head

    def header_names(self) -> tuple[bytes, ...]:
        return tuple([name for name, _ in self._view.raw])

    @property
    def content(self) -> Content:
        if self._content is None:
            kind = (self._view.header(b"content-type") or b"").decode("latin-1")
            view = self._view
            self._content = content_of(view.body, kind, self.spend, is_cut=view.truncated)
        return self._content

    def values(self, target: Target) -> Values:
        """The members that the target means; a counted one is their number."""
        if target.collection == "TX" and target.selector is not None and target.pattern is None:
            value = self.tx.get(target.selector)
            found: Values = () if value is None else ((target.selector, value),)
            return [("", b"%d" % len(found))] if target.counted else found
        found = self.collection(target.collection)
        if target.collection == "XML":
            found = self._xml(target.selector or "/*")
        elif target.selector is not None:
            found = [pair for pair in found if target.takes(pair[0])]
        return [("", b"%d" % len(found))] if target.counted else found

    def collection(self, name: str) -> Values:
        if name == "TX":
            return list(self.tx.items())
        if name in {"MATCHED_VARS", "MATCHED_VARS_NAMES"}:
            return self.matched
        if name == "MATCHED_VAR":
            return self.matched[-1:]
        found = self._made.get(name)
        if found is None:
            maker = MAKERS.get(name)
            found = self._made[name] = maker(self) if maker is not None else ()
        return found

    def _xml(self, selector: str) -> Values:
        if selector.startswith("//@"):
            return [("", value) for value in self.content.xml_attributes]
        text = self.content.xml_text
        return [] if text is None else [("", text)]

    def scalar(self, name: str) -> bytes:
        found = self.collection(name)
        return found[0][1] if found else b""

    # ------------------------------------------------------------------------------------ collections

    def _headers(self) -> Values:
        return [(name.decode("latin-1"), value) for name, value in self._view.raw]

    def _cookies(self) -> Values:
        return [(name.decode("latin-1"), value) for name, value in self._view.cookies]

    def _target(self) -> bytes:
        return self._view.request.target.encode("latin-1", "replace")

    def _path(self) -> bytes:
        path = self._view.path
        return unquote_to_bytes(path) if b"%" in path else path

    def _body(self) -> bytes:
        return self._view.body if self.content.processor in {"", "URLENCODED"} else b""

    def _protocol(self) -> bytes:
        return b"HTTP/" + self._view.request.http_version.encode()

    def _line(self) -> bytes:
        return b"%b %b %b" % (self._view.request.method.encode(), self._target(), self._protocol())


def _one(get: Callable[[Transaction], bytes]) -> Callable[[Transaction], Values]:
    return lambda transaction: (("", get(transaction)),)


def _names(collection: str) -> Callable[[Transaction], Values]:
    return lambda transaction: [
        (name, name.encode("latin-1", "replace")) for name, _ in transaction.collection(collection)
    ]


def _size(pairs: Values) -> bytes:
    return b"%d" % sum(len(name) + len(value) for name, value in pairs)


MAKERS: dict[str, Callable[[Transaction], Values]] = {
    "ARGS": lambda t: [*t.collection("ARGS_GET"), *t.collection("ARGS_POST")],
    "ARGS_GET": lambda t: arguments_of(t._view.query),
    "ARGS_POST": lambda t: t.content.arguments,
    "ARGS_NAMES": _names("ARGS"),
    "ARGS_GET_NAMES": _names("ARGS_GET"),
    "ARGS_POST_NAMES": _names("ARGS_POST"),
    "ARGS_COMBINED_SIZE": _one(lambda t: _size(t.collection("ARGS"))),
    "REQUEST_HEADERS": Transaction._headers,
    "REQUEST_HEADERS_NAMES": _names("REQUEST_HEADERS"),
    "REQUEST_COOKIES": Transaction._cookies,
    "REQUEST_COOKIES_NAMES": _names("REQUEST_COOKIES"),
    "REQUEST_METHOD": _one(lambda t: t._view.request.method.encode()),
    "REQUEST_PROTOCOL": _one(Transaction._protocol),
    "REQUEST_LINE": _one(Transaction._line),
    "REQUEST_URI": _one(Transaction._target),
    "REQUEST_URI_RAW": _one(Transaction._target),
    "REQUEST_FILENAME": _one(Transaction._path),
    "REQUEST_BASENAME": _one(lambda t: t._path().rpartition(b"/")[2]),
    "QUERY_STRING": _one(lambda t: t._view.query),
    "REQUEST_BODY": lambda t: (("", t._body()),) if t._view.body else (),
    "REQUEST_BODY_LENGTH": _one(lambda t: b"%d" % len(t._view.body)),
    "REQBODY_PROCESSOR": _one(lambda t: t.content.processor.encode()),
    "REMOTE_ADDR": _one(lambda t: t._view.ip.encode()),
    "FILES": lambda t: t.content.files,
    "FILES_NAMES": lambda t: [(name, name.encode("latin-1", "replace")) for name, _ in t.content.files],
    "FILES_COMBINED_SIZE": _one(lambda t: b"%d" % t.content.file_bytes),
    "MULTIPART_PART_HEADERS": lambda t: t.content.part_headers,
    "UNIQUE_ID": _one(lambda t: b"%d" % id(t._view)),
}
