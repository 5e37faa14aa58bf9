"""Requests that somebody recorded, of the corpora that firewalls are measured with, for ``crs_benign.py --requests``.

Nothing of them is committed; docs/waf.md says where they are. A path is read by its kind:

    *.txt   requests as they were sent, one behind the other (CSIC 2010: normalTrafficTraining.txt)
    *.json  a list of {"method", "url", "headers", "data"} (open-appsec's waf-comparison-project: Legitimate/)
    *.har   what a browser saved (http2/http_samples)
    *.yml   texts that look like an attack and are none (gotestwaf: testcases/false-pos/)
    *.csv   values with a label, those of them that are ``norm`` (HttpParamsDataset: payload_full.csv)
    a folder: all files in it and below that are of such a kind

A target with scheme and host is what the listener makes of it: its path.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import yaml

from crs_tests import Case
from littoral.net.message import BytesBody, Headers, Peer, Request

Pairs = Iterable[tuple[str, str]]
FIRST_LINE = re.compile(rb"^[A-Z]+ \S+ HTTP/1\.[01]\r?$", re.M)
PROSE = {"host": "shop.example", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
PROSE |= {"accept": "*/*", "accept-language": "en-GB,en;q=0.7"}
FORM = "application/x-www-form-urlencoded"
# What a proxy sets anew, or what HTTP/2 has instead of a request line.
REPLACED = frozenset(("content-length", "transfer-encoding", "connection", "http2-settings", "upgrade"))


def requests(path: Path, most: int = 0) -> Iterator[Case]:
    """All of a path, or ``most`` of each file, by a chance that is the same each time. Raises KeyError."""
    files = sorted(each for each in path.rglob("*") if each.suffix in KINDS) if path.is_dir() else [path]
    for file in files:
        group = file.parent.name if file.suffix in {".json", ".har"} else file.stem
        every = list(KINDS[file.suffix](group, file))
        chosen = random.Random(file.name).sample(every, most) if 0 < most < len(every) else every
        yield from chosen


def made(group: str, method: str, url: str, headers: Pairs, body: bytes = b"") -> Case:
    """The length is that of the body."""
    named = [(name.lower(), value) for name, value in headers if name[:1] != ":"]
    kept = [(name, value) for name, value in named if name not in REPLACED]
    split = urlsplit(url)
    if split.netloc and not any(name == "host" for name, _ in kept):
        kept.insert(0, ("host", split.netloc))
    if body or any(name == "content-length" for name, _ in named):
        kept.append(("content-length", str(len(body))))
    raw = [(name.encode("latin-1", "replace"), value.encode("utf-8")) for name, value in kept]
    request = Request(method, _target(url), Headers(raw), BytesBody(body), Peer("192.0.2.7", 1))
    return Case(group, group, request, body, [], [])


def _target(url: str) -> str:
    """What a client would send: bytes that stand for themselves, none of them a space."""
    rest = re.sub(r"^[a-z][a-z0-9+.-]*://[^/?#]*", "", url).partition("#")[0]
    return quote(rest if rest.startswith("/") else "/" + rest, safe="%/?:@!$&'()*+,;=[]~|{}\"<>^`\\")


def _sent(group: str, file: Path) -> Iterator[Case]:
    text = file.read_bytes()
    starts = [found.start() for found in FIRST_LINE.finditer(text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=bool(starts)):
        head, _, body = re.sub(rb"\r\n", b"\n", text[start:end]).partition(b"\n\n")
        first, *lines = head.decode("latin-1").split("\n")
        method, url, _ = first.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        yield made(group, method, url, headers, body.strip(b"\n"))


def _listed(group: str, file: Path) -> Iterator[Case]:
    for each in json.loads(file.read_bytes()):
        yield made(group, each["method"], each["url"], each["headers"].items(), each["data"].encode("utf-8"))


def _saved(group: str, file: Path) -> Iterator[Case]:
    for entry in json.loads(file.read_bytes().decode("utf-8-sig"))["log"]["entries"]:
        asked = entry["request"]
        headers = [(each["name"], each["value"]) for each in asked["headers"]]
        body = (asked.get("postData") or {}).get("text") or ""
        yield made(group, asked["method"], asked["url"], headers, body.encode("utf-8"))


def _texts(group: str, file: Path) -> Iterator[Case]:
    for text in yaml.safe_load(file.read_text("utf-8"))["payload"]:
        yield from _of_text(group, text)


def _values(group: str, file: Path) -> Iterator[Case]:
    with file.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["label"] == "norm":
                yield from _of_text(group, row["payload"])


def _of_text(group: str, text: str) -> Iterator[Case]:
    """Where gotestwaf puts it: the query, a field of a form, one of a form in parts."""
    yield made(group, "GET", f"/?text={quote(text, safe='')}", PROSE.items())
    yield made(group, "POST", "/", (PROSE | {"content-type": FORM}).items(), f"text={quote_plus(text)}".encode())
    parted = f'--cut\r\nContent-Disposition: form-data; name="text"\r\n\r\n{text}\r\n--cut--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=cut"}
    yield made(group, "POST", "/", (PROSE | kind).items(), parted.encode("utf-8"))


KINDS: Mapping[str, Callable[[str, Path], Iterator[Case]]] = {
    ".txt": _sent,
    ".json": _listed,
    ".har": _saved,
    ".yml": _texts,
    ".csv": _values,
}
