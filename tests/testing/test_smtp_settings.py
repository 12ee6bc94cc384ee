"""How applications are told where the server is."""

from __future__ import annotations

import smtplib
import ssl
from urllib.parse import unquote, urlsplit

import pytest

from mailsystem.testing import Inbox, SmtpSettings


@pytest.fixture
def settings(mail: Inbox) -> SmtpSettings:
    return SmtpSettings(mail.server, "app@example.org")


def test_they_lead_to_the_server(mail: Inbox, settings: SmtpSettings) -> None:
    parts = urlsplit(settings.url)
    with smtplib.SMTP(str(parts.hostname), parts.port or 0) as client:
        client.login(unquote(parts.username or ""), parts.password or "")
        client.sendmail("app@example.net", [mail.address], b"Subject: Hello\r\n\r\n\r\n")
    assert mail.expect().envelope.login == "app@example.org"


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_program_that_trusts_the_authority_is_served_under_tls(
    mail: Inbox, settings: SmtpSettings, tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured = settings.secured(tls, mail.authority)  # type: ignore[arg-type]
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority))
    context = ssl.create_default_context()
    if tls == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(secured.host, secured.port, context=context)
    else:
        client = smtplib.SMTP(secured.host, secured.port)
        client.starttls(context=context)
    with client:
        client.login(secured.username, secured.password)
        client.sendmail("app@example.net", [mail.address], b"Subject: Hello\r\n\r\n\r\n")
    assert mail.expect().envelope.tls


def test_each_framework_is_told_in_its_own_words(settings: SmtpSettings) -> None:
    plain, starttls, tls = settings, settings.secured("starttls"), settings.secured("tls")
    assert [each.django()["EMAIL_PORT"] for each in (plain, starttls)] == [settings.port, settings.port]
    assert tls.port == settings.where.port("submissions")
    assert [(each.django()["EMAIL_USE_TLS"], each.django()["EMAIL_USE_SSL"]) for each in (plain, starttls, tls)] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert starttls.flask_mail()["MAIL_USE_TLS"] is True
    assert tls.flask_mail()["MAIL_USE_SSL"] is True
    assert settings.flask_mail()["MAIL_SERVER"] == "127.0.0.1"
    assert starttls.fastapi_mail()["MAIL_STARTTLS"] is True
    assert tls.fastapi_mail()["MAIL_SSL_TLS"] is True
    assert tls.url.startswith("smtps://app%40example.org:any@127.0.0.1:")
