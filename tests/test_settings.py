"""Settings: which source wins, what is unknown, what is said about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from mailsystem import settings
from mailsystem.settings import Knob, Loaded, Settings, SettingsError, knobs, load, name_server, sink_defaults
from mailsystem.settings.queue import Queue


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the variables nor the files of this machine."""
    for name in os.environ:
        if name.startswith(("MAILSYSTEM_", "MP_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "SEARCHED", (Path("mailsystem.toml"), tmp_path / "etc.toml"))


def write(text: str, name: str = "mailsystem.toml") -> Path:
    path = Path.cwd() / name
    path.write_text(text)
    return path


def failure(text: str | None = None, **flags: object) -> str:
    if text is not None:
        write(text)
    with pytest.raises(SettingsError) as failed:
        load({name.replace("__", "."): value for name, value in flags.items()})
    return str(failed.value)


def test_without_any_source_the_defaults_are_in_force() -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.file is None


def test_flags_beat_variables_beat_the_file_beats_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("[smtp]\nport = 1\n[pop3]\nport = 2\n[imap]\nport = 3\n[log]\nlevel = 'debug'\n")
    monkeypatch.setenv("MAILSYSTEM_SMTP__PORT", "11")
    monkeypatch.setenv("MAILSYSTEM_POP3__PORT", "12")
    loaded = load({"smtp.port": 21, "pop3.port": None})
    now = loaded.settings
    assert (now.smtp.port, now.pop3.port, now.imap.port, now.log.level, now.log.format) == (21, 12, 3, "debug", "text")
    assert loaded.sources["smtp.port"] == "--smtp-port"
    assert loaded.sources["pop3.port"] == "MAILSYSTEM_POP3__PORT"
    assert loaded.sources["imap.port"] == "mailsystem.toml"
    assert loaded.sources["log.format"] == "default"
    assert loaded.file is not None
    assert loaded.file.samefile(file)


def test_several_things_are_a_list_in_the_file_and_a_line_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    write("proxies = ['192.0.2.1', '2001:db8::/32']\npolicy.dnsbl = ['a.example', 'b.example']")
    by_file = load().settings
    Path("mailsystem.toml").unlink()
    monkeypatch.setenv("MAILSYSTEM_PROXIES", "192.0.2.1 2001:db8::/32")
    monkeypatch.setenv("MAILSYSTEM_POLICY__DNSBL", "a.example,b.example")
    by_variable = load().settings
    assert by_file == by_variable
    assert [str(network) for network in by_file.proxies] == ["192.0.2.1/32", "2001:db8::/32"]
    assert by_file.policy.dnsbl == ("a.example", "b.example")


def test_a_name_server_has_an_address_and_perhaps_a_port() -> None:
    for text, place in (
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:DB8::1]:5353", ("2001:db8::1", 5353)),
    ):
        assert name_server(text) == place
    for text in ("", "localhost", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "[192.0.2.1]:53", "[::1", "::1]:53"):
        with pytest.raises(ValueError):
            name_server(text)


def test_a_smarthost_has_a_name_and_perhaps_a_port() -> None:
    assert Queue().carrier is None
    for text, place in (
        ("mail.example.net", ("mail.example.net", 587)),
        ("mail.example.net:2525", ("mail.example.net", 2525)),
        ("192.0.2.1:25", ("192.0.2.1", 25)),
        ("2001:db8::1", ("2001:db8::1", 587)),
        ("[2001:DB8::1]:26", ("2001:db8::1", 26)),
    ):
        assert Queue(smarthost=text).carrier == place
    assert Queue(smarthost="mail.example.net", smarthost_tls="implicit").carrier == ("mail.example.net", 465)
    assert Queue(smarthost="mail.example.net", smarthost_tls="none").carrier == ("mail.example.net", 25)
    for text in (":25", "mail:0", "mail:65536", "mail:x", "two words", "[::1", "::1]:53"):
        with pytest.raises(ValueError):
            Queue(smarthost=text)


def test_single_domains_have_smarthosts_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[queue.smarthosts]\n'B.test' = 'mail.b.test'\n'c.test' = ''\n")
    by_file = load().settings.queue
    assert by_file.carriers == {"b.test": ("mail.b.test", 25), "c.test": None}
    Path("mailsystem.toml").unlink()
    monkeypatch.setenv("MAILSYSTEM_QUEUE__SMARTHOSTS", '{"b.test": "mail.b.test", "c.test": ""}')
    assert load().settings.queue == by_file
    monkeypatch.delenv("MAILSYSTEM_QUEUE__SMARTHOSTS")
    assert failure("[queue.smarthosts]\n'b.test' = 'mail:x'").startswith(
        "queue.smarthosts (from mailsystem.toml) should be domains"
    )


def test_a_retry_never_waits_longer_than_the_longest_wait() -> None:
    write("[queue]\nretry_first = 60\nretry_most = 3600\ndelay_notice = 0\n")
    assert load().settings.queue.retry_most == 3600
    assert failure("[queue]\nretry_most = 60").startswith("queue retry_first is the shortest wait")


def test_further_certificates_are_named_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[tls]\ncert = 'c'\nkey = 'k'\n[tls.names.\"mail.example.net\"]\ncert = 'nc'\nkey = '/nk'\n")
    [(name, pair)] = load().settings.tls.names.items()
    assert (name, pair.cert, pair.key) == ("mail.example.net", Path("nc"), Path("/nk"))
    monkeypatch.setenv("MAILSYSTEM_TLS__NAMES", '{"mail.example.com": {"cert": "/c", "key": "/k"}}')
    assert list(load().settings.tls.names) == ["mail.example.com"]
    monkeypatch.setenv("MAILSYSTEM_TLS__NAMES", "mail.example.com")
    assert failure().startswith("tls.names (from MAILSYSTEM_TLS__NAMES) should be a table, in a variable as JSON")


def test_a_certificate_opens_the_doors_that_speak_tls_and_off_closes_them() -> None:
    assert (load().settings.submission.port, load().settings.imaps.port) == (None, None)
    write("[tls]\ncert = 'c'\nkey = 'k'\n[pop3s]\nport = 'off'\n[imaps]\nport = 1993\n")
    loaded = load()
    now = loaded.settings
    assert (now.submission.port, now.submissions.port, now.pop3s.port, now.imaps.port) == (587, 465, None, 1993)
    assert loaded.sources["submissions.port"] == "tls"
    assert loaded.sources["pop3s.port"] == "mailsystem.toml"
    assert load(sink=True, config=Path("mailsystem.toml")).settings.submission.port is None


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_TLS__CERT", "")
    monkeypatch.setenv("MAILSYSTEM_SMTP__PORT", "")
    assert load().settings == Settings()


@pytest.mark.parametrize(
    "knob", [knob for knob in knobs() if knob.name not in {"tls.names", "queue.smarthosts"}], ids=lambda knob: knob.name
)
def test_every_setting_can_be_given_by_file_and_by_variable(knob: Knob, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {
        "host": "127.0.0.1",
        "hostname": "mail.example.org",
        "default_domain": "example.org",
        "lmtp.host": "::1",
        "web.host": "::1",
        "web.tls": "true",
        "web.hosts": "mail.example.net, post.example.net",
        "web.origins": "https://app.test, app.test:8080",
        "web.root": "/mail",
        "web.label": "Staging",
        "web.delete_all": "true",
        "web.auth": "ann:secret",
        "sink.passwords": "ann:secret",
        "sink.login_required": "true",
        "sink.spamd": "127.0.0.1:783",
        "faults.chaos": "Sender:451:5",
        "sink.webhook": "http://127.0.0.1:9000/hook",
        "tags.header": "false",
        "tags.addresses": "false",
        "tags.logins": "true",
        "tags.title": "true",
        "tags.rules": "invoices=subject:invoice 'Big ones,big=larger:1MB'",
        "pop2.host": "::1",
        "pop2.anywhere": "true",
        "pop1.host": "::1",
        "pop1.anywhere": "true",
        "bare_newline": "accept",
        "durable_flags": "false",
        "spaces.logins": "ci-*, job-?",
        "spaces.copies": "true",
        "log.format": "json",
        "log.level": "error",
        "journal.transcripts": "true",
        "log.lines": "true",
        "cleartext_login": "true",
        "policy.dnsbl": "zen.example, dnsbl.example",
        "policy.greylisting": "true",
        "faults.magic": "false",
        "proxies": "192.0.2.1, 2001:db8::/32",
        "accounts.separator": "-",
        "accounts.detail_folder": "true",
        "accounts.share_with_anyone": "true",
        "limits.message_size": "123456",
        "webhooks.private": "true",
        "smtp.greeting_delay": "5",
        "queue.nameservers": "127.0.0.1:5353, ::1",
        "queue.private_hosts": "true",
        "queue.relaying": "false",
        "queue.sink_allow": "*@example.org, ann@example.net",
        "queue.smarthost": "mail.example.net",
        "queue.smarthost_login": "ann",
        "queue.smarthost_password": "something",
        "queue.smarthost_tls": "implicit",
    }
    given = words.get(knob.name, "123")
    if knob.name.startswith("oauth."):
        given = "something"
    if knob.name in (
        "data_dir",
        "tls.cert",
        "tls.key",
        "lmtp.path",
        "queue.ca_file",
        "web.auth_file",
        "sink.passwords_file",
    ):
        given = "/tmp/x"
    partner = {"tls.cert": "tls.key", "tls.key": "tls.cert"}.get(knob.name)
    quoted = given if given.isdigit() or given in {"true", "false"} else f'"{given}"'
    write("\n".join(f"{name} = {quoted}" for name in (knob.name, partner) if name))
    by_file = load()
    Path("mailsystem.toml").unlink()
    for name in (knob.name, partner):
        if name:
            monkeypatch.setenv(Knob(name, "", None).variable, given)
    by_variable = load()
    assert by_file.value(knob.name) == by_variable.value(knob.name) != Loaded(Settings(), {}, None).value(knob.name)
    assert by_file.sources[knob.name] == "mailsystem.toml"
    assert by_variable.sources[knob.name] == knob.variable


def test_every_setting_says_what_it_is() -> None:
    for knob in knobs():
        assert len(knob.description) > 10, knob.name
        assert knob.description.endswith("."), knob.name


def test_the_file_that_is_named_is_read_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    write("host = '127.0.0.1'")
    other = write("host = '127.0.0.2'", "other.toml")
    assert load(config=other).settings.host == "127.0.0.2"
    monkeypatch.setenv("MAILSYSTEM_CONFIG", str(other))
    assert load().settings.host == "127.0.0.2"
    monkeypatch.setenv("MAILSYSTEM_CONFIG", "missing.toml")
    with pytest.raises(SettingsError, match=r"there is no file of settings missing\.toml"):
        load()


def test_the_file_is_searched_here_and_then_in_etc() -> None:
    write("host = '127.0.0.9'", "etc.toml")
    assert load().settings.host == "127.0.0.9"
    write("host = '127.0.0.8'")
    assert load().settings.host == "127.0.0.8"


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    text = "data_dir = 'mail'\n[tls]\ncert = 'c.pem'\nkey = '/k.pem'\n[queue]\nca_file = 'ca.pem'\n"
    file = write(text, "conf/mailsystem.toml")
    now = load(config=file).settings
    assert (now.data_dir, now.tls.cert, now.tls.key, now.queue.ca_file) == (
        tmp_path / "conf" / "mail",
        tmp_path / "conf" / "c.pem",
        Path("/k.pem"),
        tmp_path / "conf" / "ca.pem",
    )


def test_every_path_of_the_file_is(tmp_path: Path) -> None:
    """Whoever adds one must say so."""
    named = [knob.name for knob in knobs() if knob.name.endswith(("_dir", "_file", ".cert", ".key", ".path"))]
    assert len(named) >= 7
    for name in named:
        group, _, leaf = name.rpartition(".")
        partner = {"tls.cert": "key = '/k'\n", "tls.key": "cert = '/c'\n"}.get(name, "")
        file = write(f"{f'[{group}]' if group else ''}\n{leaf} = 'here'\n{partner}", "conf.toml")
        assert load(config=file).value(name) == file.parent / "here", name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[smtp]\nprot = 1", "unknown setting smtp.prot in mailsystem.toml; did you mean smtp.port?"),
        ("message_size = 1", "unknown setting message_size in mailsystem.toml; did you mean limits.message_size?"),
        ("[smpt]\nport = 1", "unknown setting smpt in mailsystem.toml; did you mean smtp?"),
        ("xyzzy = 1", "unknown setting xyzzy in mailsystem.toml; `mailsystem settings` lists all there are"),
        ("smtp = 25", "smtp in mailsystem.toml is a table: write its settings under [smtp]"),
        ("[smtp]\nport = 70000", "smtp.port (from mailsystem.toml) should be less than or equal to 65535, not 70000"),
        ("[smtp]\nport = 'a'", "smtp.port (from mailsystem.toml) should be a whole number, not 'a'"),
        ("cleartext_login = 'maybe'", "cleartext_login (from mailsystem.toml) should be true or false, not 'maybe'"),
        (
            "default_domain = '-'",
            "default_domain (from mailsystem.toml) should be a domain such as example.org, not '-'",
        ),
        ("[tls]\ncert = 'c'", "tls cert and key belong together: set both or neither"),
        ("host = ''", "host (from mailsystem.toml) should not be empty, not ''"),
        (
            "proxies = ['here']",
            "proxies (from mailsystem.toml) should be addresses or networks such as 192.0.2.1 or 2001:db8::/32, not 'here'",
        ),
        (
            "queue.sink_allow = ['example.org']",
            "queue.sink_allow (from mailsystem.toml) should be addresses such as ann@example.org, or *@example.org",
        ),
        (
            "queue.nameservers = ['localhost']",
            "queue.nameservers (from mailsystem.toml) should be addresses such as 192.0.2.1",
        ),
        ("grace", "mailsystem.toml is not TOML: "),
    ],
)
def test_what_is_wrong_in_the_file_is_said_in_one_sentence(text: str, sentence: str) -> None:
    said = failure(text)
    assert said.startswith(sentence)
    assert "\n" not in said


