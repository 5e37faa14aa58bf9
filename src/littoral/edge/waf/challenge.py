"""Tokens: how a client shows that it solved a challenge or a puzzle, without the place keeping anything of it.

A page carries a **question**, signed: what kind it is, for which host, when it was asked. The client answers by the
cookie ``aws-waf-token``, which holds question and answer; the edge checks signature, host, age and answer each time,
and a rule's immunity time says how old an answered question may be. The key is the region's and reaches every edge
location by the feed, so a token counts at each of them.

Challenge: a proof of work, done by a script without the user. CAPTCHA: a sum in words that a screen reader reads and
anybody types the answer to. Both keep out clients that do not run scripts or read pages. **Neither tells people from
programs written for it**, and this is no substitute for a service that claims to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from littoral.edge.waf.verdict import Reply
from littoral.edge.waf.view import UNSET, View

COOKIE = b"aws-waf-token"
WORK_BITS = 14  # of zero that a challenge's digest begins with: about 16,000 digests
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
STATUS = {"challenge": 202, "captcha": 405}
LONGEST = 4096  # characters of a cookie that is looked at


@dataclass(frozen=True, slots=True)
class Solved:
    """When each kind was asked for, where the answer is right; and why not, where it is not."""

    challenge: float | None = None
    captcha: float | None = None
    failure: str = "TOKEN_MISSING"


class Tokens:
    """Of one web ACL: ``domains`` are those for which its tokens count beside the request's own host."""

    def __init__(self, key: bytes, domains: Sequence[str] = ()) -> None:
        self._key = key
        self._domains = tuple(domain.lower() for domain in domains)

    # ------------------------------------------------------------------------------------ asking

    def page(self, kind: str, view: View) -> Reply:
        """A page for browsers, headers alone for everything else."""
        headers = (("x-amzn-waf-action", kind), ("cache-control", "no-store"))
        wanted = view.header(b"accept") or b""
        if view.request.method != "GET" or b"text/html" not in wanted:
            return Reply(STATUS[kind], headers)
        asked, text = self.question(kind, _host(view), view.now)
        source = files("littoral.edge.waf").joinpath("pages", f"{kind}.html").read_text("utf-8")
        body = source.replace("{question}", asked).replace("{text}", text).replace("{bits}", str(WORK_BITS))
        return Reply(STATUS[kind], (*headers, ("content-type", "text/html; charset=utf-8")), body.encode())

    def question(self, kind: str, host: str, now: float) -> tuple[str, str]:
        """Signed, and in words."""
        salt, text, answer = secrets.token_hex(8), "", ""
        if kind == "captcha":
            first, second = 1 + secrets.randbelow(12), 1 + secrets.randbelow(12)
            text, answer = f"{WORDS[first]} plus {WORDS[second]}", str(first + second)
        facts = {"k": kind, "h": host, "t": int(now), "s": salt, "a": self._sealed(salt, answer) if answer else ""}
        packed = base64.urlsafe_b64encode(json.dumps(facts, separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{packed}.{self._mac(packed)}", text

    # ------------------------------------------------------------------------------------ checking

    def accepts(self, kind: str, view: View, immunity: int) -> bool:
        """Whether the request carries a right answer of that kind that is not older than ``immunity`` seconds."""
        solved = self.read(view)
        moment = solved.captcha if kind == "captcha" else solved.challenge
        return moment is not None and 0 <= view.now - moment < immunity

    def read(self, view: View) -> Solved:
        if view.token is UNSET:
            view.token = self._read(view)
        found: Solved = view.token
        return found

    def _read(self, view: View) -> Solved:
        value = next((value for name, value in view.cookies if name == COOKIE), None)
        if value is None or len(value) > LONGEST:
            return Solved()
        moments: dict[str, float] = {}
        failure = "TOKEN_INVALID"
        for part in value.decode("latin-1").split("~")[:2]:
            question, _, answer = part.rpartition(".")
            facts = self._facts(question)
            if facts is None or not self._right(question, facts, answer):
                continue
            if not self._counts_for(facts["h"], _host(view)):
                failure = "TOKEN_DOMAIN_MISMATCH"
                continue
            moments[facts["k"]] = float(facts["t"])
        return Solved(moments.get("challenge"), moments.get("captcha"), "TOKEN_EXPIRED" if moments else failure)

    def _facts(self, question: str) -> dict[str, Any] | None:
        packed, _, mac = question.partition(".")
        if not hmac.compare_digest(mac.encode("latin-1"), self._mac(packed).encode()):
            return None
        facts: dict[str, Any] = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        return facts

    def _right(self, question: str, facts: dict[str, Any], answer: str) -> bool:
        if facts["k"] == "captcha":
            return hmac.compare_digest(facts["a"], self._sealed(facts["s"], answer.strip()))
        return worked(question, answer)

    def _counts_for(self, asked: str, host: str) -> bool:
        return asked == host or any(_within(asked, domain) and _within(host, domain) for domain in self._domains)

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, b"question:" + text.encode("latin-1"), hashlib.sha256).hexdigest()[:32]

    def _sealed(self, salt: str, answer: str) -> str:
        return hmac.new(self._key, f"answer:{salt}:{answer}".encode(), hashlib.sha256).hexdigest()[:16]


def worked(question: str, answer: str) -> bool:
    """Whether the digest of question and answer begins with enough zeroes."""
    digest = hashlib.sha256(f"{question}.{answer}".encode("latin-1")).digest()
    return len(answer) <= 20 and int.from_bytes(digest[:4]) >> (32 - WORK_BITS) == 0


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)


def _host(view: View) -> str:
    return view.request.host.partition(":")[0].lower()
