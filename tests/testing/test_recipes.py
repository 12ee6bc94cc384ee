"""Applications as people write them, with the libraries that they use: each is told where the server is, and its mail comes."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import django
import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi_mail import ConnectionConfig, FastMail, MessageSchema, MessageType
from flask import Flask, request
from pydantic import BaseModel, EmailStr

from mailsystem.testing import AsyncInbox, Inbox, SmtpSettings
from mailsystem.testing.clients import Security

EVERY_WAY = pytest.mark.parametrize("tls", [None, "starttls", "tls"])


@pytest.fixture
def settings(mail: Inbox, tls: Security | None) -> SmtpSettings:
    plain = SmtpSettings(mail.server, "app@example.org")
    return plain if tls is None else plain.secured(tls, mail.authority)


@EVERY_WAY
@pytest.mark.parametrize("is_testing", [False, True])
def test_flask_mail(mail: Inbox, settings: SmtpSettings, tls: Security | None, is_testing: bool) -> None:
    from flask_mail import Mail, Message

    app = Flask("shop")
    app.testing = is_testing
    app.config.update(settings.flask_mail())
    extension = Mail(app)

    @app.post("/orders")
    def order() -> str:
        message = Message("Your order 7", sender=("Shop", "shop@example.net"), recipients=[request.form["email"]])
        message.body, message.html = (
            "Thank you.",
            '<p>Thank you. <a href="https://shop.example.com/orders/7">See it</a></p>',
        )
        message.attach("invoice-7.pdf", "application/pdf", b"%PDF-1.7 ...")
        extension.send(message)
        return "Thank you."

    with mail.expecting(subject="Your order") as got:
        assert app.test_client().post("/orders", data={"email": mail.address}).status_code == 200
    assert got.message.attachment("invoice-*.pdf").bytes.startswith(b"%PDF")
    assert got.message.link("/orders/") == "https://shop.example.com/orders/7"
    assert got.message.envelope.login == "app@example.org"
    assert bool(got.message.envelope.tls) is (tls is not None)
    mail.none(subject="Reset")


@EVERY_WAY
@pytest.mark.parametrize("is_testing", [False, True])
def test_flask_mailman(
    mail: Inbox, settings: SmtpSettings, tls: Security | None, is_testing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flask_mailman import EmailMultiAlternatives, Mail

    if tls is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(mail.authority))
    app = Flask("shop")
    app.testing = is_testing
    app.config.update(settings.flask_mail())
    Mail(app)

    @app.post("/reset")
    def reset() -> str:
        message = EmailMultiAlternatives("Reset", "Your code is 482913.", "shop@example.net", [request.form["email"]])
        message.attach_alternative("<p>Your code is <b>482913</b>.</p>", "text/html")
        message.send()
        return "Look at your mail."

    assert app.test_client().post("/reset", data={"email": mail.address}).status_code == 200
    message = mail.expect(subject="Reset", from_="shop@example.net")
    assert message.code() == "482913"
    assert bool(message.envelope.tls) is (tls is not None)


class SignUp(BaseModel):
    email: EmailStr


def api(settings: SmtpSettings) -> FastAPI:
    app = FastAPI()
    sending = FastMail(ConnectionConfig(**settings.fastapi_mail(), MAIL_FROM="app@example.org"))

    @app.post("/users", status_code=202)
    async def sign_up(user: SignUp, later: BackgroundTasks) -> dict[str, str]:
        message = MessageSchema(
            subject="Welcome", recipients=[user.email], body="<p>Hello <b>you</b></p>", subtype=MessageType.html
        )
        later.add_task(sending.send_message, message)
        return {"email": user.email}

    return app


@EVERY_WAY
async def test_fastapi_mail(amail: AsyncInbox, mail: Inbox, settings: SmtpSettings, tls: Security | None) -> None:
    transport = httpx.ASGITransport(app=api(settings))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
        amail.expecting(subject="Welcome", from_="app@example.org") as got,
    ):
        assert (await client.post("/users", json={"email": amail.address})).status_code == 202
    assert "<b>you</b>" in got.message.html
    assert got.message.envelope.login == "app@example.org"
    assert bool(got.message.envelope.tls) is (tls is not None)
    await amail.none(subject="Reset")


def letter(to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@example.net", to, "Hello"
    message.set_content("It works.")
    return message


@EVERY_WAY
def test_smtplib(mail: Inbox, settings: SmtpSettings, tls: Security | None) -> None:
    context = ssl.create_default_context(cafile=settings.authority)
    if tls == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, context=context)
    else:
        client = smtplib.SMTP(settings.host, settings.port)
    with client:
        if tls == "starttls":
            client.starttls(context=context)
        client.login(settings.username, settings.password)
        client.send_message(letter(mail.address))
    assert bool(mail.expect(subject="Hello").envelope.tls) is (tls is not None)


@EVERY_WAY
async def test_aiosmtplib(amail: AsyncInbox, mail: Inbox, settings: SmtpSettings, tls: Security | None) -> None:
    await aiosmtplib.send(letter(amail.address), **settings.aiosmtplib())
    assert bool((await amail.expect(subject="Hello")).envelope.tls) is (tls is not None)


@EVERY_WAY
def test_django(mail: Inbox, settings: SmtpSettings, tls: Security | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings as configuration
    from django.core.mail import EmailMultiAlternatives, send_mail
    from django.test import override_settings

    if not configuration.configured:
        configuration.configure()
        django.setup()
    if tls is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(mail.authority))
    given: dict[str, Any] = settings.django()
    with override_settings(**given):
        send_mail("Reset", "Your code is 482913.", "shop@example.net", [mail.address])
        message = EmailMultiAlternatives("Order", "Thank you.", "shop@example.net", [], bcc=[mail.address])
        message.attach_alternative("<p>Thank you.</p>", "text/html")
        message.send()
    assert mail.expect(subject="Reset").code() == "482913"
    got = mail.expect(subject="Order")
    assert (got.to, got.envelope.rcpt, got.html.strip()) == ([], (mail.address,), "<p>Thank you.</p>")
    assert got.envelope.login == settings.username
    assert bool(got.envelope.tls) is (tls is not None)
