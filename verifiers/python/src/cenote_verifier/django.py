"""For Django: every view needs a live token, unless it says otherwise.

MIDDLEWARE = [.., "cenote_verifier.django.CenoteMiddleware"]
CENOTE = {"issuer": .., "client_id": .., "client_secret": .., "consumer": ..}   # the arguments of CenoteVerifier
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from .bearer import bearer
from .errors import Refusal
from .guards import Policy, check_policy
from .verifier import CenoteVerifier

View = TypeVar("View", bound=Callable[..., Any])

_declared: set[Policy] = set()


@lru_cache(1)
def verifier() -> CenoteVerifier:
    """The one verifier of the process, made from the setting CENOTE."""
    made = CenoteVerifier(**settings.CENOTE)
    for policy in _declared:
        made.uses(policy)
    return made.start()


def cenote(policy: Policy | None = None, **options: Any) -> Callable[[View], View]:
    """`@cenote(policy="closed")`: what a view asks of its tokens; `token_use` and `audience` as in `CenoteVerifier.verify`."""

    if policy is not None:
        _declare(policy)

    def mark(view: View) -> View:
        view.cenote = {"policy": policy, **options}  # type: ignore[attr-defined]
        return view

    return mark


def cenote_exempt(view: View) -> View:
    """`@cenote_exempt`: this view asks for no token."""
    view.cenote = None  # type: ignore[attr-defined]
    return view


def _declare(policy: Policy) -> None:
    """The server's receipts count on the weakest policy in use: it is told before the first request, not when nobody answers any more."""
    check_policy(policy)
    _declared.add(policy)
    if verifier.cache_info().currsize:
        verifier().uses(policy)


class CenoteMiddleware(MiddlewareMixin):  # type: ignore[misc]
    """Gives the request `cenote`: claims, header, verdict and token."""

    def __init__(self, get_response: Callable[..., Any]) -> None:
        super().__init__(get_response)
        self._verifier = verifier()

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        options = getattr(view, "cenote", {})
        if options is None:
            return None
        try:
            token = bearer(request.META.get("HTTP_AUTHORIZATION"))
            setattr(request, "cenote", self._verifier.verify(token, **options))
        except Refusal as refusal:
            return HttpResponse(refusal.body, status=refusal.status, headers=refusal.headers)
        return None
