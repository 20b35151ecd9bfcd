"""Django's middleware, in a real site."""

import asyncio
import types

import django
import pytest
from django.conf import settings
from django.http import JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from fake import BORN, CLIENT, REVOKED, asked, stale_then_expired


@pytest.fixture
def django_site(fake, clock, monkeypatch):
    if not settings.configured:
        settings.configure(
            SECRET_KEY="of the tests",
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

    @ours.cenote(audience=CLIENT)
    def mine(request):
        return JsonResponse({})

    @ours.cenote_exempt
    def health(request):
        return JsonResponse({})

    async def later(request):
        return JsonResponse({"sub": request.cenote.claims["sub"]})

    urls = [path(view.__name__, view) for view in (me, pay, news, mine, health, later)]
    site = types.ModuleType("site_of_the_test")
    site.urlpatterns = urls
    monkeypatch.setattr(settings, "ROOT_URLCONF", site)
    django.urls.clear_url_caches()
    verifier = ours.verifier()
    assert verifier.ready(5)
    verifier.verify(fake.token())
    yield verifier
    verifier.stop()


def test_django_200_then_401_that_leads_to_sign_in_and_503_where_nobody_can_say(
    fake, django_site, sign_out, clock, impostors
):
    token, bob = fake.token(BORN), f"Bearer {fake.token(sub='bob')}"
    client = Client()
    get = lambda path, auth: client.get(path, headers={"Authorization": auth})
    assert client.get("/health").status_code == 200
    assert get("/me", f"Bearer {token}").json() == {"sub": "ann", "by": "feed"}
    later = asyncio.run(AsyncClient().get("/later", headers={"Authorization": bob}))
    assert (later.status_code, later.json()) == (200, {"sub": "bob"})
    assert get("/mine", bob).status_code == 200
    for what, impostor in impostors.items():
        assert get("/mine", f"Bearer {impostor}").status_code == 401, what
    none = client.get("/me")
    assert (none.status_code, none["WWW-Authenticate"]) == (401, "Bearer")
    sign_out(django_site)
    revoked = get("/me", f"Bearer {token}")
    assert (revoked.status_code, revoked["WWW-Authenticate"]) == (401, REVOKED)
    stale_then_expired(fake, clock, bob[7:], lambda path, token: get(path, f"Bearer {token}").status_code)
    closed = get("/pay", bob)
    assert (closed.status_code, closed["Retry-After"]) == (503, "2")
    assert get("/news", bob).status_code == 200
    assert get("/news", f"Bearer {token}").status_code == 401


def test_django_tells_the_server_of_a_policy_when_a_view_declares_it(fake, django_site):
    from cenote_verifier import django as ours

    last = lambda: asked(fake, "/revocations/delta")[-1]["query"]["policy"]
    # The views of the site have declared it before anybody came.
    assert last() == "open"
    with pytest.raises(ValueError, match="policy"):
        ours.cenote(policy="maybe")
