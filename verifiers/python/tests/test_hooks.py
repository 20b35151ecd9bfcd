"""PyJWT and ASGI, without and with the hook."""

import asyncio
import json
import socket
import threading
import time
import types

import jwt
import pytest
import uvicorn
import websockets
from fake import BORN, CLIENT, REVOKED, cut_off, payload_of, stale_then_expired, until
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from cenote_verifier import MissingTokenError, RevokedError, UnavailableError, errors
from cenote_verifier.asgi import CenoteMiddleware
from cenote_verifier.bearer import bearer
from cenote_verifier.pyjwt import CenoteJWT


def test_pyjwt_takes_a_revoked_token_alone_and_refuses_it_with_the_feed(fake, follow, sign_out):
    verifier = follow()
    token = fake.token(BORN)
    key = jwt.PyJWK.from_dict(fake.jwks()["keys"][0]).key
    live = CenoteJWT(verifier)
    assert live.decode(token, key, algorithms=["RS256"])["sub"] == "ann"
    sign_out(verifier)
    assert jwt.decode(token, key, algorithms=["RS256"])["sub"] == "ann"
    with pytest.raises(RevokedError):
        live.decode(token, key, algorithms=["RS256"])
    # Who catches PyJWT's errors catches ours.
    with pytest.raises(jwt.InvalidTokenError):
        live.decode_complete(token.encode(), key, algorithms=["RS256"])
    assert live.decode(fake.token(), key, algorithms=["RS256"])["sub"] == "ann"
    with pytest.raises(jwt.InvalidTokenError):
        live.decode(fake.token(session="no-uuid"), key, algorithms=["RS256"])


def test_pyjwt_where_nobody_can_say_whether_the_token_lives(fake, follow, clock):
    verifier = follow()
    key = jwt.PyJWK.from_dict(fake.jwks()["keys"][0]).key
    cut_off(fake, clock)
    with pytest.raises(UnavailableError):
        CenoteJWT(verifier).decode(fake.token(), key, algorithms=["RS256"])
    assert CenoteJWT(verifier, policy="open").decode(fake.token(), key, algorithms=["RS256"])["sub"] == "ann"


def test_pyjwt_lets_no_impostor_through(fake, follow, impostors):
    live = CenoteJWT(follow(), audience=CLIENT)
    key = jwt.PyJWK.from_dict(fake.jwks()["keys"][0]).key
    live.decode(fake.token(), key, algorithms=["RS256"])
    for what, token in impostors.items():
        with pytest.raises(jwt.InvalidTokenError):
            live.decode(token, key, algorithms=["RS256"], audience=CLIENT if what == "another use" else None)
    ids = CenoteJWT(follow(), token_use="id")
    ids.decode(fake.token(use="id"), key, algorithms=["RS256"], audience=CLIENT)
    with pytest.raises(errors.InvalidTokenError) as refused:
        ids.decode(fake.token(), key, algorithms=["RS256"])
    assert refused.value.reason == "token_use"


def test_what_something_else_has_verified_by_another_algorithm_is_not_vouched_for(fake, follow):
    verifier = follow()
    claims = payload_of(fake.token())
    assert verifier.check(claims, {"kid": fake.kid, "alg": "RS256"}).by == "feed"
    for alg in ("HS256", "none", None):
        with pytest.raises(errors.InvalidTokenError):
            verifier.check(claims, {"kid": fake.kid, "alg": alg})


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Bearer a b", "Bearer  ", "Bearer é"])
def test_what_is_no_bearer_token(header):
    with pytest.raises(MissingTokenError):
        bearer(header)


