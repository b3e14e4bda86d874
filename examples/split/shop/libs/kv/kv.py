"""Enough of Redis' protocol to keep a shop's orders."""

import os
import socket


def ask(*words):
    """Sends one command on a connection of its own and gives the answer: text, number, list or None."""
    address = os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"])
    with socket.create_connection(address, timeout=5) as connection, connection.makefile("rwb") as stream:
        if os.environ.get("REDIS_PASSWORD"):
            _send(stream, "AUTH", os.environ["REDIS_USERNAME"], os.environ["REDIS_PASSWORD"])
            _answer(stream)
        _send(stream, *words)
        return _answer(stream)


def key(name):
    """A name of one's own: several users share a server."""
    return f"{os.environ.get('REDIS_DATABASE', '')}:{name}"


def _send(stream, *words):
    encoded = [str(word).encode() for word in words]
    stream.write(b"*%d\r\n" % len(encoded))
    for word in encoded:
        stream.write(b"$%d\r\n%s\r\n" % (len(word), word))
    stream.flush()


def _answer(stream):
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [_answer(stream) for _ in range(int(rest))]
    return rest.decode()
