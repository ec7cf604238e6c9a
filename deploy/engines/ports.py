"""Ports on the loopback interface."""

import random
import socket
import threading

LOOPBACK = "127.0.0.1"

# Below the range that Linux takes for outgoing connections, so that none of those can be in the way.
_RANGE = range(20_000, 32_000)
_given: set[int] = set()
_lock = threading.Lock()


class PortError(RuntimeError):
    """No port can be had."""


def is_free(port: int) -> bool:
    """Whether a program could listen on this loopback port now."""
    with socket.socket() as probe:
        # Servers set this too: a connection that lingers after its server's end does not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free and was not given to another caller in this process.

    Raises:
        PortError: none was found.
    """
    with _lock:
        for port in random.sample(_RANGE, k=1_000):
            if port not in _given and is_free(port):
                _given.add(port)
                return port
    raise PortError(f"no free port among 1,000 tried between {_RANGE.start} and {_RANGE.stop} on {LOOPBACK}")


def accepts(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
