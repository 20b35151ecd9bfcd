"""The libraries and frameworks that people have, without and with the hook."""

import asyncio
import json
import socket
import threading
import time
import types

import django
import jwt
import pytest
import uvicorn
import websockets
from django.conf import settings
from django.http import JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from fake import BORN, until
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from cenote_verifier import MissingTokenError, RevokedError, UnavailableError
from cenote_verifier.asgi import CenoteMiddleware
from cenote_verifier.bearer import bearer
from cenote_verifier.pyjwt import CenoteJWT

REVOKED = 'Bearer error="invalid_token", error_description="session revoked", max_age=0'


@pytest.fixture
def sign_out(fake, caught_up):
    def sign_out(verifier, sub="ann"):
        fake.publish("U", sub, BORN + 1)
        caught_up(verifier)

    return sign_out


def cut_off(fake, clock):
    fake.intercept = lambda request: (503, {}, {})
    clock.move(31)


def test_pyjwt_takes_a_revoked_token_alone_and_refuses_it_with_the_feed(fake, follow, sign_out):
    verifier = follow()
    token = fake.token(BORN)
    key = jwt.PyJWK.from_dict(fake.jwks()["keys"][0])
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
    key = jwt.PyJWK.from_dict(fake.jwks()["keys"][0])
    cut_off(fake, clock)
    with pytest.raises(UnavailableError):
        CenoteJWT(verifier).decode(fake.token(), key, algorithms=["RS256"])
    assert CenoteJWT(verifier, policy="open").decode(fake.token(), key, algorithms=["RS256"])["sub"] == "ann"


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

    routes = [Route(path, other) for path in ("/pay", "/pay/now", "/news", "/health")]
    return Starlette(routes=[Route("/me", me), *routes, WebSocketRoute("/echo", echo), WebSocketRoute("/deaf", deaf)])


def test_asgi_200_then_401_that_leads_to_sign_in_and_503_where_nobody_can_say(
    fake, follow, sign_out, clock, application
):
    verifier = follow()
    app = CenoteMiddleware(application, verifier, policies={"/pay": "closed", "/news": "open"}, public=["/health"])
    token, bob = fake.token(BORN), f"Bearer {fake.token(sub='bob')}"
    with Serving(app) as server:
        assert server.get("/health").status == 200
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
        cut_off(fake, clock)
        closed = server.get("/pay/now", bob)
        assert (closed.status, closed.headers["retry-after"]) == (503, "2")
        assert server.get("/me", bob).status == 503
        assert server.get("/news", bob).status == 200
        assert server.get("/news", f"Bearer {token}").status == 401


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


@pytest.fixture
def django_site(fake, clock, monkeypatch):
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            MIDDLEWARE=["cenote_verifier.django.CenoteMiddleware"],
            CENOTE={},
        )
        django.setup()
    from cenote_verifier import django as ours

    settings.CENOTE = fake.options(clock=clock)
    ours.verifier.cache_clear()

    def me(request):
        return JsonResponse({"sub": request.cenote.claims["sub"], "by": request.cenote.verdict.by})

    @ours.cenote(policy="closed")
    def pay(request):
        return JsonResponse({})

    @ours.cenote(policy="open")
    def news(request):
        return JsonResponse({})

    @ours.cenote_exempt
    def health(request):
        return JsonResponse({})

    async def later(request):
        return JsonResponse({"sub": request.cenote.claims["sub"]})

    urls = [path(view.__name__, view) for view in (me, pay, news, health, later)]
    site = types.ModuleType("site_of_the_test")
    site.urlpatterns = urls
    monkeypatch.setattr(settings, "ROOT_URLCONF", site)
    django.urls.clear_url_caches()
    verifier = ours.verifier()
    assert verifier.ready(5)
    verifier.verify(fake.token())
    yield verifier
    verifier.stop()


def test_django_200_then_401_that_leads_to_sign_in_and_503_where_nobody_can_say(fake, django_site, sign_out, clock):
    token, bob = fake.token(BORN), f"Bearer {fake.token(sub='bob')}"
    client = Client()
    get = lambda path, auth: client.get(path, headers={"Authorization": auth})
    assert client.get("/health").status_code == 200
    assert get("/me", f"Bearer {token}").json() == {"sub": "ann", "by": "feed"}
    later = asyncio.run(AsyncClient().get("/later", headers={"Authorization": bob}))
    assert (later.status_code, later.json()) == (200, {"sub": "bob"})
    none = client.get("/me")
    assert (none.status_code, none["WWW-Authenticate"]) == (401, "Bearer")
    sign_out(django_site)
    revoked = get("/me", f"Bearer {token}")
    assert (revoked.status_code, revoked["WWW-Authenticate"]) == (401, REVOKED)
    cut_off(fake, clock)
    closed = get("/pay", bob)
    assert (closed.status_code, closed["Retry-After"]) == (503, "2")
    assert get("/me", bob).status_code == 503
    assert get("/news", bob).status_code == 200
    assert get("/news", f"Bearer {token}").status_code == 401
