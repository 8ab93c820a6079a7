"""The email about several webhooks, and that about several transitions of one."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.core.model.ids import NoticeId, TenantId, WebhookId
from daemon.core.model.notices import Email, LeasedNotice, NoticeKind
from daemon.notifications.email import render_digest, render_email
from daemon.notifications.email.digest import MOST_ENTRIES
from tests.support.emails import NOTICE, OPS, SETTINGS, TAGS, WEBHOOK, Page, body, parsed


def notice(number: int, kind: NoticeKind = NoticeKind.FAILING, **changes: object) -> LeasedNotice:
    """A notice of its own webhook."""
    plain = replace(
        NOTICE,
        id=NoticeId(number),
        webhook_id=WebhookId(UUID(int=number)),
        webhook_name=f"hook {number}",
        kind=kind,
        attempts=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def digest(notices: Sequence[LeasedNotice], *, for_administrators: bool = True) -> Email:
    return render_digest(notices, SETTINGS, to=[OPS], for_administrators=for_administrators)


def test_the_subject_counts_the_notices_and_the_webhooks_by_their_state() -> None:
    paused = [notice(n, NoticeKind.PAUSED) for n in range(2)] + [notice(2, NoticeKind.GONE)]
    failing = [notice(n) for n in range(3, 11)] + [notice(11, NoticeKind.HALF_WAY)]
    recovered = [notice(12, NoticeKind.RECOVERED)]

    assert parsed(digest(paused + failing))["Subject"] == "12 notices: 3 webhooks paused, 9 failing"
    assert parsed(digest(recovered + failing[:1]))["Subject"] == (
        "2 notices: 1 webhook failing, 1 recovered"
    )


def test_the_transitions_of_a_webhook_are_one_entry_in_their_order() -> None:
    later = NOTICE.created_at + timedelta(seconds=5)
    first, last = notice(1), notice(1, NoticeKind.PAUSED, id=NoticeId(3), created_at=later)
    rendered = digest([first, notice(2), last])

    lines = [line.strip() for line in body(rendered, "plain").splitlines()]
    at = lines.index("Webhook “hook 1”")
    assert parsed(rendered)["Subject"] == "3 notices: 1 webhook paused, 1 failing"
    assert lines[at + 1 : at + 3] == [
        "2025-11-25 14:30:00 UTC  is failing",
        "2025-11-25 14:30:05 UTC  was paused",
    ]
    assert lines.count("Webhook “hook 1”") == 1


def test_a_webhook_that_goes_up_and_down_has_an_entry_of_bounded_length() -> None:
    changes = [
        notice(1, NoticeKind.RECOVERED if number % 2 else NoticeKind.FAILING, id=NoticeId(number))
        for number in range(100)
    ]
    text = body(digest([*changes, notice(2)]), "plain")

    assert "After 94 earlier changes:" in text
    assert text.count("has recovered") == 3


def test_a_digest_shows_fifty_webhooks_and_counts_the_others() -> None:
    rendered = digest([notice(number) for number in range(MOST_ENTRIES + 250)])

    for text in (body(rendered, "plain"), Page(body(rendered, "html")).text):
        assert text.count("Webhook “") == MOST_ENTRIES
        assert "And 250 more webhooks" in text
    assert len(rendered.message) < 100_000
    assert "more webhook" not in body(digest([notice(1), notice(2)]), "plain")


def test_the_many_webhooks_of_one_tenant_do_not_hide_those_of_another() -> None:
    crowd = [notice(number, NoticeKind.GONE) for number in range(300)]
    other = notice(999, tenant_id=TenantId(UUID(int=4)))
    rendered = digest([*crowd, other])

    assert "Webhook “hook 999”" in body(rendered, "plain")


def test_of_one_tenant_the_paused_webhooks_come_first() -> None:
    text = body(
        digest([notice(1), notice(2, NoticeKind.RECOVERED), notice(3, NoticeKind.GONE)]), "plain"
    )

    assert re.findall("“hook ([0-9])”", text) == ["3", "1", "2"]


def test_each_entry_has_the_reason_the_ids_and_the_link() -> None:
    rendered = digest([notice(1), notice(2, is_active=False)])

    for text in (body(rendered, "plain"), Page(body(rendered, "html")).text):
        assert text.count("Last failure: the receiver answered 500 Internal Server Error.") == 2
        assert f"ID {UUID(int=1)}, tenant {NOTICE.tenant_id}." in text
        assert text.count("The webhook has since been paused.") == 1
    assert Page(body(rendered, "html")).links == [
        f"https://console.test/c/webhooks/{UUID(int=number)}" for number in (1, 2)
    ]


def test_both_bodies_contain_the_same_words() -> None:
    rendered = digest([notice(number) for number in range(60)])

    def words(text: str) -> set[str]:
        return {word.strip(".") for word in text.split()}

    page = Page(re.sub("</(t[dh]|a|h2|p)>", " ", body(rendered, "html")))
    assert words(body(rendered, "plain")) - {"--"} == words(page.text) | set(page.links)
    assert page.tags <= TAGS


def test_only_administrators_get_shell_commands() -> None:
    notices = [notice(1), notice(2)]

    assert "webhookd resume" in body(digest(notices), "plain")
    assert "webhookd replay" in body(digest(notices), "plain")
    assert "webhookd" not in body(digest(notices, for_administrators=False), "plain")


def test_a_message_id_is_that_of_the_very_notices() -> None:
    notices = [notice(1), notice(2), notice(3)]
    ids = [
        parsed(digest(each))["Message-ID"]
        for each in (notices, [replace(n, tries=3) for n in notices], notices[:2])
    ]

    assert ids[0] == ids[1] != ids[2]


def test_transitions_of_one_webhook_are_one_email_with_the_last_state_in_the_subject() -> None:
    paused = notice(1, NoticeKind.PAUSED, id=NoticeId(2), is_active=False)
    rendered = render_email(
        paused, SETTINGS, to=[OPS], for_administrators=True, earlier=[notice(1)]
    )

    for text in (body(rendered, "plain"), Page(body(rendered, "html")).text):
        assert "In this order" in text
        assert text.index("is failing") < text.rindex("was paused")
    assert parsed(rendered)["Subject"] == "Webhook “hook 1” was paused"
    assert "In this order" not in body(
        render_email(NOTICE, SETTINGS, to=[OPS], for_administrators=True), "plain"
    )


@pytest.mark.parametrize(
    ("active", "failures", "text"),
    [(True, 0, None), (True, 2, "have since failed again"), (False, 0, "has since been paused")],
)
def test_a_recovery_that_is_mailed_late_says_what_has_changed(
    active: bool,
    failures: int,
    text: str | None,
) -> None:
    late = replace(
        NOTICE, kind=NoticeKind.RECOVERED, is_active=active, consecutive_failures=failures
    )
    shown = body(render_email(late, SETTINGS, to=[OPS], for_administrators=True), "plain")

    assert ("since" in shown) == (text is not None)
    assert text is None or text in shown
    assert f"/webhooks/{WEBHOOK}" in shown
