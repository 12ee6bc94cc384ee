"""A shop that confirms orders by mail, and turns mail to its support into tickets."""

import imaplib
import smtplib
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from flask import Flask, Response, current_app, jsonify, request

RETRIES = 3


def create_app(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(SMTP_HOST="localhost", SMTP_PORT=25, IMAP_HOST="localhost", IMAP_PORT=143, PAUSE=1.0)
    app.config.update(config)

    @app.post("/orders")
    def order() -> tuple[str, int]:
        send(confirmation(request.form["email"], request.form["number"]))
        return "Thank you.", 201

    @app.get("/tickets")
    def tickets() -> Response:
        return jsonify(fetch_tickets())

    return app


def confirmation(address: str, number: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "orders@example.com"
    message["To"] = address
    message["Subject"] = f"Your order {number}"
    message["List-Unsubscribe"] = "<https://shop.example.com/leave?me>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("Thank you for your order. The invoice is attached.")
    message.add_attachment(b"%PDF-1.7 ...", maintype="application", subtype="pdf", filename=f"invoice-{number}.pdf")
    return message


def send(message: EmailMessage) -> None:
    """A server that says 4xx wants the message later (RFC 5321 4.2.1)."""
    config = current_app.config
    for attempt in range(RETRIES):
        try:
            with smtplib.SMTP(config["SMTP_HOST"], config["SMTP_PORT"]) as client:
                client.send_message(message)
            return
        except smtplib.SMTPResponseException as error:
            if error.smtp_code >= 500 or attempt == RETRIES - 1:
                raise
        except smtplib.SMTPRecipientsRefused as error:
            if attempt == RETRIES - 1 or any(code >= 500 for code, _ in error.recipients.values()):
                raise
        time.sleep(config["PAUSE"])


def fetch_tickets() -> list[dict[str, str]]:
    """Unread mail to the support, which is read by that."""
    config = current_app.config
    found = []
    with imaplib.IMAP4(config["IMAP_HOST"], config["IMAP_PORT"]) as client:
        client.login(config["SUPPORT"], config["SUPPORT_PASSWORD"])
        client.select("INBOX")
        for number in client.search(None, "UNSEEN")[1][0].split():
            [(_, octets), *_] = client.fetch(number, "(RFC822)")[1]
            message = message_from_bytes(octets, policy=default)
            found.append({"from": str(message["From"]), "subject": str(message["Subject"])})
    return found
