"""The tables of SMTP extensions, POP3 and IMAP capabilities are true: what they say is offered is, nothing else is, and each
has a test that exists."""

from __future__ import annotations

import importlib.util
import poplib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import program
import pytest
from outside import Certificates
from wire import Imap, Smtp

import mailsystem

ROOT = Path(mailsystem.__file__).parents[1]
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
assert _spec
assert _spec.loader
_generate: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_generate)
TABLE: dict[str, tuple[str, str, str]] = {name: (rfc, state, test) for name, rfc, state, test in _generate.EXTENSIONS}
TAGS: dict[str, tuple[str, str, str]] = {name: (rfc, state, test) for name, rfc, state, test in _generate.TAGS}
CAPABILITIES: dict[str, tuple[str, str, str]] = {
    name: (rfc, remark, test) for name, rfc, remark, _, test in _generate.CAPABILITIES
}
OFFERED = {name for name, (_, state, _) in TABLE.items() if state.startswith("offered")}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[program.Program]:
    env = {
        "MAILSYSTEM_TLS__CERT": str(certificates.certificate),
        "MAILSYSTEM_TLS__KEY": str(certificates.key),
        "MAILSYSTEM_LMTP__PORT": "0",
        "MAILSYSTEM_POP3__LOGIN_DELAY": "60",
        "MAILSYSTEM_LIMITS__MESSAGES_PER_COMMAND": "1000000",
    }
    with program.serve(tmp_path_factory.mktemp("extensions"), env=env) as running:
        yield running


def keywords(running: program.Program, door: str, certificates: Certificates, *, tls: bool) -> set[str]:
    bound = running.ready[door]
    verb = b"LHLO" if door == "lmtp" else b"EHLO"
    with Smtp(program.Place(bound["host"], bound["port"]), hello=False) as client:
        if tls:
            client.say(verb + b" client.example", expect=250)
            client.say(b"STARTTLS", expect=220)
            client.socket = certificates.client().wrap_socket(client.socket, server_hostname="localhost")
        _, text = client.say(verb + b" client.example", expect=250)
    return {line.split()[0] for line in text.split("\n")[1:]}


def test_what_the_table_says_is_offered_and_nothing_else(running: program.Program, certificates: Certificates) -> None:
    for door in ("smtp", "submission", "lmtp"):
        clear = keywords(running, door, certificates, tls=False)
        secure = keywords(running, door, certificates, tls=True)
        people = {"AUTH"} if door == "submission" else set()
        assert clear - people == OFFERED - {"REQUIRETLS", "AUTH"}, door
        assert secure == OFFERED - {"STARTTLS", "AUTH"} | people, door


def test_what_the_table_of_pop3_says_is_listed_and_nothing_else(running: program.Program) -> None:
    client = poplib.POP3(running.pop3.host, running.pop3.port, timeout=10)
    assert set(client.capa()) == set(TAGS)
    client.close()


def capabilities(line: bytes) -> set[str]:
    """The names in a CAPABILITY line or code; of those with a number or a list behind `=` only what is before that."""
    words = line.decode().partition("CAPABILITY ")[2].partition("]")[0].split()
    known = {name for name in CAPABILITIES if name.endswith("=")}
    return {next((name for name in known if word.startswith(name)), word) for word in words}


def test_what_the_table_of_imap_says_is_announced_and_nothing_else(running: program.Program) -> None:
    login = program.Person("ann@example.net", "correct horse")
    program.add_domain("example.net", data_dir=running.data_dir)
    program.add_user(login.login, login.password, data_dir=running.data_dir)
    with Imap(running.imap) as client:
        before = capabilities(client.greeting)
        answer = client.ok(f'LOGIN {login.login} "{login.password}"'.encode())
        after = capabilities(answer.text)
    assert before - after == {"STARTTLS", "AUTH=", "SASL-IR", "LITERAL-"}
    assert after - before == {"LITERAL+"}
    assert before | after | {"LOGINDISABLED"} == set(CAPABILITIES)


@pytest.mark.parametrize("name", [*TABLE, *TAGS, *CAPABILITIES])
def test_an_extension_has_an_rfc_and_a_test_that_exists(name: str) -> None:
    rfc, state, test = CAPABILITIES.get(name) or TAGS.get(name) or TABLE[name]
    assert re.fullmatch(r"\d{4,5}", rfc)
    assert bool(test) == (state.startswith("offered") or name in TAGS or name in CAPABILITIES)
    if test:
        file, _, function = test.partition("::")
        assert re.search(rf"^(?:async )?def {function}\(", (ROOT / file).read_text(), re.MULTILINE), test
