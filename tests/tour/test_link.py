import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from littoral.tour.link import Link


@pytest.fixture
def echo() -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1000):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_the_path_goes_away_and_comes_back(echo: int) -> None:
    with Link("127.0.0.1", echo) as link:
        through = socket.create_connection(("127.0.0.1", link.port), timeout=5)
        through.sendall(b"one")
        assert through.recv(10) == b"one"

        link.cut()
        assert not link.up
        with pytest.raises(ConnectionResetError):
            through.recv(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", link.port), timeout=5)

        link.restore()
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as again:
            again.sendall(b"two")
            assert again.recv(10) == b"two"
        through.close()


def test_an_unreachable_target_resets_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with Link("127.0.0.1", free) as link:
        try:
            through = socket.create_connection(("127.0.0.1", link.port), timeout=5)
        except ConnectionResetError:  # so quickly that the connecting itself sees it
            return
        with through:
            assert_dead(through)


def assert_dead(through: socket.socket) -> None:
    try:
        assert through.recv(10) == b""
    except ConnectionResetError:
        return


def test_a_connection_that_never_says_anything_is_cut_too() -> None:
    """The far side accepts and is silent, as a server does that waits for a handshake."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Link("127.0.0.1", silent.getsockname()[1]) as link:
        for _ in range(20):
            through = socket.create_connection(("127.0.0.1", link.port), timeout=5)
            link.cut()
            assert_dead(through)
            through.close()
            link.restore()
