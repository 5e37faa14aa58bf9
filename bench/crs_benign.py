"""How often the Core Rule Set at a paranoia level stops what is no attack, rule by rule, ours and libmodsecurity's.

    bench/crs_benign.py [CHECKOUT] [--level 1] [--oracle] [--show 942100] [--count 932230...]
        [--most 1500] [--sentences FILE...] [--requests PATH...]

Nothing is committed: the corpus is made of what is on the machine, the same each time. Sentences of Python's docs,
of the packages' descriptions and of /usr/share/doc; request bodies from botocore's examples; addresses from packages'
metadata; made-up names, dates, amounts, search terms. Each text is sent as an argument of the query, a field of a form,
a string of JSON and a cookie, addresses as the path too, each with the headers of some browser. Without CHECKOUT the
Debian package's rules are used. It is text about software and clouds: more of it looks like code than elsewhere.

``--sentences`` sends published sentences instead, each once in a query, as the rule set's own quantitative tests do
(go-ftw): files of the Leipzig Corpora Collection (``NUMBER<tab>SENTENCE``) or of Universal Dependencies
(``# text = SENTENCE``). ``--requests`` sends whole requests that were recorded (``crs_requests.py`` says of which
kinds).

Ours looks at as much of a body as a web ACL does by default; each request that ours stops alone is printed. ``--count``
has rules of ours count instead of scoring, and tells how many attacks of the rule set's own tests are then stopped.
``--doubtful`` asks libmodsecurity, which takes most of the time, only of what ours stops.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import pkgutil
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import botocore

sys.path.insert(0, str(Path(__file__).parent))
from crs_requests import requests
from crs_tests import Case, cases, oracle
from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import FOLDERS, Source
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request

BLOCKED = 949110
LIMIT = 0  # stands for INSPECTION_LIMIT, which is no rule of the rule set's
INSPECTED = 16 * 1024  # bytes of a body that a web ACL looks at by default
TELLING = (b"host", b"cookie", b"referer", b"content-type", b"user-agent")
BROWSERS: list[dict[str, str]] = [
    {
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "accept-language": "en-GB,en;q=0.7,de;q=0.3",
        "accept-encoding": "gzip, deflate, br",
        "connection": "keep-alive",
        "upgrade-insecure-requests": "1",
        "sec-fetch-mode": "navigate",
    },
    {
        "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/130.0.0.0 Safari/537.36",
        "accept": "*/*",
        "accept-language": "de-DE,de;q=0.9",
        "accept-encoding": "gzip, deflate, br, zstd",
        "sec-ch-ua": '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"',
        "sec-ch-ua-platform": '"Windows"',
        "referer": "https://shop.example/products/summer-shirts?page=2&sort=price_asc",
        "origin": "https://shop.example",
    },
    {
        "user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.5 Mobile/15E148 Safari/604.1",
        "accept": "application/json, text/plain, */*",
        "accept-language": "fr-FR,fr;q=0.9",
        "accept-encoding": "gzip, deflate, br",
    },
]
PUBLISHED = re.compile(r"^(?:\d+\t([^\t\n]+)|# text = (.+))$", re.M)  # a line of a corpus
FORM, JSON = "application/x-www-form-urlencoded", "application/json"

# ------------------------------------------------------------------------------------ the corpus


def sentences(text: str) -> Iterator[str]:
    """What reads as prose: some words, most of it letters, no prompt of an interpreter."""
    for paragraph in re.split(r"\n\s*\n", text):
        joined = " ".join(paragraph.split())
        for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", joined):
            letters = sum(char.isalpha() or char == " " for char in part)
            if 20 <= len(part) <= 300 and part.count(" ") >= 3 and letters > 0.85 * len(part) and ">>>" not in part:
                yield part


def docstrings() -> Iterator[str]:
    for found in sorted(pkgutil.iter_modules(), key=lambda each: each.name):
        if found.name not in sys.stdlib_module_names or found.name in {"antigravity", "this", "idlelib", "typing"}:
            continue
        try:
            module = importlib.import_module(found.name)
        except (ImportError, OSError):
            continue
        for _, member in sorted(vars(module).items()):
            if isinstance(getattr(member, "__doc__", None), str) and not isinstance(member, (str, int, float, dict)):
                yield from sentences(member.__doc__)


def documents() -> Iterator[str]:
    for path in sorted(Path("/usr/share/doc").rglob("*")):
        if path.is_file() and path.name.split(".")[0] in {"README", "NEWS", "copyright", "changelog", "FAQ"}:
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)[:20000].decode("utf-8", "replace")
            yield from sentences(text)
    for found in metadata.distributions():
        yield from sentences(found.read_text("METADATA") or "")


def addresses() -> Iterator[str]:
    for found in metadata.distributions():
        text = (found.read_text("METADATA") or "").partition("\n\n")[0]
        yield from (each.rstrip(".") for each in re.findall(r"https?://[\w./?=&%~+#-]+", text))


def bodies() -> Iterator[Any]:
    """The inputs of botocore's examples."""
    for path in sorted(Path(botocore.__file__).parent.glob("data/*/*/examples-1.json*")):
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
        for examples in document.get("examples", {}).values():
            yield from (each["input"] for each in examples if each.get("input"))


