"""Mail that the shop sends, mail that it reads, and a server that is in trouble."""

from email.message import EmailMessage

import pytest
from flask.testing import FlaskClient
from shop import create_app

from mailsystem.testing import Inbox, SmtpSettings


@pytest.fixture
def client(mail: Inbox, smtp_settings: SmtpSettings) -> FlaskClient:
    app = create_app(
        SMTP_HOST=smtp_settings.host,
        SMTP_PORT=smtp_settings.port,
        IMAP_HOST=mail.server.host,
        IMAP_PORT=mail.server.port("imap"),
        SUPPORT=mail.new_address("support"),
        SUPPORT_PASSWORD="any",
        PAUSE=0,
        TESTING=True,
    )
    return app.test_client()


def test_an_order_is_confirmed(mail: Inbox, client: FlaskClient) -> None:
    with mail.expecting(subject="Your order 4711") as got:
        client.post("/orders", data={"email": mail.address, "number": "4711"})

    message = got.message
    assert message.attachment("invoice-*.pdf").bytes.startswith(b"%PDF")
    assert message.unsubscribe is not None
    assert message.unsubscribe.one_click
    assert message.envelope.rcpt == (mail.address,)


def test_mail_to_the_support_becomes_a_ticket(mail: Inbox, client: FlaskClient) -> None:
    question = EmailMessage()
    question["From"] = "ann@example.com"
    question["Subject"] = "Where is my order?"
    question.set_content("It has not come.")
    mail.deliver(question, to=client.application.config["SUPPORT"])

    assert client.get("/tickets").json == [{"from": "ann@example.com", "subject": "Where is my order?"}]
    assert client.get("/tickets").json == [], "it is told once"


def test_a_busy_server_gets_the_mail_in_the_end(mail: Inbox, client: FlaskClient) -> None:
    with mail.faults(at="RCPT", reply="451 4.7.1 later", times=2):
        client.post("/orders", data={"email": mail.address, "number": "4711"})
    mail.expect(subject="4711")
