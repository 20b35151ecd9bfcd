"""Checked by mypy, never run: the types of the package as an application sees them."""

from __future__ import annotations

import asyncio
from typing import Any

from cenote_verifier import CenoteVerifier, End, Policy, Refusal, RevokedError, State, Verdict, Verified
from cenote_verifier.asgi import CenoteMiddleware
from cenote_verifier.django import cenote, cenote_exempt
from cenote_verifier.pyjwt import CenoteJWT


def told(now: State, before: State) -> None:
    print(now, before)


verifier = CenoteVerifier(
    "https://id.example.com/eu-west-1_A",
    client_cert="client.pem",
    client_key="client.key",
    audience=["web", "app"],
    policy="closed",
    on_state=told,
    on_problem=lambda error: print(error),
).start()
CenoteVerifier("https://id.example.com/eu-west-1_A", policy="maybe")  # type: ignore[arg-type]


def check(token: str, policy: Policy | None = None) -> str:
    try:
        verified: Verified = verifier.verify(token, token_use="access", policy=policy)
    except RevokedError as error:
        return error.headers["WWW-Authenticate"]
    except Refusal as refusal:
        return f"{refusal.status} {refusal.body!r}"
    verdict: Verdict = verifier.check(verified.claims, verified.header, token=token)
    return f"{verified.claims['sub']} {verdict.state} {verdict.by}"


async def wait(token: str) -> End:
    verified = await asyncio.to_thread(verifier.verify, token)
    with verifier.guard(verified.claims, verified.header, token=token) as guard:
        return await guard.revoked


def decode(token: str, key: str) -> dict[str, Any]:
    return CenoteJWT(verifier, token_use="id", audience="web").decode(token, key, algorithms=["RS256"])


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204})


app = CenoteMiddleware(application, verifier, policies={"/pay": "closed"}, public=["/health"])


@cenote(policy="open")
def news(request: object) -> str:
    return "news"


@cenote_exempt
def health(request: object) -> str:
    return "ok"


text: str = news(None) + health(None)