class Serving:
    """An ASGI application on a real server, in a thread."""

    def __init__(self, app):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(app, log_level="critical", ws="websockets-sansio", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    def __enter__(self):
        self.thread.start()
        until(lambda: self.server.started)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()

    def get(self, path, authorization=None):
        return asyncio.run(self._get(path, authorization))

    async def _get(self, path, authorization):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        extra = f"Authorization: {authorization}\r\n" if authorization else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition("\r\n\r\n")
        lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        return types.SimpleNamespace(status=int(lines[0].split()[1]), headers=headers, body=body)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def application(seen):
    async def me(request):
        verified = request.state.cenote
        return JSONResponse({"sub": verified.claims["sub"], "by": verified.verdict.by})

    async def other(request):
        return JSONResponse({})

    async def echo(websocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect as gone:
            seen.append(gone.code)

    async def deaf(websocket):
        await websocket.accept()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    routes = [Route(path, other) for path in ("/pay", "/pay/now", "/news", "/health", "/mine")]
    return Starlette(routes=[Route("/me", me), *routes, WebSocketRoute("/echo", echo), WebSocketRoute("/deaf", deaf)])


def test_asgi_200_then_401_that_leads_to_sign_in_and_503_where_nobody_can_say(
    fake, follow, sign_out, clock, application, impostors
):
    verifier = follow()
    routes = {"policies": {"/pay": "closed", "/news": "open"}, "public": ["/health"]}
    app = CenoteMiddleware(application, verifier, audience=CLIENT, **routes)
    token, bob = fake.token(BORN), f"Bearer {fake.token(sub='bob')}"
    with Serving(app) as server:
        assert server.get("/health").status == 200
        for what, impostor in impostors.items():
            assert server.get("/mine", f"Bearer {impostor}").status == 401, what
        me = server.get("/me", f"Bearer {token}")
        assert (me.status, json.loads(me.body)) == (200, {"sub": "ann", "by": "feed"})
        none = server.get("/me")
        assert (none.status, none.headers["www-authenticate"]) == (401, "bearer")
        for bad in ("Bearer", "Basic YTpi", "Bearer x.y.z", f"Bearer {token}x"):
            assert server.get("/me", bad).status == 401, bad
        sign_out(verifier)
        revoked = server.get("/me", f"Bearer {token}")
        assert (revoked.status, revoked.headers["www-authenticate"]) == (401, REVOKED.lower())
        assert json.loads(revoked.body) == {"error": "invalid_token", "error_description": "session revoked"}
        stale_then_expired(fake, clock, bob[7:], lambda path, token: server.get(path, f"Bearer {token}").status)
        closed = server.get("/pay/now", bob)
        assert (closed.status, closed.headers["retry-after"]) == (503, "2")
        assert server.get("/news", bob).status == 200
        assert server.get("/news", f"Bearer {token}").status == 401


def test_asgi_prefixes_are_of_the_routes_and_not_of_what_a_proxy_puts_before_them(fake, follow, application, clock):
    # Under a mount, as under --root-path of uvicorn, the path of the scope begins with root_path.
    inner = CenoteMiddleware(application, follow(), policies={"/pay": "closed"}, public=["/health"])
    cut_off(fake, clock)
    bob = fake.token(sub="bob")
    fake.active.add(bob)
    with Serving(Starlette(routes=[Mount("/api", app=inner)])) as server:
        fake.intercept = lambda request: (503, {}, {}) if request["path"].startswith("/revocations/") else None
        assert server.get("/api/health").status == 200
        assert server.get("/api/pay", f"Bearer {bob}").status == 503
        assert server.get("/api/me", f"Bearer {bob}").status == 200
        assert server.get("/api/healthy", None).status == 401


def connected(server, path, token):
    return websockets.connect(
        f"ws://127.0.0.1:{server.port}{path}", additional_headers={"Authorization": f"Bearer {token}"}
    )


def test_a_websocket_closes_with_4001_within_a_second_and_a_refresh_does_not_close_it(fake, follow, application, seen):
    verifier = follow()
    token = fake.token(BORN)

    async def talk(server):
        async with connected(server, "/echo", token) as ann, connected(server, "/echo", fake.token(sub="bob")) as bob:
            # A refresh makes a new token of the same session, and no record.
            session = jwt.decode(token, options={"verify_signature": False})["origin_jti"]
            await asyncio.to_thread(verifier.verify, fake.token(session=session))
            await ann.send("still here")
            assert await asyncio.wait_for(ann.recv(), 1) == "still here"
            began = time.monotonic()
            fake.publish("U", "ann", BORN + 1)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(ann.recv(), 1)
            assert time.monotonic() - began < 1
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "session revoked")
            await bob.send("me too")
            assert await asyncio.wait_for(bob.recv(), 1) == "me too"
            assert verifier.status["guards"] == 1

    with Serving(CenoteMiddleware(application, verifier)) as server:
        asyncio.run(talk(server))
        until(lambda: verifier.status["guards"] == 0)
    assert seen[0] == 4001


def test_a_websocket_whose_application_does_not_listen_is_closed_too(fake, follow, application, seen, monkeypatch):
    monkeypatch.setattr("cenote_verifier.asgi._PATIENCE", 0.2)
    verifier = follow()

    async def talk(server):
        async with connected(server, "/deaf", fake.token(BORN)) as socket:
            fake.publish("U", "ann", BORN + 1)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 1)
            assert closed.value.rcvd.code == 4001

    with Serving(CenoteMiddleware(application, verifier)) as server:
        asyncio.run(talk(server))
        until(lambda: seen == ["cancelled"])


def test_a_websocket_without_a_live_token_is_refused_at_the_handshake(fake, follow, sign_out, application):
    verifier = follow()
    sign_out(verifier)

    async def knock(server, token):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connected(server, "/echo", token):
                pass
        return refused.value.response

    with Serving(CenoteMiddleware(application, verifier)) as server:
        response = asyncio.run(knock(server, fake.token(BORN)))
        assert (response.status_code, response.headers["www-authenticate"]) == (401, REVOKED)
        assert asyncio.run(knock(server, "nonsense")).status_code == 401


def test_asgi_the_token_of_a_websocket_may_be_elsewhere(fake, follow, application):
    def of_query(scope):
        return scope["query_string"].decode().partition("t=")[2]

    async def talk(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/echo?t={fake.token()}") as ws:
            await ws.send("hello")
            return await asyncio.wait_for(ws.recv(), 1)

    with Serving(CenoteMiddleware(application, follow(), websocket_token=of_query)) as server:
        assert asyncio.run(talk(server)) == "hello"