def test_an_unknown_variable_is_named_with_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_SMTP_PORT", "1")
    assert failure() == "unknown variable MAILSYSTEM_SMTP_PORT; did you mean MAILSYSTEM_SMTP__PORT?"


def test_a_bad_flag_is_told_as_the_flag() -> None:
    said = failure(smtp__port=-1)
    assert said == "smtp.port (from --smtp-port) should be greater than or equal to 0, not -1"


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    directory = tmp_path / "mailsystem.toml"
    directory.mkdir()
    with pytest.raises(SettingsError, match="there is no file of settings"):
        load(config=directory)


def test_the_sink_starts_from_defaults_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    loaded = load({"smtp.port": 0}, sink=True)
    now = loaded.settings
    assert now.data_dir == tmp_path / "state" / "mailsystem" / "sink"
    assert (now.host, now.smtp.port, now.pop3.port, now.imap.port) == ("127.0.0.1", 0, 1110, 1143)
    assert (now.bare_newline, now.cleartext_login) == ("accept", True)
    assert loaded.sources["smtp.port"] == "--smtp-port"
    assert loaded.sources["imap.port"] == "sink"
    assert set(sink_defaults()) <= {knob.name for knob in knobs()}


def test_the_sink_never_stumbles_over_the_file_of_a_server(tmp_path: Path) -> None:
    file = write(f"data_dir = '{tmp_path}/precious'")
    assert load(sink=True).settings.data_dir != tmp_path / "precious"
    assert load(sink=True, config=file).settings.data_dir == tmp_path / "precious"


