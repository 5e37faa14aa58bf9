"""How often the Core Rule Set at a paranoia level stops what is no attack, rule by rule, ours and libmodsecurity's.

    bench/crs_benign.py [CHECKOUT] [--level 1] [--oracle] [--most 1500] [--show 942100] [--sentences FILE...]

Nothing is committed: the corpus is made of what is on the machine, the same each time. Sentences of Python's docs,
of the packages' descriptions and of /usr/share/doc; request bodies from botocore's examples; addresses from packages'
metadata; made-up names, dates, amounts, search terms. Each text is sent as an argument of the query, a field of a form,
a string of JSON and a cookie, addresses as the path too, each with the headers of some browser. Without CHECKOUT the
Debian package's rules are used. It is text about software and clouds: more of it looks like code than elsewhere.

``--sentences`` sends published sentences instead, each once in a query, as the rule set's own quantitative tests do
(go-ftw): files of the Leipzig Corpora Collection (``NUMBER<tab>SENTENCE``) or of Universal Dependencies
(``# text = SENTENCE``).
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
from crs_tests import Case, oracle
from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import FOLDERS, Source
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request

BLOCKED = 949110
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=FOLDERS[0])
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--most", type=int, default=1500)
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--show", type=int, default=0, help="print what only one side found by this rule; 1: by any")
    parser.add_argument("--sentences", type=Path, nargs="+", default=[], help="files of a public corpus")
    options = parser.parse_args()
    every = [each for path in options.sentences for each in published(path)] or list(corpus(options.most))
    program = Program(Source.open(options.checkout), options.level)
    counted = program.decisive | {BLOCKED}
    theirs = oracle(options.checkout, options.level, 5, {}) if options.oracle else None
    if options.oracle and theirs is None:
        print("libmodsecurity is not installed (PyPI, Linux x64 and Python 3.11)")
    sent: Counter[str] = Counter(each.group for each in every)
    blocked: Counter[str] = Counter()
    rules: Counter[tuple[int, str]] = Counter()
    stopped = Counter[str]()
    for each in every:
        here = counted.intersection(program.judge(View(each.request, 0.0, 0, each.body)).matched)
        there = counted.intersection(theirs(each)) if theirs is not None else set()
        blocked[each.group] += BLOCKED in here
        stopped.update(who for who, found in (("ours", here), ("theirs", there)) if BLOCKED in found)
        stopped["ours alone"] += BLOCKED in here and BLOCKED not in there
        for rule in (here if BLOCKED in here else set()) | (there if BLOCKED in there else set()):
            who = "both" if rule in here and rule in there else "ours" if rule in here else "theirs"
            rules[rule, who] += 1
            if who != "both" and options.show in {1, rule} and rule != BLOCKED:
                cookie = dict(each.request.headers.raw).get(b"cookie", b"").decode()
                print(f"{rule} {who}: {each.request.target[:200]} {cookie} {each.body[:300]!r}")
    total = sum(sent.values())
    for group in sorted(sent):
        print(
            f"{group:20} {sent[group]:6} sent, {blocked[group]:4} stopped ({100 * blocked[group] / sent[group]:.2f} %)"
        )
    for rule in sorted({rule for rule, _ in rules if rule != BLOCKED}):
        print(f"{rule}: " + ", ".join(f"{who} {rules[rule, who]}" for who in ("both", "ours", "theirs")))
    print(f"of {total}: " + ", ".join(f"{who} {count} ({100 * count / total:.2f} %)" for who, count in stopped.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
