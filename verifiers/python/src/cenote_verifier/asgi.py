"""For ASGI (Starlette, FastAPI, ..): every request needs a live token, and a WebSocket is closed once its token is dead."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, Collection, Mapping, MutableMapping

from .bearer import bearer
from .errors import Refusal
from .guards import Guard, Policy
from .signatures import WouldBlock
from .verifier import CenoteVerifier, Verified

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PATIENCE = 5.0


class CenoteMiddleware:
    """`policies` chooses a policy by path prefix, `public` lists prefixes that need no token. `scope["cenote"]` and, for Starlette,
    `request.state.cenote` hold claims, header, verdict and token. Browsers cannot send headers with a WebSocket:
    `websocket_token(scope)` may find the token elsewhere, such as in a subprotocol."""

    def __init__(
        self,
        app: App,
        verifier: CenoteVerifier,
        *,
        policy: Policy | None = None,
        policies: Mapping[str, Policy] | None = None,
        public: Collection[str] = (),
        token_use: str | Collection[str] | None = None,
        audience: str | Collection[str] | None = None,
        websocket_token: Callable[[Scope], str | None] | None = None,
    ) -> None:
        self.app = app
        self.verifier = verifier
        self._policy: Policy | None = policy
        listed: list[tuple[str, Policy]] = list((policies or {}).items())
        self._policies = sorted(listed, key=lambda item: -len(item[0]))
        self._public = tuple(public)
        self._token_use = token_use
        self._audience = audience
        self._websocket_token = websocket_token
        for one in (policy, *(policies or {}).values()):
            verifier.uses(one)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            self.verifier.start()
        if kind not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        path = _route_path(scope)
        if any(_is_under(path, prefix) for prefix in self._public):
            return await self.app(scope, receive, send)
        policy = self._policy
        for prefix, one in self._policies:
            if _is_under(path, prefix):
                policy = one
                break
        try:
            verified = await self._verify(self._token(scope), policy)
        except Refusal as refusal:
            return await (_refuse if kind == "http" else _refuse_websocket)(scope, receive, send, refusal)
        scope["cenote"] = verified
        scope.setdefault("state", {})["cenote"] = verified
        if kind == "http":
            return await self.app(scope, receive, send)
        with self.verifier.guard(verified.claims, verified.header, token=verified.token, policy=policy) as guard:
            await _Socket(self.app, guard, receive, send).run(scope)

    async def _verify(self, token: str, policy: Policy | None) -> Verified:
        options: Any = {"policy": policy, "token_use": self._token_use, "audience": self._audience}
        try:
            return self.verifier.verify(token, **options, may_wait=False)
        except WouldBlock:
            return await asyncio.to_thread(self.verifier.verify, token, **options)

    def _token(self, scope: Scope) -> str:
        if scope["type"] == "websocket" and self._websocket_token:
            found = self._websocket_token(scope)
            if found:
                return found
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        return bearer(headers[0].decode("latin-1") if len(headers) == 1 else None)


class _Socket:
    """Runs the application between the server and the guard."""

    def __init__(self, app: App, guard: Guard, receive: Receive, send: Send) -> None:
        self._app = app
        self._guard = guard
        self._receive = receive
        self._send = send
        self._is_accepted = self._is_closed = False
        self._pending: asyncio.Future[Message] | None = None
        self._ended = asyncio.Event()
        self._code = 4001

    async def run(self, scope: Scope) -> None:
        running: asyncio.Future[Any] = asyncio.ensure_future(self._app(scope, self.receive, self.send))
        revoked: asyncio.Future[Any] = self._guard.revoked
        try:
            await asyncio.wait({running, revoked}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                dead = revoked.result().reason == "session_revoked"
                await self._end(*((4001, "session revoked") if dead else (1013, "try again later")))
                # The application sees a disconnect; one that does not look is ended.
                await asyncio.wait({running}, timeout=_PATIENCE)
        finally:
            revoked.cancel()
            if self._pending:
                self._pending.cancel()
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        if not running.cancelled():
            running.result()

    async def receive(self) -> Message:
        """What the server says, or a disconnect once the guard has fired."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._receive())
        ended: asyncio.Future[Any] = asyncio.ensure_future(self._ended.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {self._pending, ended}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if self._ended.is_set():
            return {"type": "websocket.disconnect", "code": self._code, "reason": "session revoked"}
        message, self._pending = self._pending.result(), None
        return message

    async def send(self, message: Message) -> None:
        if self._ended.is_set():
            raise OSError("the session was revoked, and the WebSocket is closed")
        self._is_accepted |= message["type"] == "websocket.accept"
        self._is_closed |= message["type"] in ("websocket.close", "websocket.http.response.start")
        await self._send(message)

    async def _end(self, code: int, reason: str) -> None:
        self._code = code
        self._ended.set()
        if not self._is_closed:
            self._is_closed = True
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
            except OSError:
                pass  # The other side was faster.


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    await send({"type": "http.response.start", "status": refusal.status, "headers": _headers(refusal)})
    await send({"type": "http.response.body", "body": refusal.body})


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Before the handshake is accepted: with the status where the server can, else its usual 403."""
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": _headers(refusal)})
        await send({"type": "websocket.http.response.body", "body": refusal.body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.description})


def _headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    headers = {**refusal.headers, "Content-Length": str(len(refusal.body))}
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def _route_path(scope: Scope) -> str:
    """The path as routes see it: a proxy, or whoever mounted us, has put `root_path` before it."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    return path[len(root) :] or "/" if root and _is_under(path, root) else path


def _is_under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")
