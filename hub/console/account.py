"""The page Account: what everybody changes about themselves, and how they log in."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.choices import API_KEYS, Restriction
from accounts.models import Session, User
from accounts.operations import api_keys, mfa, passwords, sessions, stepup
from accounts.selectors import keys
from accounts.selectors import people as people_selectors
from accounts.selectors import sessions as selectors
from accounts.selectors.policy import get_policy
from hub.console import forms
from kernel import clock
from kernel.actors import Actor
from kernel.errors import DomainError

TEMPLATE: Final = "console/account.html"
LISTED: Final = 50


class Page:
    """One request of somebody to their own page."""

    def __init__(self, request: HttpRequest, context: Mapping[str, Any]) -> None:
        self.request = request
        self.session: Session = request.console_session  # type: ignore[attr-defined]
        self.user: User = self.session.user
        self._context = context

    def show(self, **once: Any) -> HttpResponse:
        """The page; `once` is what it shows now and never again."""
        now = clock.now()
        policy = get_policy(organization_id=self.user.organization_id)
        alive = selectors.list_shown(
            organization_id=self.user.organization_id,
            current_id=self.session.pk,
            now=now,
            user_id=self.user.pk,
        )
        is_restricted = self.session.restriction != ""
        key_form = forms.KeyForm()
        key_form.ask(self.obstacle)
        context = {
            **self._context,
            "title": "Account",
            "now": now,
            "person": self.user,
            "session": self.session,
            "policy": policy,
            "must_change_password": self.session.restriction == Restriction.PASSWORD,
            "must_enrol": self.session.restriction == Restriction.MFA,
            "too_young": _is_too_young(self.session),
            "enrollment": mfa.find_enrollment(user=self.user),
            "sessions": [] if is_restricted else list(alive[:LISTED]),
            "keys": list(keys.list_own(user_id=self.user.pk)[:LISTED]),
            "may_make_keys": self.user.has_perm(API_KEYS),
            "password_form": forms.PasswordForm(),
            "confirm_form": forms.ConfirmForm(),
            "codes_form": forms.BothForm(auto_id="codes_%s"),
            "off_form": forms.BothForm(auto_id="off_%s"),
            "key_form": key_form,
            **once,
        }
        return TemplateResponse(self.request, TEMPLATE, context)

    def act(self, name: str, object_id: UUID | None) -> HttpResponse:
        """Do what a form of the page asks; a refusal becomes a message."""
        if name not in ACTIONS or self.request.method != "POST":
            raise Http404
        kind, action = ACTIONS[name]
        form = kind(self.request.POST)
        if isinstance(form, forms.KeyForm):
            form.ask(self.obstacle)
        if not form.is_valid():
            for wrong in form.errors.values():
                messages.error(self.request, " ".join(map(str, wrong)))
            return self._again(form)
        try:
            answer = action(self, object_id=object_id, **form.cleaned_data)
        except DomainError as refusal:
            words = [str(field["message"]) for field in refusal.fields]
            messages.error(self.request, " ".join(words) or refusal.detail)
            return self._again(form)
        return answer or redirect("admin:account")

    def _again(self, form: Form) -> HttpResponse:
        """The page after a refusal; a form without secrets keeps what was typed."""
        if isinstance(form, forms.KeyForm) and self.user.has_perm(API_KEYS):
            form.ask(self.obstacle)
            return self.show(key_form=form)
        return redirect("admin:account")

    def say(self, sentence: str) -> None:
        """Tell the person what was done."""
        messages.success(self.request, sentence)

    @property
    def obstacle(self) -> DomainError | None:
        """What a new key needs beside its form."""
        if not self.user.has_perm(API_KEYS):
            return None
        return stepup.find_obstacle(session=self.session, now=clock.now())

    @property
    def whose(self) -> dict[str, Any]:
        """What each of the operations is told."""
        actor: Actor = people_selectors.actor_of(
            user=self.user,
            ip_address=self.request.META.get("REMOTE_ADDR") or None,
            request_id=getattr(self.request, "request_id", ""),
        )
        return {"user": self.user, "actor": actor, "now": clock.now()}


def _change_password(
    page: Page, *, current_password: str, new_password: str, **_: Any
) -> HttpResponse | None:
    passwords.change_password(
        **page.whose,
        session_id=page.session.pk,
        current_password=current_password,
        new_password=new_password,
    )
    page.say("The password was changed; your other sessions have ended.")
    return None


def _begin_mfa(page: Page, **_: Any) -> HttpResponse | None:
    mfa.begin(**page.whose)
    return None


def _confirm_mfa(page: Page, *, code: str, **_: Any) -> HttpResponse | None:
    codes = mfa.confirm(**page.whose, session_id=page.session.pk, code=code)
    page.say("The second factor is on.")
    return _renewed(page).show(backup_codes="\n".join(codes))


def _disable_mfa(page: Page, *, password: str, code: str, **_: Any) -> HttpResponse | None:
    mfa.disable(**page.whose, session_id=page.session.pk, password=password, code=code)
    page.say("The second factor is off.")
    return None


def _renew_codes(page: Page, *, password: str, code: str, **_: Any) -> HttpResponse | None:
    codes = mfa.renew_backup_codes(
        **page.whose, session_id=page.session.pk, password=password, code=code
    )
    return page.show(backup_codes="\n".join(codes))


def _end_session(page: Page, *, object_id: UUID | None, **_: Any) -> HttpResponse | None:
    whose = page.whose
    session = selectors.get_one(
        organization_id=page.user.organization_id,
        session_id=object_id or UUID(int=0),
        user_id=page.user.pk,
    )
    sessions.revoke(session_id=session.pk, actor=whose["actor"], now=whose["now"])
    page.say("The session has ended.")
    return None


def _make_key(
    page: Page, *, name: str, scopes: list[str], days: int, fresh_code: str = "", **_: Any
) -> HttpResponse | None:
    if not page.user.has_perm(API_KEYS):
        raise Http404
    whose = page.whose
    actor, now = whose["actor"], whose["now"]
    stepup.require_with(session=page.session, code=fresh_code, actor=actor, now=now)
    expires_at = now + timedelta(days=days)
    made = api_keys.create_key(**whose, name=name, scopes=scopes, expires_at=expires_at)
    return page.show(new_key=made.key)


def _revoke_key(page: Page, *, object_id: UUID | None, **_: Any) -> HttpResponse | None:
    whose = page.whose
    key = keys.get_own(user_id=page.user.pk, key_id=object_id or UUID(int=0))
    api_keys.revoke_key(
        organization_id=key.organization_id, key_id=key.pk, actor=whose["actor"], now=whose["now"]
    )
    page.say("The key was revoked.")
    return None


def _is_too_young(session: Session) -> bool:
    """Whether the second factor is younger than the login, so that no code of it counts here."""
    enabled_at = session.user.mfa_enabled_at
    return enabled_at is not None and session.created_at <= enabled_at


def _renewed(page: Page) -> Page:
    """The page after something about the person has changed."""
    page.user.refresh_from_db(fields=["mfa_enabled_at"])
    page.session.refresh_from_db(fields=["restriction", "mfa_at"])
    return page


ACTIONS: Final[dict[str, tuple[type[Form], Callable[..., HttpResponse | None]]]] = {
    "password": (forms.PasswordForm, _change_password),
    "mfa-begin": (Form, _begin_mfa),
    "mfa-confirm": (forms.ConfirmForm, _confirm_mfa),
    "mfa-disable": (forms.BothForm, _disable_mfa),
    "mfa-codes": (forms.BothForm, _renew_codes),
    "session-end": (Form, _end_session),
    "key-make": (forms.KeyForm, _make_key),
    "key-revoke": (Form, _revoke_key),
}
