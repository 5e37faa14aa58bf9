"""Authorizers, and asking them: who is let in by a function instead of a certificate.

The way of one question: the name (the client's, else the default of its domain or of the account) → the token's
signature, where tokens are signed → the function, within its time → its answer. No more than ``MOST`` questions are
open at once: who comes beyond is told that the place is busy, so that slow functions do not gather connections without
end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from littoral.protocols.customauth import MAX_TOKEN, NAME, SIGNATURE, Answer, BadAnswer, Presented
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.things.asked import AskedFunctions, NotAnswered
from littoral.things.authorizers.facts import Authorizer
from littoral.things.authorizers.signatures import signed
from littoral.things.domains import Domains
from littoral.things.names import Names
from littoral.things.table import Table

MOST: Final = 200  # questions at once
BUSY: Final = "AUTHORIZERS_BUSY"
BAD_SIGNATURE: Final = "BAD_TOKEN_SIGNATURE"
_DEFAULT: Final = "default"


class NotAdmitted(Exception):
    """``why``: NO_AUTHORIZER, AUTHORIZER_NOT_FOUND, AUTHORIZER_INACTIVE, BAD_TOKEN_SIGNATURE, AUTHORIZERS_BUSY,
    FUNCTION_… (``asked.NotAnswered``), BAD_ANSWER or NOT_AUTHENTICATED."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True, slots=True)
class Decision:
    authorizer: Authorizer
    answer: Answer


class Authorizers:
    """``results`` counts answers by authorizer and outcome: ADMITTED, or why not."""

    def __init__(self, records: Records, names: Names, functions: AskedFunctions, domains: Domains) -> None:
        self._domains = domains
        self.table: Table[Authorizer] = Table(
            Documents(records, "authorizer/"), Authorizer.to_json, Authorizer.from_json
        )
        self.default: str | None = None
        self.results: Counter[tuple[str, str]] = Counter()
        self.on_change: Callable[[], None] = lambda: None
        self._settings = Documents(records, "authorizersetting/")
        self._names = names
        self._functions = functions
        self._open = 0

    async def open(self) -> None:
        await self.table.load()
        kept = await self._settings.get(_DEFAULT)
        self.default = kept["name"] if kept is not None else None

    @property
    def any_active(self) -> bool:
        return any(one.status == "ACTIVE" for one in self.table.values())

    @property
    def room(self) -> int:
        """How many more questions may be open."""
        return MOST - self._open

    async def put(self, authorizer: Authorizer) -> None:
        await self.table.put(authorizer.name, authorizer)
        self.on_change()

    async def delete(self, name: str) -> None:
        await self.table.delete(name)
        self.on_change()

    async def set_default(self, name: str | None) -> None:
        if name is None:
            await self._settings.delete(_DEFAULT)
        else:
            await self._settings.put(_DEFAULT, {"name": name})
        self.default = name

    # ------------------------------------------------------------------------------------------- asking

    def check(self, presented: Presented) -> None:
        """What can be said before CONNECT, which may hold the rest, and without the function: who names an authorizer
        that is not there, or shows a token that it has not signed, is refused. Raises NotAdmitted."""
        if presented.value(NAME) is None:
            return
        authorizer = self._chosen(presented)
        token = presented.value(authorizer.token_key) if authorizer.token_key else None
        signature = presented.value(SIGNATURE)
        if token and signature:
            _verify(authorizer, token, signature)

    async def decide(self, presented: Presented) -> Decision:
        """Raises NotAdmitted."""
        authorizer = self._chosen(presented)
        try:
            answer = await self._admitted(authorizer, presented)
        except NotAdmitted as problem:
            self.results[authorizer.name, problem.why] += 1
            raise
        self.results[authorizer.name, "ADMITTED"] += 1
        return Decision(authorizer, answer)

    def _chosen(self, presented: Presented) -> Authorizer:
        name = self._domains.authorizer(presented.server_name, presented.value(NAME)) or self.default
        if name is None:
            raise NotAdmitted("NO_AUTHORIZER", "no certificate, no authorizer named, and none is the default")
        found = self.table.get(name)
        if found is None:
            raise NotAdmitted("AUTHORIZER_NOT_FOUND", f"there is no authorizer {name[:128]!r}")
        if found.status != "ACTIVE":
            raise NotAdmitted("AUTHORIZER_INACTIVE", f"the authorizer {name} is not active")
        return found

    async def _admitted(self, authorizer: Authorizer, presented: Presented) -> Answer:
        token = presented.value(authorizer.token_key) if authorizer.token_key else None
        answer = await self.answer(authorizer, presented, token, presented.value(SIGNATURE))
        if not answer.authenticated:
            raise NotAdmitted("NOT_AUTHENTICATED", f"the authorizer {authorizer.name} says no")
        return answer

    async def answer(
        self, authorizer: Authorizer, presented: Presented, token: str | None, signature: str | None
    ) -> Answer:
        """The function's. Raises NotAdmitted."""
        _verify(authorizer, token, signature)
        if self.room <= 0:
            raise NotAdmitted(BUSY, "too many answers of authorizers are awaited")
        self._open += 1
        try:
            event = presented.event(token, verified=authorizer.signed)
            arn = self._names.arn("authorizer", authorizer.name)
            return Answer.read(await self._functions.ask(authorizer.function, event, arn))
        except NotAnswered as problem:
            raise NotAdmitted(f"FUNCTION_{problem.why}", str(problem)) from None
        except BadAnswer as problem:
            raise NotAdmitted("BAD_ANSWER", f"the answer of {authorizer.function}: {problem}") from None
        finally:
            self._open -= 1


def _verify(authorizer: Authorizer, token: str | None, signature: str | None) -> None:
    """Raises NotAdmitted."""
    if token is not None and len(token) > MAX_TOKEN:
        raise NotAdmitted(BAD_SIGNATURE, f"a token has at most {MAX_TOKEN} characters")
    if authorizer.signed and not (token and signature and signed(token, signature, authorizer.keys.values())):
        raise NotAdmitted(BAD_SIGNATURE, f"the token for {authorizer.name} is not there or not signed by it")
