"""The Open Inference Protocol, version 2, over HTTP: ``/v2/…`` for KServe's and Triton's clients.

What models there are ``offering`` says. Whoever may call the place's APIs may ask here; health is told to all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Any, Final
from urllib.parse import unquote

from littoral.aws.service import Principal, ServiceError
from littoral.models.registry.onnxfile import Tensor
from littoral.models.registry.refusal import NoSuch
from littoral.models.serving.answers import Ask, CannotServe
from littoral.models.serving.offering import Offered, Offers
from littoral.net.message import BodyError, BodyTooLarge, Headers, Request, Response, json_response

MOST_BODY: Final = 64 * 1024 * 1024
HEADER_LENGTH: Final = "inference-header-content-length"
STATUSES: Final = {"input": 400, "model": 500, "busy": 503, "gone": 503}


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Inference:
    offers: Offers
    authenticate: Callable[[Request], Awaitable[Principal]]  # raises ServiceError

    async def handle(self, request: Request) -> Response:
        words = [unquote(word) for word in request.raw_path.strip("/").split("/")[1:]]
        try:
            if words[:1] == ["health"]:
                return _health(request, words[1:])
            await self.authenticate(request)
            return await self._answer(request, words)
        except Refused as problem:
            return _error(problem.status, str(problem))
        except NoSuch as problem:
            return _error(404, str(problem))
        except CannotServe as problem:
            return _error(STATUSES[problem.kind], str(problem))
        except ServiceError as problem:
            return _error(problem.status or 403, problem.message)
        except BodyTooLarge as problem:
            return _error(413, str(problem))
        except BodyError as problem:
            return _error(400, str(problem))

    async def _answer(self, request: Request, words: list[str]) -> Response:
        match words:
            case []:
                _get(request)
                about = {"name": "littoral", "version": version_of("littoral"), "extensions": ["binary_tensor_data"]}
                return json_response(200, about)
            case ["repository", "index"]:
                return json_response(200, self._index())
            case ["models", name, *rest] if rest[:1] != ["versions"]:
                version = ""
            case ["models", name, "versions", version, *rest] if version:
                pass
            case _:
                raise Refused(404, f"there is no {request.raw_path}")
        async with self.offers.asking(name, version) as offered:
            return await self._of_model(request, offered, rest)

    async def _of_model(self, request: Request, offered: Offered, rest: list[str]) -> Response:
        match rest:
            case []:
                _get(request)
                return json_response(200, await self._metadata(offered))
            case ["ready"]:
                _get(request)
                await self.offers.server.load(offered.artifact)
                return json_response(200, {"name": offered.name, "ready": True})
            case ["infer"]:
                return await self._infer(request, offered)
        raise Refused(404, f"there is no {request.raw_path}")

    async def _metadata(self, offered: Offered) -> dict[str, Any]:
        inputs, outputs = await offered.tensors()
        return {
            "name": offered.name,
            "versions": self.offers.versions(offered.name),
            "platform": "onnxruntime_onnx",
            "inputs": [_tensor(each) for each in inputs],
            "outputs": [_tensor(each) for each in outputs],
        }

    def _index(self) -> list[Mapping[str, str]]:
        offered = self.offers.all()
        loaded = set(self.offers.server.loaded()) if offered else set()
        return [
            {
                "name": name,
                "version": version,
                "state": "READY" if sha256 in loaded else "UNAVAILABLE",
                "reason": "" if sha256 in loaded else "loaded when it is asked for",
            }
            for name, version, sha256 in offered
        ]

    async def _infer(self, request: Request, offered: Offered) -> Response:
        if request.method != "POST":
            raise Refused(405, "infer is asked by POST")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "a compressed body is not taken")
        length = request.headers.get(HEADER_LENGTH)
        if length is not None and not (length.isascii() and length.isdigit()):
            raise Refused(400, f"Inference-Header-Content-Length is no number: {length[:40]}")
        body = await request.body.read(MOST_BODY)
        about = {"model_name": offered.name, "model_version": offered.version}
        ask = Ask("oip", body, header=None if length is None else int(length), about=about)
        answer = await self.offers.server.infer(offered.artifact, ask)
        headers = [("content-type", "application/json" if answer.header is None else "application/octet-stream")]
        if answer.header is not None:
            headers.append((HEADER_LENGTH, str(answer.header)))
        return Response(200, Headers.of(headers), answer.body)


def _health(request: Request, words: list[str]) -> Response:
    if words not in (["live"], ["ready"]):
        raise Refused(404, f"there is no {request.raw_path}")
    _get(request)
    return json_response(200, {words[0]: True})  # which KServe's client reads


def _get(request: Request) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise Refused(405, f"{request.raw_path} is asked by GET")


def _tensor(tensor: Tensor) -> dict[str, Any]:
    shape = [length if isinstance(length, int) else -1 for length in tensor.shape]
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}


def _error(status: int, message: str) -> Response:
    return json_response(status, {"error": message})
