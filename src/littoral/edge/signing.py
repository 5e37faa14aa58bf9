"""Who may see a behaviour's content: signatures of its trusted key groups, verified once and remembered.

Owns: public keys, the cryptography, the memory of good signatures. What a policy says is ``protocols.signedurl``.
A signature that was found good is good for ever; times and addresses are looked at each time. Only good ones are
remembered, so that nobody fills the memory with bad ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from littoral.net.message import Headers, Request
from littoral.protocols.signedurl import DENIED, Claim, Policy, Refused, claim_of, cookies_of, stripped

MAX_REMEMBERED = 8192
HASHES = {"SHA1": SHA1(), "SHA256": SHA256()}  # noqa: S303 - what CloudFront's signers sign with
Verify = Callable[[bytes, bytes, str], bool]  # signature, what was signed, name of the hash


class UnusableKey(ValueError):
    """Not a public key that CloudFront takes; the message says why."""


def load_key(pem: str) -> Verify:
    """RSA of 2048 bits or ECDSA on P-256, as PEM. Raises UnusableKey."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise UnusableKey("The encoded key is not a public key in PEM form.") from problem
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048:
        return _rsa(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return _ecdsa(key)
    raise UnusableKey("The public key must be RSA with 2048 bits or ECDSA on the curve P-256.")


def _rsa(key: rsa.RSAPublicKey) -> Verify:
    def verify(signature: bytes, signed: bytes, algorithm: str) -> bool:
        try:
            key.verify(signature, signed, padding.PKCS1v15(), HASHES[algorithm])
        except InvalidSignature:
            return False
        return True

    return verify


def _ecdsa(key: ec.EllipticCurvePublicKey) -> Verify:
    def verify(signature: bytes, signed: bytes, algorithm: str) -> bool:
        try:
            key.verify(signature, signed, ec.ECDSA(HASHES[algorithm]))
        except InvalidSignature:
            return False
        return True

    return verify


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one URL with its signature: asked for again, only time and address are left to look at."""

    policy: Policy
    target: str  # without the signature
    cookies: tuple[str, ...] | None  # Cookie headers without the signature, None where they need no change


@dataclass(slots=True)
class Signers:
    """The keys that a behaviour trusts, by the id of the public key."""

    keys: Mapping[str, Verify]
    _good: dict[tuple[str, ...], Policy] = field(default_factory=dict)  # signature and what it signs → what it allows
    _seen: dict[tuple[object, ...], Admission] = field(default_factory=dict)  # by the request's own bytes

    def admit(self, request: Request, now: float) -> tuple[str, Headers]:
        """The target and the headers without the signature. Raises Refused."""
        host = cookie = b""
        for name, value in request.headers.raw:
            if name == b"host":
                host = value
            elif name == b"cookie":
                cookie += b";" + value
        asked = (request.target, host, cookie, request.peer.tls)
        found = self._seen.get(asked)
        if found is None:
            found = self._judged(request)
            if len(self._seen) >= MAX_REMEMBERED:
                self._seen.clear()
            self._seen[asked] = found
        if not found.policy.holds(request.peer.host, now):
            raise Refused(*DENIED)
        if found.cookies is None:
            return found.target, request.headers
        headers = Headers([pair for pair in request.headers.raw if pair[0] != b"cookie"])
        for line in found.cookies:
            headers.add("cookie", line)
        return found.target, headers

    def _judged(self, request: Request) -> Admission:
        path, _, query = request.target.partition("?")
        query, given = stripped(query)
        lines, cookies = cookies_of(request.headers.get_all("cookie"))
        target = f"{path}?{query}" if query else path
        urls = _urls(request, target)
        policy = self._policy(given, cookies, urls)
        if not policy.covers(urls):
            raise Refused(*DENIED)
        return Admission(policy, target, tuple(lines) if cookies else None)

    def _policy(self, given: dict[str, str], cookies: dict[str, str], urls: list[str]) -> Policy:
        said = given or cookies
        canned = () if said.get("Policy") else (urls[0],)
        signed = (*said, *said.values(), *canned)
        policy = self._good.get(signed)
        if policy is None:
            policy = self._verified(claim_of(given, cookies), urls)
            if len(self._good) >= MAX_REMEMBERED:
                self._good.clear()
            self._good[signed] = policy
        return policy

    def _verified(self, claim: Claim, urls: list[str]) -> Policy:
        verify = self.keys.get(claim.key_id)
        if verify is None:
            raise Refused("InvalidKey", "Unknown Key")
        for signed, policy in claim.statements(urls):
            if verify(claim.signature, signed, claim.hash):
                return policy
        raise Refused(*DENIED)


def _urls(request: Request, target: str) -> list[str]:
    """How the URL may have been written when it was signed: also without the port that this place listens on."""
    scheme, host = "https" if request.peer.tls else "http", request.host
    plain = host.rpartition(":")[0] if host[-1:].isdigit() and ":" in host and not host.endswith("]") else host
    return [f"{scheme}://{name}{target}" for name in dict.fromkeys((host, plain))]


def refusal_page(refused: Refused) -> bytes:
    """The body that CloudFront answers 403 with."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{refused.code}</Code>'
        f"<Message>{refused.message}</Message></Error>"
    ).encode()


def signers_of(groups: list[str], policies: Mapping[str, Mapping[str, object]]) -> Signers | None:
    """The keys of these key groups; None where no group is trusted, for then everybody may look."""
    if not groups:
        return None
    keys: dict[str, Verify] = {}
    for group in groups:
        members = policies[group]["Items"]
        assert isinstance(members, list)
        for identifier in members:
            keys[identifier] = load_key(str(policies[identifier]["EncodedKey"]))
    return Signers(keys)
