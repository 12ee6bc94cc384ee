"""mailpit-api, Mailpit's client for Node.js, Cypress and Playwright: it needs to be told our address and nothing else."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import program
import pytest
from obedient import Obedient
from outside import Tool, missing

import mailsystem

pytestmark = pytest.mark.judge

SCRIPT = Path(__file__).parent / "mailpit-api/client.js"
INSTALLED = Path(mailsystem.__file__).parents[1] / ".venv/mailpit-api/node_modules"


class Client:
    """The client, and where mail for it goes."""

    def __init__(self, process: Obedient, sink: program.Program) -> None:
        self._process = process
        self._sink = sink
        self.called: set[str] = set()

    def __call__(self, name: str, *given: Any) -> Any:
        self.called.add(name)
        return self._process(name, *given)

    def refused(self, name: str, *given: Any) -> str:
        """Why it could not be done."""
        self.called.add(name)
        return str(self._process.tell(name, *given)["error"])

    def deliver(self, subject: str, **more: str) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "Shop <shop@shop.test>", "ann@shop.test", subject
        message.set_content(more.get("text", "Plain.\n"))
        message.add_alternative(more.get("html", "<p>Rich</p>"), subtype="html")
        message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="terms.pdf")
        message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png")
        with smtplib.SMTP(*self._sink.smtp, timeout=program.PATIENCE) as smtp:
            smtp.send_message(message)
        return message


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Program]:
    home = tmp_path_factory.mktemp("sink")
    env = {"MAILSYSTEM_QUEUE__SINK_ALLOW": "*@example.org", "MAILSYSTEM_QUEUE__NAMESERVERS": "127.0.0.1:9"}
    with program.Program(["sink", "--web-port", "0"], home=home, data_dir=home / "data", env=env) as sink:
        yield sink


@pytest.fixture
def client(caught: program.Program, tool: Tool, tmp_path: Path) -> Iterator[Client]:
    node = tool("node")
    modules = os.environ.get("MAILPIT_API", str(INSTALLED))
    if not (Path(modules) / "mailpit-api/package.json").exists():
        missing("mailpit-api")
    process = Obedient(node, str(SCRIPT), home=tmp_path, env={"NODE_PATH": modules})
    web = caught.ready["web"]
    process("connect", f"http://{web['host']}:{web['port']}")
    yield Client(process, caught)
    process.close()


def _messages_are_listed_found_read_and_waited_for(client: Client) -> None:
    client.deliver("Welcome")
    client.deliver("Other")
    listed = client("listMessages", 0, 1)
    assert (listed["total"], listed["messages_count"], len(listed["messages"])) == (2, 2, 1)
    assert listed["messages"][0]["Subject"] == "Other"
    assert client("searchMessages", {"query": "subject:Welcome", "limit": 5})["messages_count"] == 1
    message = client("waitForMessage", {"query": "subject:Welcome"}, {"timeout": 10_000, "interval": 50})
    assert (message["Subject"], message["Text"].strip()) == ("Welcome", "Plain.")
    found = client("waitForMessages", {"count": 2, "exact": True}, {"timeout": 10_000, "interval": 50})
    assert found["messages_count"] == 2
    assert client("getMessageSummary")["Subject"] == "Other"
    assert client("getMessageHeaders", message["ID"])["Subject"] == ["Welcome"]
    assert "Subject: Welcome" in client("getMessageSource", message["ID"])
    pdf, png = message["Attachments"]
    assert client("getMessageAttachment", message["ID"], pdf["PartID"]) == {
        "type": "application/pdf",
        "content": "%PDF-",
    }
    assert client("getAttachmentThumbnail", message["ID"], png["PartID"])["type"] == "image/jpeg"
    assert "Rich" in client("renderMessageHTML", message["ID"], 1)
    assert client("renderMessageText").strip() == "Plain."


def _messages_are_marked_tagged_and_deleted(client: Client) -> None:
    client.deliver("One")
    client.deliver("Two")
    two, one = (each["ID"] for each in client("listMessages", 0, 2)["messages"])
    assert client("setReadStatus", {"Read": True}) == "ok"
    assert client("listMessages")["unread"] == 0
    assert client("setReadStatus", {"IDs": [one]}) == "ok"
    assert client("setReadStatus", {"Search": "subject:Two"}, {"tz": "America/Chicago"}) == "ok"
    assert client("listMessages")["unread"] == 2
    assert client("setTags", {"IDs": [one, two], "Tags": ["Tag 1", "tag2"]}) == "ok"
    assert client("renameTag", "Tag 1", "New Name") == "ok"
    assert client("getTags") == ["New Name", "tag2"]
    assert client("deleteTag", "tag2") == "ok"
    assert client("searchMessages", {"query": 'tag:"New Name"'})["messages_count"] == 2
    assert client("getInfo")["Tags"] == {"New Name": 2}
    assert client("deleteMessages", {"IDs": [one]}) == "ok"
    assert client("deleteMessagesBySearch", {"query": 'tag:"New Name"'}) == "ok"
    assert client("getTags") == []
    # What would delete everything in Mailpit deletes nothing here, and says what to do instead.
    left = client("listMessages")["total"]
    assert "web.delete_all" in client.refused("deleteMessages")
    assert client.refused("deleteMessages", {"IDs": []})
    assert client("listMessages")["total"] == left


def _messages_are_sent_and_released(client: Client) -> None:
    sent = client(
        "sendMessage",
        {
            "From": {"Email": "shop@shop.test", "Name": "Shop"},
            "To": [{"Email": "ann@shop.test"}],
            "Subject": "Sent",
            "HTML": "<b>Hi</b>",
            "Tags": ["sent"],
        },
    )
    assert client("getMessageSummary", sent["ID"])["Tags"] == ["sent"]
    assert client("releaseMessage", sent["ID"], ["ann@example.org"]) == "ok"
    assert "not to" in client.refused("releaseMessage", sent["ID"], ["ann@example.com"])


def _what_there_is_and_what_there_is_not_is_told(client: Client) -> None:
    client.deliver("Links", html="<a href='http://127.0.0.1:9/'>x</a>")
    assert client("getInfo")["Version"].startswith("v1.30.")
    configuration = client("getConfiguration")
    assert configuration["MessageRelay"]["Enabled"] is True
    assert client("linkCheck", "latest", True) == {
        "Errors": 1,
        "Links": [
            {
                "URL": "http://127.0.0.1:9/",
                "StatusCode": 451,
                "Status": "Blocked private/reserved address: 127.0.0.1 is at 127.0.0.1, which is not public",
            }
        ],
    }
    off = {"ErrorCode": 451, "Probability": 0}
    at_recipients = {"ErrorCode": 550, "Probability": 100}
    assert client("setChaosTriggers", {"Recipient": at_recipients})["Recipient"] == at_recipients
    assert client("getChaosTriggers") == {
        "Sender": off,
        "Recipient": at_recipients,
        "Authentication": {"ErrorCode": 535, "Probability": 0},
    }
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        client.deliver("Refused")
    assert client("setChaosTriggers")["Recipient"] == off
    client.deliver("Taken")
    checked = client("htmlCheck")
    assert (checked["Total"]["Nodes"], checked["Total"]["Supported"]) == (1, 100)
    assert "Mailpit API Error: 400" in client.refused("spamAssassinCheck")


def test_every_method_of_the_client_does_what_it_is_for(client: Client) -> None:
    _messages_are_listed_found_read_and_waited_for(client)
    _messages_are_marked_tagged_and_deleted(client)
    _messages_are_sent_and_released(client)
    _what_there_is_and_what_there_is_not_is_told(client)
    assert set(client("methods")) - {"request"} == client.called - {"methods"}
