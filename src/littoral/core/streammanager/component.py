"""aws.greengrass.StreamManager as a deployment configures it. Source: "Configure AWS IoT Greengrass stream manager"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.core.recipe import BadComponent
from littoral.core.streammanager.exports import Exports
from littoral.core.streammanager.server import StreamServer
from littoral.core.streammanager.streams import MessageStreams
from littoral.core.tes import port_of

NAME: Final = "aws.greengrass.StreamManager"
PORT, AUTHENTICATE = "STREAM_MANAGER_SERVER_PORT", "STREAM_MANAGER_AUTHENTICATE_CLIENT"
BANDWIDTH, THREADS = "STREAM_MANAGER_EXPORTER_MAX_BANDWIDTH", "STREAM_MANAGER_EXPORTER_THREAD_POOL_SIZE"
DEFAULTS: Final = {PORT: "8088", AUTHENTICATE: "true", THREADS: "5"}
MOST_THREADS: Final = 100


@dataclass(frozen=True, slots=True)
class Settings:
    port: int
    authenticates: bool
    threads: int  # batches under way at once
    rate: float | None  # bytes a second


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Raises BadComponent, also for what AWS's has and this one has not."""
    known = {PORT, AUTHENTICATE, BANDWIDTH, THREADS}
    for name, value in configuration.items():
        if name not in known and value not in ("", None):
            raise BadComponent(f"{NAME}: {name} is not served by Littoral's cores; {', '.join(sorted(known))} are")
    authenticate = str(configuration.get(AUTHENTICATE, "true")).lower()
    if authenticate not in ("true", "false"):
        raise BadComponent(f"{NAME}: {AUTHENTICATE} must be true or false")
    threads = _positive(configuration, THREADS) or 5
    if threads > MOST_THREADS:
        raise BadComponent(f"{NAME}: {THREADS} is at most {MOST_THREADS}")
    kilobits = _positive(configuration, BANDWIDTH)
    rate = kilobits * 1000 / 8 if kilobits else None
    return Settings(port_of(configuration, PORT, NAME), authenticate == "true", threads, rate)


def _positive(configuration: Mapping[str, Any], member: str) -> int | None:
    text = str(configuration.get(member) or "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise BadComponent(f"{NAME}: {member} must be a number, and not 0")
    return int(text)


class StreamManager:
    """What is in the streams stays when the component is not deployed any more, and is there when it is again."""

    def __init__(self, streams: MessageStreams, exports: Exports, known: Callable[[str], str | None]) -> None:
        self._streams = streams
        self._exports = exports
        self._known = known  # the component of a token
        self._settings: Settings | None = None
        self._server: StreamServer | None = None
        self._loaded = False

    @property
    def port(self) -> int:
        return self._server.port if self._server is not None else 0

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        settings = None if configuration is None else settings_of(configuration)
        if settings == self._settings:
            return
        await self.close()
        if settings is None:
            return
        if not self._loaded:
            await self._streams.load()
            self._loaded = True
        server = StreamServer(self._streams, self._admits if settings.authenticates else _anybody)
        try:
            await server.start(settings.port)
        except OSError as problem:
            raise BadComponent(f"port {settings.port} cannot be listened on: {problem}") from problem
        self._server, self._settings = server, settings
        self._exports.start(settings.threads, settings.rate)

    async def close(self) -> None:
        self._settings = None
        if self._server is not None:
            await self._server.close()
            self._server = None
        await self._exports.close()

    def _admits(self, token: object) -> bool:
        return isinstance(token, str) and self._known(token) is not None


def _anybody(_token: object) -> bool:
    return True
