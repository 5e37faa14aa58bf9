"""The ``http`` action: a POST to an endpoint that was confirmed as a topic rule destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.rules.actions.base import Action, ActionFailed, BadAction, Parameters, SigV4, Sinks, failed
from littoral.things.rules.endpoint import check_url, covers

MAX_HEADERS: Final = 100
_OURS: Final = frozenset(("host", "content-length", "transfer-encoding", "connection", "authorization"))


@dataclass(frozen=True, slots=True)
class HttpAction:
    url: Template
    confirmation: str | None  # the destination that goes with it; None where templates choose
    headers: tuple[tuple[str, Template], ...]
    sigv4: SigV4 | None
    kind: str = "HttpAction"

    def resource(self, context: Context) -> str:
        return self.url.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        if sinks.web is None:
            raise ActionFailed("This place sends no requests for rules", passing=False)
        headers = [(name, value.evaluate(context)) for name, value in self.headers]
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("content-type", "application/json" if selected.is_json else "application/octet-stream"))
        try:
            status = await sinks.web.post(self.resource(context), headers, selected.payload, self.sigv4)
        except Exception as error:
            raise failed(error) from error
        if not 200 <= status < 300:
            passing = status == 429 or status >= 500
            raise ActionFailed(f"The endpoint answered {status}", passing=passing)


def read(parameters: Parameters) -> Action:
    parameters.check({"url"}, {"confirmationUrl", "headers", "auth"})
    url, confirmation = parameters.template("url"), parameters.maybe("confirmationUrl")
    _check(url, confirmation)
    named = confirmation or url
    return HttpAction(url, named.text if named.constant else None, _headers(parameters), _auth(parameters))


def _check(url: Template, confirmation: Template | None) -> None:
    """ "url must begin with confirmationUrl"; with templates in the URL there must be one."""
    for template in (url, confirmation):
        if template is not None and template.constant and (problem := check_url(template.text)) is not None:
            raise BadAction(f"http: {problem}")
    if confirmation is None:
        if not url.constant:
            raise BadAction("http.confirmationUrl is needed where url has a substitution template")
    elif confirmation.constant and not covers(confirmation.text, url.text):
        raise BadAction("http.url must begin with http.confirmationUrl")


def _headers(parameters: Parameters) -> tuple[tuple[str, Template], ...]:
    given = parameters.given.get("headers", ())
    if len(given) > MAX_HEADERS:
        raise BadAction(f"http.headers has at most {MAX_HEADERS} headers")
    for header in given:
        if header["key"].lower() in _OURS:
            raise BadAction(f"http.headers: {header['key']} is set by the place")
    return tuple((header["key"], parameters.compiled(header["value"])) for header in given)


def _auth(parameters: Parameters) -> SigV4 | None:
    auth = parameters.within("auth")
    auth.check(set(), {"sigv4"})
    if not auth.given:
        return None
    sigv4 = auth.within("sigv4")
    sigv4.check({"signingRegion", "serviceName", "roleArn"})
    return SigV4(sigv4.given["signingRegion"], sigv4.given["serviceName"])