def made_up(chance: random.Random) -> Iterator[str]:
    """What forms hold."""
    first = "Ann José Zoë Søren D'Arcy Anne-Marie Noël Li 山田 Олег".split()
    last = "O'Brien Smith-Jones Müller d'Angelo van der Berg Null Select Union Dropsky Ng".split()
    streets = ["12 High St.", "Rue de l'Église 4", "1600 Main Ave #5", "Straße des 17. Juni 135", "Apt. 4/B, c/o Lee"]
    terms = ["red shoes size 42", "tom & jerry", "what's new?", "c++ or java", "50% off", "rock'n'roll", "a/b testing"]
    words = (
        "order group by table insert coin select drop off update where from like join having script cat echo".split()
    )
    while True:
        yield f"{chance.choice(first)} {chance.choice(last)}"
        yield f"{chance.choice(first).lower()}.{chance.randrange(99)}+news@mail.example"
        yield chance.choice(streets)
        yield f"{chance.choice(terms)} {chance.choice(words)}"
        yield " ".join(chance.sample(words, 4)).capitalize() + chance.choice([".", "?", "!", " :-)", "; thanks"])
        yield f"20{chance.randrange(10, 30)}-0{chance.randrange(1, 9)}-11T12:{chance.randrange(10, 60)}:00Z"
        yield f"{chance.choice('€$£')}{chance.randrange(9999)}.{chance.randrange(10, 99)}"
        yield f"+49 (0)30 {chance.randrange(10**6, 10**7)}"
        yield f"{chance.getrandbits(128):032x}"
        yield f"{chance.getrandbits(32):08x}-{chance.getrandbits(16):04x}-4a1b-a000-0000deadbeef"


def distinct(found: Iterable[str], most: int, chance: random.Random) -> list[str]:
    every = sorted(set(found))
    chance.shuffle(every)
    return every[:most]


# ------------------------------------------------------------------------------------ requests


def request(kind: str, browser: int, target: str, method: str = "GET", body: bytes = b"", **more: str) -> Case:
    named = {"host": "shop.example", **BROWSERS[browser % len(BROWSERS)]} | {
        key.replace("_", "-"): value for key, value in more.items()
    }
    if body:
        named["content-length"] = str(len(body))
    headers = Headers([(name.encode(), value.encode("utf-8")) for name, value in named.items()])
    made = Request(method, target, headers, BytesBody(body), Peer("192.0.2.7", 1))
    return Case(kind, kind, made, body, [], [])


def of_text(kind: str, text: str, number: int) -> Iterator[Case]:
    yield request(f"{kind}, query", number, f"/search?q={quote_plus(text)}&page={number}")
    form = f"name={number}&text={quote_plus(text)}&send=1".encode()
    yield request(f"{kind}, form", number + 1, "/comments", "POST", form, content_type=FORM)
    sent = json.dumps({"id": number, "text": text}).encode()
    yield request(f"{kind}, JSON", number + 2, "/api/comments", "POST", sent, content_type=JSON)
    yield request(f"{kind}, cookie", number, "/", cookie=f"theme=dark; last={quote(text)}; id={number}")


