"""The email says what happened, what happens next, and what to do."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from daemon.core.model.ids import NoticeId
from daemon.core.model.notices import NoticeKind
from daemon.core.policy.email_addresses import parse_address
from daemon.notifications.email import render_email
from tests.support.emails import (
    NOTICE,
    OPS,
    SERVER_ERROR,
    SETTINGS,
    TAGS,
    WEBHOOK,
    Page,
    body,
    email_of,
    parsed,
    plain,
)

SUBJECTS = {
    NoticeKind.FAILING: "Webhook “CRM Contact Sync” is failing",
    NoticeKind.HALF_WAY: "Webhook “CRM Contact Sync” is halfway to being paused",
    NoticeKind.NEARLY_PAUSED: "Webhook “CRM Contact Sync” will soon be paused",
    NoticeKind.PAUSED: "Webhook “CRM Contact Sync” was paused",
    NoticeKind.GONE: "Webhook “CRM Contact Sync” was paused: 410 Gone",
    NoticeKind.RECOVERED: "Webhook “CRM Contact Sync” has recovered",
}


@pytest.mark.parametrize("kind", NoticeKind)
def test_each_kind_has_a_subject_and_both_bodies_begin_with_it(kind: NoticeKind) -> None:
    rendered = email_of(replace(NOTICE, kind=kind))

    page = Page(body(rendered, "html"))
    assert parsed(rendered)["Subject"] == SUBJECTS[kind]
    assert body(rendered, "plain").startswith(f"{SUBJECTS[kind]}.\n\n")
    assert page.text.count(SUBJECTS[kind]) == 2
    assert page.tags <= TAGS


def test_the_headers_name_sender_and_recipient_and_mark_an_automatic_email() -> None:
    rendered = email_of(NOTICE)

    message = parsed(rendered)
    assert rendered.sender == "hooks@example.com"
    assert rendered.recipients == ("ops@example.com",)
    assert message["From"] == "PenguinMails <hooks@example.com>"
    assert message["To"] == "Ops <ops@example.com>"
    assert message["Date"].datetime == NOTICE.leased_at
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert rendered.message.isascii()
    assert max(map(len, rendered.message.split(b"\r\n"))) < 998
    assert "CRM" not in repr(rendered)


def test_a_notice_has_the_same_message_id_each_time_it_is_mailed() -> None:
    first, again = (
        email_of(NOTICE),
        email_of(replace(NOTICE, tries=3, leased_at=datetime.now(UTC))),
    )
    other = email_of(replace(NOTICE, id=NoticeId(8)))

    ids = [parsed(rendered)["Message-ID"] for rendered in (first, again, other)]
    assert ids[0] == ids[1] == f"<notice-7-{WEBHOOK}@example.com>"
    assert ids[2] != ids[0]


def test_the_email_reports_the_failures_the_last_success_and_the_reason() -> None:
    text = plain(NOTICE)

    assert (
        "5 delivery attempts in a row failed. The last success was at 2025-11-25 13:30:00 UTC."
        in text
    )
    assert f"Last failure: {SERVER_ERROR}." in text
    assert "No attempt has ever succeeded" in plain(replace(NOTICE, last_success_at=None))
    assert "1 delivery attempt failed" in plain(replace(NOTICE, failures=1))


@pytest.mark.parametrize(
    ("kind", "failures", "left"),
    [
        (NoticeKind.FAILING, 5, 95),
        (NoticeKind.HALF_WAY, 50, 50),
        (NoticeKind.NEARLY_PAUSED, 90, 10),
    ],
)
def test_before_the_pause_the_email_says_how_many_failures_are_left(
    kind: NoticeKind, failures: int, left: int
) -> None:
    text = plain(replace(NOTICE, kind=kind, failures=failures, consecutive_failures=failures))

    assert f"paused after 100 failures in a row ({left} more)" in text
    assert "Resume" not in text
    assert "since been" not in text


@pytest.mark.parametrize("kind", [NoticeKind.PAUSED, NoticeKind.GONE])
def test_after_the_pause_the_email_says_how_to_resume(kind: NoticeKind) -> None:
    paused = replace(NOTICE, kind=kind, failures=100, is_active=False)
    text, shown = plain(paused), Page(body(email_of(paused), "html"))

    for content in (text, shown.text):
        assert "Nothing is sent to the webhook until it is resumed." in content
        assert f"POST /api/webhooks/{WEBHOOK}/resume" in content
        assert f"webhookd resume {WEBHOOK}" in content
    assert ("410 Gone, which means that it no longer accepts deliveries" in text) == (
        kind is NoticeKind.GONE
    )


def test_only_administrators_get_a_command() -> None:
    paused = replace(NOTICE, kind=NoticeKind.PAUSED, is_active=False)

    text = plain(paused, for_administrators=False)
    assert "webhookd resume" not in text
    assert "/resume" in text


def test_the_last_attempts_are_listed() -> None:
    rendered = email_of(NOTICE)

    lines = body(rendered, "plain").splitlines()
    page = Page(body(rendered, "html"))
    assert f"  2025-11-25 14:30:00 UTC  500          123 ms  {SERVER_ERROR}" in lines
    assert "  2025-11-25 14:29:00 UTC  no answer   5000 ms  no answer within 5 s" in lines
    assert "  2025-11-25 13:30:00 UTC  200           12 ms  delivered" in lines
    assert page.text.index("123 ms") < page.text.index("no answer within 5 s")
    assert page.text.index("5000 ms") < page.text.index("delivered")


def test_only_the_result_of_an_attempt_may_wrap() -> None:
    html = body(email_of(NOTICE), "html")

    rows = re.findall("<tr><td.*2025-.*</tr>", html)[-3:]
    assert len(rows) == 3
    for row in rows:
        *short, text = re.findall("<td[^>]*>", row)
        assert len(short) == 3
        assert all("white-space: nowrap" in cell for cell in short)
        assert "nowrap" not in text


@pytest.mark.parametrize("kind", [NoticeKind.PAUSED, NoticeKind.GONE])
def test_after_the_pause_the_email_says_how_to_replay_the_missed_events(kind: NoticeKind) -> None:
    paused = replace(NOTICE, kind=kind, is_active=False)
    text, shown = plain(paused), Page(body(email_of(paused), "html"))

    for content in (text, shown.text):
        assert "but can be replayed" in content
        assert "POST /api/replays" in content
        assert f'{{"webhookId": "{WEBHOOK}", "from": "2025-11-25T14:30:00Z"}}' in content
        assert f"webhookd replay --webhook {WEBHOOK} --from 2025-11-25T14:30:00Z" in content
    assert "webhookd replay" not in plain(paused, for_administrators=False)
    assert "replay" not in plain(NOTICE)


def test_without_attempts_there_is_no_list_of_them() -> None:
    rendered = email_of(replace(NOTICE, attempts=(), reason=None))

    assert "last attempts" not in body(rendered, "plain")
    assert "last attempts" not in body(rendered, "html")
    assert "Last failure" not in body(rendered, "plain")


def test_the_link_opens_the_webhook_in_the_console() -> None:
    rendered = email_of(NOTICE)

    link = f"https://console.test/c/webhooks/{WEBHOOK}"
    assert link in body(rendered, "plain")
    assert set(Page(body(rendered, "html")).links) == {link}


@pytest.mark.parametrize("kind", NoticeKind)
def test_without_a_console_there_is_no_link(kind: NoticeKind) -> None:
    rendered = email_of(replace(NOTICE, kind=kind), settings=replace(SETTINGS, console_url=None))

    assert "console" not in body(rendered, "plain")
    assert Page(body(rendered, "html")).links == []


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"kind": NoticeKind.PAUSED, "is_active": True}, "The webhook has since been resumed"),
        ({"kind": NoticeKind.PAUSED, "is_active": False}, None),
        ({"kind": NoticeKind.GONE, "is_active": True}, "The webhook has since been resumed"),
        ({"kind": NoticeKind.HALF_WAY, "is_active": False}, "The webhook has since been paused"),
        ({"consecutive_failures": 0}, "The failure count has since been reset"),
        ({"consecutive_failures": 9}, None),
    ],
)
def test_a_late_email_reports_what_has_changed_since(
    changed: dict[str, Any], text: str | None
) -> None:
    rendered = email_of(replace(NOTICE, **changed))

    for kind in ("plain", "html"):
        assert ("has since been" in body(rendered, kind)) == (text is not None)
        assert text is None or text in body(rendered, kind)


def test_several_administrators_get_one_email() -> None:
    rendered = render_email(
        NOTICE, SETTINGS, to=[OPS, parse_address("eve@example.com")], for_administrators=True
    )

    assert rendered.recipients == ("ops@example.com", "eve@example.com")
    assert parsed(rendered)["To"] == "Ops <ops@example.com>, eve@example.com"


@pytest.mark.parametrize("kind", NoticeKind)
def test_both_bodies_contain_the_same_words(kind: NoticeKind) -> None:
    rendered = email_of(replace(NOTICE, kind=kind, is_active=kind is NoticeKind.GONE))

    def words(text: str) -> set[str]:
        return {word.strip(".") for word in text.split()}

    page = Page(re.sub("</t[dh]>", " ", body(rendered, "html")))
    signature = {"--"}
    assert words(body(rendered, "plain")) - signature == words(page.text) | set(page.links)
