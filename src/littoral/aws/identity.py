"""Who may call: the place's access keys, and STS's answer to "who am I?".

The root key is made at the first start. Full IAM (users, roles, policies) comes later; until then a key may do
everything, and an unsigned request nothing that asks for a principal.
"""

from __future__ import annotations

import json
import secrets
import string
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from littoral.aws.service import Call, Output, Principal, ServiceError, operation
from littoral.aws.sessions import PREFIX, Sessions
from littoral.store.contract import Conflict, Records

ROOT = "key/root"
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class AccessKey:
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"AccessKey({self.id})"  # the secret never reaches a log


class Identity:
    """Open with ``Identity.open``. ``verify=False`` takes any credentials, for a laptop."""

    def __init__(self, root: AccessKey, account: str, *, verify: bool) -> None:
        self.root = root
        self.account = account
        self.verify = verify
        self.sessions = Sessions(root.secret)
        self._keys = {root.id: root}
        self._principals: dict[str, Principal] = {}
        self._sessions: OrderedDict[str, Principal] = OrderedDict()  # who showed a token lately

    @classmethod
    async def open(cls, records: Records, *, account: str = "000000000000", verify: bool = True) -> Identity:
        found = await records.get(ROOT)
        if found is None:
            made = {"id": "AKIA" + _random(string.ascii_uppercase + "234567", 16), "secret": secrets.token_urlsafe(30)}
            try:
                await records.put(ROOT, json.dumps(made).encode(), expect=0)
            except Conflict:
                return await cls.open(records, account=account, verify=verify)
        else:
            made = json.loads(found.value)
        return cls(AccessKey(made["id"], made["secret"]), account, verify=verify)

    def add(self, key: AccessKey) -> None:
        """Take another key for as long as this process runs."""
        self._keys[key.id] = key

    def secret_of(self, access_key: str, token: str | None = None, now: float = 0.0) -> str | None:
        """Of a temporary key with the token that came with it. Raises Expired."""
        if token is not None and access_key.startswith(PREFIX):
            session = self.sessions.session(access_key, token, now)
            if session is None:
                return None
            self._sessions[access_key] = Principal("key", access_key, session[0].arn)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
            return session[1]
        found = self._keys.get(access_key)
        return found.secret if found is not None else None

    def principal(self, access_key: str) -> Principal:
        found = self._sessions.get(access_key) or self._principals.get(access_key)
        if found is None:
            found = Principal("key", access_key, f"arn:aws:iam::{self.account}:root")
            if access_key in self._keys:  # without verification anybody may call himself anything: that is not kept
                self._principals[access_key] = found
        return found


def _random(alphabet: Sequence[str], length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


class Sts:
    """The security token service, as far as a single account needs it."""

    def __init__(self, account: str) -> None:
        self._account = account

    @operation()
    async def get_caller_identity(self, call: Call) -> Output:
        """Account, ARN and id of whoever signed the request."""
        if call.principal.kind == "anonymous":
            raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
        return {"UserId": self._account, "Account": self._account, "Arn": call.principal.arn}
