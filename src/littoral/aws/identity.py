"""Who may call: the place's access keys, and STS's answer to "who am I?".

The root key is made at the first start, and may do everything. Further keys are users' of the place's account, which
may do what the policy of a bucket grants them and nothing else, or other accounts' roots, which have S3 buckets of
their own. Full IAM (users, roles, policies of their own) comes later.
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
KEYS = "keys/"  # further ones, by their id
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class AccessKey:
    """``user`` is "" for an account's root; ``account`` is "" for the place's."""

    id: str
    secret: str
    user: str = ""
    account: str = ""

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
    async def open(
        cls, records: Records, *, account: str = "000000000000", verify: bool = True, root: AccessKey | None = None
    ) -> Identity:
        """``root``: the root key, where it is given and not the place's to make."""
        made = cls(root or await _own_root(records), account, verify=verify)
        made._keys |= {key.id: key for key in await kept_keys(records)}
        return made

    def add(self, key: AccessKey) -> None:
        self._keys[key.id] = key

    def remove(self, access_key: str) -> None:
        self._keys.pop(access_key, None)
        self._principals.pop(access_key, None)

    def accounts(self) -> set[str]:
        """The place's, and those of its keys."""
        return {self.account} | {key.account for key in self._keys.values() if key.account}

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
            key = self._keys.get(access_key)
            if key is None:  # without verification anybody may call himself anything: that is not kept
                return Principal("key", access_key, f"arn:aws:iam::{self.account}:root")
            who = f"user/{key.user}" if key.user else "root"
            arn = f"arn:aws:iam::{key.account or self.account}:{who}"
            found = self._principals[access_key] = Principal("key", access_key, arn, limited=bool(key.user))
        return found


async def _own_root(records: Records) -> AccessKey:
    """The one that is kept, made at the first start."""
    found = await records.get(ROOT)
    if found is not None:
        return AccessKey(**json.loads(found.value))
    root = new_key()
    try:
        await records.put(ROOT, json.dumps({"id": root.id, "secret": root.secret}).encode(), expect=0)
    except Conflict:
        return await _own_root(records)
    return root


async def kept_keys(records: Records) -> list[AccessKey]:
    """Beside the root's."""
    found: list[AccessKey] = []
    after = ""
    while page := await records.scan(KEYS, after=after):
        found += [AccessKey(**json.loads(record.value)) for record in page]
        after = page[-1].key
    return found


def new_key(user: str = "", account: str = "") -> AccessKey:
    return AccessKey("AKIA" + _random(string.ascii_uppercase + "234567", 16), secrets.token_urlsafe(30), user, account)


def _random(alphabet: Sequence[str], length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


class Sts:
    """The security token service, as far as access keys need it."""

    @operation()
    async def get_caller_identity(self, call: Call) -> Output:
        """Account, ARN and id of whoever signed the request."""
        if call.principal.kind == "anonymous":
            raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
        account = call.principal.account
        user = call.principal.name if call.principal.limited else account
        return {"UserId": user, "Account": account, "Arn": call.principal.arn}
