"""An obtained credential: which requests carry it, and which 401s renew it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import unpatched  # noqa: F401  # isort: skip

from loadproof.api.api import Api
from loadproof.scenario.target.operations import Endpoints
from loadproof.users.credentials import NOT_OURS, Credential

if TYPE_CHECKING:
    from loadproof.api.calls import Call


class Renewed(Credential):
    """A credential that notes its renewals, some of which fail, with a clock."""

    def __init__(self, **of_all: str) -> None:
        super().__init__(self._obtain, now_s=lambda: self.now_s, of_all={"X-Team": "a", **of_all})
        self.now_s = 100.0
        self.renewals = 0
        self.fails = False
        self.take("Bearer 1")

    def _obtain(self) -> bool:
        self.renewals += 1
        if not self.fails:
            self.take(f"Bearer {self.number + 1}")
        return not self.fails


def call(**headers: str) -> Call:
    return Api(Endpoints(), headers={"X-Team": "a"}, webhook_secret="").call("GET", "/", headers=headers)


def sent(credential: Credential, one: Call) -> dict[str, str]:
    return dict(credential.on(one)[0].request.headers)


def test_a_request_carries_the_credential_current_when_it_is_sent():
    """Also a request made earlier; sent repeatedly, it is the same object, encoded once."""
    credential, one = Renewed(), call()
    assert sent(credential, one) == {"X-Team": "a", "Authorization": "Bearer 1"}
    assert credential.on(one)[0] is credential.on(one)[0]
    credential.take("Bearer 2")
    assert sent(credential, one)["Authorization"] == "Bearer 2"
    assert one.request.headers == {"X-Team": "a"}


def test_a_header_set_by_the_request_stays():
    """Its outcome then says nothing about the credential."""
    credential = Renewed()
    forged, number = credential.on(call(authorization="Bearer forged"))
    assert forged.request.headers["authorization"] == "Bearer forged"
    assert number == NOT_OURS
    credential.refused("a", number)
    assert credential.renewals == 0


def test_the_credential_replaces_the_target_files_header():
    """That header is for users that have not logged in yet."""
    credential = Renewed(Authorization="Bearer file")
    assert sent(credential, call(Authorization="Bearer file"))["Authorization"] == "Bearer 1"
    assert sent(credential, call(authorization="Bearer file")) == {"X-Team": "a", "authorization": "Bearer 1"}


def test_a_401_renews_the_credential_once():
    """Requests sent with the old one change nothing."""
    credential = Renewed()
    for _ in range(3):
        credential.refused("a", 1)
    assert (credential.renewals, credential.number) == (1, 2)


def test_a_renewed_credential_that_is_refused_is_not_renewed_until_a_request_is_accepted():
    """Whatever its name; and a request refused every time triggers no more renewals, even if others are accepted."""
    credential = Renewed()
    for name in ("a", "a", "b", "c"):
        credential.refused(name, credential.number)
        credential.now_s += 60
    assert credential.renewals == 1
    credential.accepted("b", 1)
    credential.refused("a", 2)
    assert credential.renewals == 1, "what the old one did says nothing"
    credential.accepted("b", 2)
    credential.refused("a", 2)
    assert credential.renewals == 1
    credential.refused("b", 2)
    assert credential.renewals == 2


def test_a_target_that_alternately_accepts_and_refuses_causes_no_storm():
    """At most one renewal in five seconds."""
    credential = Renewed()
    for _ in range(100):
        credential.accepted("a", credential.number)
        credential.refused("a", credential.number)
        credential.now_s += 0.1
    assert credential.renewals == 2


@pytest.mark.parametrize(("after_s", "renewals"), [(4.9, 1), (5.0, 2)])
def test_a_failed_renewal_is_retried_after_a_while(after_s, renewals):
    """A login server may be down for a moment."""
    credential = Renewed()
    credential.fails = True
    credential.refused("a", 1)
    credential.now_s += after_s
    credential.refused("a", 1)
    assert credential.renewals == renewals


def test_a_401_before_the_first_credential_obtains_one():
    """The first login may have failed."""
    credential = Renewed()
    credential.number = 0
    without, number = credential.on(call())
    assert (dict(without.request.headers), number) == ({"X-Team": "a"}, 0)
    credential.refused("a", 0)
    assert credential.number == 1
