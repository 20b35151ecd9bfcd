"""Requests with a bound on time and bytes, and the bearer token that opens the feed. Redirects are not followed."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Mapping, TypeVar
from urllib.parse import quote, urlsplit

from .errors import CenoteError, ServerError
from .tls import Tls

_AGENT = "cenote-verifier-python"
# What stands before a server may ask for minutes, which would leave us EXPIRED long after it is back.
_MOST_PATIENCE = 5.0

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """All that are open, so that one thread can end those whose time is over."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[Connection] = set()
        self._ended = False

    def open(self) -> Connection:
        connection = Connection(self._tls)
        with self._lock:
            self._open.add(connection)
            if self._ended:
                connection.abort(for_good=True)
        return connection

    def close(self, connection: Connection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        connection = self.open()
        try:
            yield connection
        finally:
            self.close(connection)

    def abort_late(self) -> None:
        with self._lock:
            known = list(self._open)
        for connection in known:
            connection.abort_if_late()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            known = list(self._open)
        for connection in known:
            connection.abort(for_good=True)


class Connection:
    """Keeps one connection alive. For one thread; only `abort` may be called by others."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._origin: tuple[str, str] | None = None
        self._http: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._deadline = float("inf")
        self._aborted = self._ended = False

    def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 5.0,
        limit: int = 1 << 18,
    ) -> Answer:
        self._deadline = time.monotonic() + timeout
        self._aborted = False
        try:
            if self._ended:
                raise ConnectionAbortedError("the verifier was stopped")
            return self._ask(url, method, {"User-Agent": _AGENT, **(headers or {})}, body, limit)
        except CenoteError:
            self.close()
            raise
        except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
            self.close()
            raise ServerError(f"{_short(url)} cannot be reached: {type(error).__name__}: {error}") from error
        finally:
            self._deadline = float("inf")

    def close(self) -> None:
        if self._http:
            self._http.close()
        self._http = self._socket = None

    def abort(self, *, for_good: bool = False) -> None:
        """Ends a request that is under way in another thread; `for_good`: and lets no other begin."""
        self._aborted = True
        self._ended |= for_good
        sock = self._socket
        if sock is not None:
            try:
                # Of the plain socket: TLS has a state that belongs to the other thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass

    def abort_if_late(self) -> None:
        """A server that sends one byte now and then would otherwise hold the request for ever."""
        if time.monotonic() > self._deadline + 0.5:
            self.abort()

    def _ask(self, url: str, method: str, headers: dict[str, str], body: bytes | None, limit: int) -> Answer:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kept = self._http is not None and self._origin == (parts.scheme, parts.netloc)
        try:
            response = self._send(parts.scheme, parts.netloc, method, path, headers, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not kept or self._aborted:
                raise
            # The server closed a connection that was idle: that says nothing about the server.
            self.close()
            response = self._send(parts.scheme, parts.netloc, method, path, headers, body)
        inflate = zlib.decompressobj(31) if response.headers.get("content-encoding") == "gzip" else None
        chunks: list[bytes] = []
        length = 0
        while chunk := self._patiently(lambda: response.read1(1 << 16)):
            if inflate:
                chunk = inflate.decompress(chunk, limit + 1 - length)
            length += len(chunk)
            if length > limit:
                raise ServerError(f"{_short(url)} answered more than {limit} bytes", status=response.status)
            chunks.append(chunk)
        # `read1` does not notice the end by itself; the connection is kept.
        response.close()
        if inflate and not inflate.eof:
            raise ServerError(f"{_short(url)} was cut short", status=response.status)
        told = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, told, b"".join(chunks))

    def _send(
        self, scheme: str, netloc: str, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> http.client.HTTPResponse:
        if self._http is None or self._origin != (scheme, netloc):
            self.close()
            left = max(self._deadline - time.monotonic(), 0.01)
            if scheme == "https":
                self._http = http.client.HTTPSConnection(netloc, timeout=left, context=self._tls.context())
            else:
                self._http = http.client.HTTPConnection(netloc, timeout=left)
            self._origin = (scheme, netloc)
            self._http.connect()
            self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self._http
        self._socket = connection.sock
        self._patiently(lambda: connection.request(method, path, body, headers))
        return self._patiently(connection.getresponse)

    def _patiently(self, step: Callable[[], T]) -> T:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server takes too long")
        if self._socket is not None:
            self._socket.settimeout(left)
        return step()


def ask_json(connection: Connection, url: str, **options: Any) -> dict[str, Any]:
    """The JSON object of a 200; anything else raises."""
    answer = connection.ask(url, **options)
    if answer.status != 200:
        raise failed(url, answer)
    value = _parsed(answer.body)
    if value is None:
        raise ServerError(f"{_short(url)} answered no JSON object", status=200)
    return value


def failed(url: str, answer: Answer) -> ServerError:
    """The error of an answer that is not the one wanted."""
    told = _parsed(answer.body) or {}
    error, description = (told.get(name) for name in ("error", "error_description"))
    words = [text[:200] for text in (error, description) if isinstance(text, str)]
    try:
        after: float | None = min(float(answer.headers.get("retry-after", "")), _MOST_PATIENCE)
    except ValueError:
        after = None
    message = f"{_short(url)} answered {answer.status}" + "".join(f" {word}" for word in words)
    return ServerError(
        message,
        status=answer.status,
        error=error if isinstance(error, str) else None,
        retry_after=after if after and after > 0 else None,
    )


def safe_url(url: str, what: str, allow_http: bool) -> str:
    """https, or plain http on this machine: everything here carries secrets or decides who comes in."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    local = host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and (local or allow_http))):
        raise ValueError(f"{what} must begin with https://, or set allow_http: {url}")
    return url


class ClientCredentials:
    """An access token by client credentials, renewed before it ends."""

    def __init__(self, client_id: str, client_secret: str, mono: Callable[[], float]) -> None:
        user, password = quote(client_id, safe=""), quote(client_secret, safe="")
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._mono = mono
        self._lock = threading.Lock()
        self._token: tuple[str, float, float] | None = None  # text, renew at, ends at

    def token(self, connection: Connection, endpoint: str) -> str:
        """The token to send now. One that has begun its last fifth, or minute, is renewed; while that fails it still serves."""
        with self._lock:
            now = self._mono()
            if self._token and now < self._token[1]:
                return self._token[0]
            try:
                self._token = self._renewed(connection, endpoint)
            except ServerError:
                if not self._token or now >= self._token[2]:
                    raise
            return self._token[0]

    def forget(self, text: str) -> None:
        """The server refused this token: the next request gets another."""
        with self._lock:
            if self._token and self._token[0] == text:
                self._token = None

    def _renewed(self, connection: Connection, endpoint: str) -> tuple[str, float, float]:
        asked = self._mono()
        headers = {"Authorization": self.basic, "Content-Type": "application/x-www-form-urlencoded"}
        body = b"grant_type=client_credentials&scope=revocations%2Fread"
        told = ask_json(connection, endpoint, method="POST", headers=headers, body=body)
        text, life = told.get("access_token"), told.get("expires_in")
        if not isinstance(text, str):
            raise ServerError(f"{endpoint} answered no access_token", status=200)
        seconds = float(life) if isinstance(life, (int, float)) and life > 0 else 300.0
        return (text, asked + seconds - min(60.0, seconds / 5), asked + seconds)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _short(url: str) -> str:
    return url.partition("?")[0]
