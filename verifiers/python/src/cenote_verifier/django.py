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
from .guards import Policy
from .verifier import CenoteVerifier

View = TypeVar("View", bound=Callable[..., Any])


@lru_cache(1)
def verifier() -> CenoteVerifier:
    """The one verifier of the process, made from the setting CENOTE."""
    return CenoteVerifier(**settings.CENOTE).start()


def cenote(policy: Policy | None = None, **options: Any) -> Callable[[View], View]:
    """`@cenote(policy="closed")`: what a view asks of its tokens; `token_use` and `audience` as in `CenoteVerifier.verify`."""

    def mark(view: View) -> View:
        view.cenote = {"policy": policy, **options}  # type: ignore[attr-defined]
        return view

    return mark


def cenote_exempt(view: View) -> View:
    """`@cenote_exempt`: this view asks for no token."""
    view.cenote = None  # type: ignore[attr-defined]
    return view


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
            request.cenote = self._verifier.verify(bearer(request.headers.get("Authorization")), **options)
        except Refusal as refusal:
            return HttpResponse(refusal.body, status=refusal.status, headers=refusal.headers)
        return None
