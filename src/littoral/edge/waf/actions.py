"""What a rule that matched does: allow, block, count, or ask for a token.

``act_of`` compiles a RuleAction to a function of the view: a Verdict ends the evaluation, None lets it go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from littoral.edge.waf.challenge import Tokens
from littoral.edge.waf.verdict import Mark, Reply, Verdict
from littoral.edge.waf.view import View

Document = Mapping[str, Any]
Act = Callable[[View], Verdict | None]
CONTENT_TYPES = {"TEXT_PLAIN": "text/plain", "TEXT_HTML": "text/html", "APPLICATION_JSON": "application/json"}
INSERTED = "x-amzn-waf-"  # what inserted request headers begin with
KINDS = ("Allow", "Block", "Count", "Captcha", "Challenge")


@dataclass(frozen=True, slots=True)
class Context:
    """Where a rule stands: its web ACL or rule group."""

    namespace: str  # of its labels
    bodies: Mapping[str, Document] = field(default_factory=dict)  # CustomResponseBodies
    tokens: Tokens | None = None
    captcha_immunity: int = 300  # seconds
    challenge_immunity: int = 300


def kind_of(action: Document) -> str:
    """``Block`` of ``{"Block": {}}``."""
    return next(iter(action))


def act_of(action: Document, mark: Mark, context: Context, labels: Sequence[str] = ()) -> Act:
    """``labels`` are fully qualified; they are added whatever the action is."""
    kind = kind_of(action)
    setting = action[kind] or {}
    mark = replace(mark, action=kind.upper())
    inserted = _inserted(setting)
    inner = _act(kind, setting, mark, context)
    if not labels and not inserted:
        return inner

    def act(view: View) -> Verdict | None:
        view.labels.extend(label for label in labels if label not in view.labels)
        verdict = inner(view)
        if verdict is None or verdict.reply is None:
            view.inserted.extend(inserted)
        return verdict

    return act


def _act(kind: str, setting: Document, mark: Mark, context: Context) -> Act:
    if kind == "Block":
        blocked = Verdict("BLOCK", mark, block_reply(setting, context))
        return lambda _view: blocked
    if kind == "Allow":
        allowed = Verdict("ALLOW", mark)
        return lambda _view: allowed
    if kind == "Count":
        return lambda view: view.matched.append(mark)
    return _ask(kind.lower(), mark, context)


def _ask(kind: str, mark: Mark, context: Context) -> Act:
    """A valid token makes it a count; without one the client is asked for it."""
    tokens = context.tokens
    immunity = context.captcha_immunity if kind == "captcha" else context.challenge_immunity
    if tokens is None:
        raise ValueError("a web ACL with tokens needs their key")

    def act(view: View) -> Verdict | None:
        if tokens.accepts(kind, view, immunity):
            view.matched.append(mark)
            return None
        return Verdict(kind.upper(), mark, tokens.page(kind, view))

    return act


def _inserted(setting: Document) -> list[tuple[str, str]]:
    handling = setting.get("CustomRequestHandling") or {}
    return [(INSERTED + each["Name"].lower(), each["Value"]) for each in handling.get("InsertHeaders", ())]


def block_reply(setting: Document, context: Context | None = None) -> Reply:
    """Block's: 403, or the custom response."""
    custom = setting.get("CustomResponse")
    if not custom:
        return Reply(403, (("content-type", "text/html"),), _page(403))
    headers = [(each["Name"].lower(), each["Value"]) for each in custom.get("ResponseHeaders", ())]
    key = custom.get("CustomResponseBodyKey")
    if key is None:
        return Reply(custom["ResponseCode"], tuple(headers))
    body = context.bodies[key] if context is not None else {}
    headers.append(("content-type", CONTENT_TYPES[body["ContentType"]]))
    return Reply(custom["ResponseCode"], tuple(headers), body["Content"].encode())


def _page(status: int) -> bytes:
    title = f"{status} {HTTPStatus(status).phrase}"
    text = "The request was blocked by the web ACL of this distribution."
    return (
        f"<!doctype html><html lang=en><head><title>{title}</title></head><body><h1>{title}</h1>"
        f"<p>{text}</p></body></html>"
    ).encode()
