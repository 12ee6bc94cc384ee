"""`mailsystem webhook` as somebody uses it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook as Judge

if TYPE_CHECKING:
    from conftest import Cli

ANN = "ann@example.org"


class Listening(HTTPServer):
    status = 204
    got: list[tuple[dict[str, str], bytes]]


class _Taking(BaseHTTPRequestHandler):
    server: Listening

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening(("127.0.0.1", 0), _Taking) as server:
        server.got = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def here(cli: Cli) -> Cli:
    """A server with Ann."""
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", ANN, "--generate")
    return cli


def test_a_webhook_is_made_listed_and_taken_away(here: Cli) -> None:
    assert "mailsystem webhook add" in here("webhook", "list").out
    made = here(
        "webhook", "add", ANN, "https://shop.test/hook", "--event", "flags", "--event", "arrived", "--query", "is:unread",
        "--include", "raw", "--json",
    ).json  # fmt: skip
    assert (made["events"], made["query"], made["include"]) == (["arrived", "flags"], "is:unread", "raw")
    assert made["secret"].startswith("whsec_")
    [listed] = here("webhook", "list", "--json").json
    assert (listed["id"], listed["account"], listed["waiting"]) == (made["id"], ANN, 0)
    for shown in (here("webhook", "list"), here("webhook", "list", "--json")):
        assert made["secret"] not in shown.out
    assert "tried at once" in here("webhook", "retry", made["id"]).out
    here("webhook", "remove", made["id"], "--yes")
    assert here("webhook", "list", "--json").json == []
    for command in ("remove", "retry", "test"):
        assert "mailsystem webhook list" in here.refused("webhook", command, made["id"])


def test_what_makes_no_sense_is_refused(here: Cli) -> None:
    assert "there is no eve@example.org here" in here.refused("webhook", "add", "eve@example.org", "https://shop.test/")
    assert "should be an address" in here.refused("webhook", "add", ANN, "shop.test")
    assert "empty query" in here.refused("webhook", "add", ANN, "https://shop.test/", "--event", "gone", "--query", "x")
    assert "whsec_" in here.refused("webhook", "add", ANN, "https://shop.test/", "--secret", "x")
    assert "should begin with https" in here.refused("webhook", "add", ANN, "http://shop.test/")
    assert "should be a public one" in here.refused("webhook", "add", ANN, "https://169.254.169.254/")
    assert here("webhook", "list", "--json").json == []


def test_a_receiver_is_tried(here: Cli, listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{listening.server_port}/"
    monkeypatch.setenv("MAILSYSTEM_WEBHOOKS__PRIVATE", "true")
    made = here("webhook", "add", ANN, url, "--json").json
    monkeypatch.delenv("MAILSYSTEM_WEBHOOKS__PRIVATE")
    assert "https" in here.refused("webhook", "test", made["id"]), "mail of a server stays out of its own network"
    monkeypatch.setenv("MAILSYSTEM_WEBHOOKS__PRIVATE", "true")
    assert "has taken it (204)" in here("webhook", "test", made["id"]).out
    [(headers, body)] = listening.got
    assert json.loads(body)["type"] == "test"
    Judge(made["secret"]).verify(body, headers)
    listening.status = 500
    assert "the receiver says 500" in here.refused("webhook", "test", made["id"])
    told = here("webhook", "test", made["id"], "--json", status=1).json
    assert (told["taken"], told["status"]) == (False, 500)