def corpus(most: int) -> Iterator[Case]:
    chance = random.Random(7)
    names = made_up(chance)
    texts = [("prose", each) for each in distinct([*docstrings(), *documents()], most, chance)]
    texts += [("form", each) for each in distinct((next(names) for _ in range(most)), most // 2, chance)]
    urls = distinct(addresses(), most // 3, chance)
    texts += [("address", each) for each in urls]
    for number, (kind, text) in enumerate(texts):
        yield from of_text(kind, text, number)
    for number, each in enumerate(urls):
        split = urlsplit(each)
        yield request("address, path", number, (split.path or "/") + (f"?{split.query}" if split.query else ""))
    for number, each in enumerate(list(bodies())[: most * 2]):
        sent = json.dumps(each).encode()
        yield request("botocore, JSON", number, "/api", "POST", sent, content_type=JSON)


def published(path: Path) -> Iterator[Case]:
    for number, found in enumerate(PUBLISHED.finditer(path.read_text(encoding="utf-8"))):
        yield request(path.stem, number, f"/get?uri_payload={quote_plus(found[1] or found[2])}")


# ------------------------------------------------------------------------------------ the report


class Ours:
    """The rules of a group that match, and what stops the request: the score, or what a request may cost."""

    def __init__(self, checkout: Path, level: int, counts: frozenset[int]) -> None:
        self._program = Program(Source.open(checkout), level, quiet=counts)
        self.counted = self._program.decisive | {BLOCKED}

    def __call__(self, each: Case) -> set[int]:
        outcome = self._program.judge(View(each.request, 0.0, 0, each.body[:INSPECTED], len(each.body) > INSPECTED))
        return {LIMIT} if outcome.exhausted else set(self.counted.intersection(outcome.matched))


def is_stopped(found: set[int]) -> bool:
    return BLOCKED in found or LIMIT in found


class Tally:
    """``shown`` is the rule whose matches by one side only are printed; 1 stands for any."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self.sent: Counter[str] = Counter()
        self.stopped: Counter[tuple[str, str]] = Counter()  # group and who
        self.rules: Counter[tuple[int, str]] = Counter()

    def note(self, each: Case, here: set[int], there: set[int] | None) -> None:
        self.sent[each.group] += 1
        theirs = there or set()
        self.stopped[each.group, "ours"] += is_stopped(here)
        self.stopped[each.group, "theirs"] += is_stopped(theirs)
        if there is not None and is_stopped(here) and not is_stopped(there):
            self.stopped[each.group, "ours alone"] += 1
            print(f"ours alone, {sorted(here - {BLOCKED})}: {described(each)}")
        for rule in (here if is_stopped(here) else set()) | (theirs if is_stopped(theirs) else set()):
            who = "both" if rule in here and rule in theirs else "ours" if rule in here else "theirs"
            self.rules[rule, who] += 1
            if who != "both" and self._shown in {1, rule} and rule != BLOCKED:
                print(f"{rule} {who}: {described(each)}")

    def report(self) -> None:
        for group in [*sorted(self.sent), ""]:
            sent = self.sent[group] or self.sent.total()
            counts = [
                (who, sum(count for (of, by), count in self.stopped.items() if by == who and group in {of, ""}))
                for who in ("ours", "theirs", "ours alone")
            ]
            told = ", ".join(f"{who} {count} ({100 * count / sent:.2f} %)" for who, count in counts)
            print(f"{group or 'all':20} {sent:6} sent, stopped by {told}")
        for rule in sorted({rule for rule, _ in self.rules if rule != BLOCKED}):
            print(f"{rule}: " + ", ".join(f"{who} {self.rules[rule, who]}" for who in ("both", "ours", "theirs")))


def described(each: Case) -> str:
    request = each.request
    headers = b" | ".join(b"%b: %b" % pair for pair in request.headers.raw if pair[0] in TELLING).decode("latin-1")
    return f"{request.method} {request.target[:300]} {headers[:600]} {len(each.body)} {each.body[:300]!r}"


def attacks_stopped(checkout: Path, ours: Ours) -> str:
    attacks = [each for each in cases(checkout, "") if each.expected]
    return (
        f"{sum(is_stopped(ours(each)) for each in attacks)} of {len(attacks)} attacks of the rule set's tests stopped"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=FOLDERS[0])
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--most", type=int, default=1500, help="texts; of recorded requests as many of each file")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--doubtful", action="store_true", help="ask the oracle only of what ours stops")
    parser.add_argument("--show", type=int, default=0, help="print what only one side found by this rule; 1: by any")
    parser.add_argument("--sentences", type=Path, nargs="+", default=[], help="files of a public corpus")
    parser.add_argument("--requests", type=Path, nargs="+", default=[], help="files or folders of recorded requests")
    parser.add_argument("--count", type=int, nargs="+", default=[], help="rules that count instead of scoring (ours)")
    options = parser.parse_args()
    ours = Ours(options.checkout, options.level, frozenset(options.count))
    theirs = oracle(options.checkout, options.level, 5, {}) if options.oracle else None
    if options.oracle and theirs is None:
        print("libmodsecurity is not installed (PyPI, Linux x64 and Python 3.11)")
    tally = Tally(options.show)
    for each in chosen(options):
        here = ours(each)
        asked = theirs is not None and (is_stopped(here) or not options.doubtful)
        tally.note(each, here, theirs(each) & ours.counted if theirs is not None and asked else None)
    tally.report()
    if options.count:
        print(attacks_stopped(options.checkout, ours))
    return 0


def chosen(options: argparse.Namespace) -> Iterator[Case]:
    for path in options.sentences:
        yield from published(path)
    for path in options.requests:
        yield from requests(path, options.most)
    if not options.sentences and not options.requests:
        yield from corpus(options.most)


if __name__ == "__main__":
    sys.exit(main())