def test_a_secret_is_never_shown() -> None:
    class WithSecret(Settings):
        token: SecretStr = SecretStr("hush")

    loaded = Loaded(WithSecret(), {}, None)
    assert loaded.value("token") == "**********"


def test_a_sink_understands_the_variables_of_mailpit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "MP_SMTP_BIND_ADDR": "0.0.0.0:2525",
        "MP_UI_BIND_ADDR": "[::1]:8080",
        "MP_POP3_BIND_ADDR": ":2110",
        "MP_DATABASE": f"{tmp_path}/mailpit.db",
        "MP_LABEL": "Staging",
        "MP_WEBROOT": "/mail/",
        "MP_UI_AUTH": "ann:a bob:b",
        "MP_SMTP_AUTH": "app:good",
        "MP_POP3_AUTH": "pop:p",
        "MP_SMTP_AUTH_FILE": f"{tmp_path}/people",
        "MP_SMTP_MAX_RECIPIENTS": "500",
        "MP_MAX_MESSAGE_SIZE": "4",
        "MP_ALLOWED_HOSTS": "mail.example.org:8025, mailpit",
        "MP_ENABLE_PROMETHEUS": "true",
        "MP_WEBHOOK_URL": "http://127.0.0.1:9000/hook",
        "MP_WEBHOOK_LIMIT": "5",
        "MP_CHAOS_TRIGGERS": "Sender:451:50, recipient:550:100",
        "MP_VERBOSE": "true",
        "MP_SMTP_DISABLE_RDNS": "1",
        "MP_MAX_MESSAGES": "500",
        "MP_MAX_AGE": "3d",
        "MP_API_CORS": "app.test,https://other.test",
        "MP_ENABLE_SPAMASSASSIN": "spamd:783",
        "MP_TAG": "invoices=subject:invoice 'Big ones=larger:1MB'",
        "MP_TAGS_TITLE_CASE": "true",
        "MP_TAGS_USERNAME": "true",
        "MP_TAGS_DISABLE": "plus-addresses",
        "MP_TENANT_ID": "x",
        "MP_NEW_IN_A_LATER_ONE": "x",
        "MP_QUIET": "",
    }.items():
        monkeypatch.setenv(name, value)
    loaded = load({"smtp.port": 2526}, sink=True)
    now = loaded.settings
    assert (now.host, now.smtp.port, now.web.host, now.web.port, now.pop3.port) == ("*", 2526, "::1", 8080, 2110)
    assert (now.data_dir, now.web.label, now.web.root) == (tmp_path / "mailpit", "Staging", "/mail")
    assert now.web.auth is not None
    assert now.web.auth.get_secret_value() == "ann:a bob:b"
    assert now.sink.passwords is not None
    assert now.sink.passwords.get_secret_value() == "app:good pop:p"
    assert (now.sink.passwords_file, now.sink.login_required) == (tmp_path / "people", True)
    assert (now.limits.recipients, now.limits.message_size, now.log.level) == (500, 4 << 20, "debug")
    assert now.faults.chaos == "Sender:451:50, recipient:550:100"
    assert now.web.hosts == ("mail.example.org", "mailpit")
    assert (now.retention.messages, now.retention.age) == (500, 3 * 86_400)
    assert now.web.origins == ("app.test", "https://other.test")
    assert (now.sink.spamd, now.sink.webhook) == ("spamd:783", "http://127.0.0.1:9000/hook")
    assert now.tags.rules == ("invoices=subject:invoice", "Big ones=larger:1MB")
    assert (now.tags.header, now.tags.addresses, now.tags.title, now.tags.logins) == (True, False, True, True)
    assert loaded.sources["web.port"] == "MP_UI_BIND_ADDR"
    assert loaded.ignored == ("MP_NEW_IN_A_LATER_ONE", "MP_TENANT_ID")
    assert load().settings.web.label == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MP_SMTP_BIND_ADDR", "unix:/run/smtp.sock:0666"),
        ("MP_UI_BIND_ADDR", "8025"),
        ("MP_DATABASE", "http://rqlite:4001"),
        ("MP_SMTP_MAX_RECIPIENTS", "10"),
        ("MP_MAX_MESSAGE_SIZE", "0"),
        ("MP_MAX_MESSAGE_SIZE", "much"),
        ("MP_ALLOWED_HOSTS", "http://mail.example.org/"),
        ("MP_ENABLE_PROMETHEUS", "0.0.0.0:9090"),
        ("MP_CHAOS_TRIGGERS", "Sender:250:5"),
        ("MP_CHAOS_TRIGGERS", "Data:451:5"),
        ("MP_CHAOS_TRIGGERS", "Sender:451:101"),
        ("MP_WEBHOOK_URL", "http://login:password@127.0.0.1/hook"),
        ("MP_MAX_MESSAGES", "many"),
        ("MP_MAX_AGE", "3 weeks"),
        ("MP_ENABLE_SPAMASSASSIN", "postmark"),
        ("MP_TAGS_DISABLE", "colours"),
        ("MP_TAGS_CONFIG", "tags.yaml"),
    ],
)
def test_what_mailpit_knows_and_a_sink_does_not_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert load(sink=True).ignored == (name,)


def test_our_own_variables_beat_those_of_mailpit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_UI_BIND_ADDR", "127.0.0.1:8080")
    monkeypatch.setenv("MAILSYSTEM_WEB__PORT", "8081")
    assert load(sink=True).settings.web.port == 8081
