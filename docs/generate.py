"""Writes the reference pages from the program itself: `python docs/generate.py`; `--check` only says whether they are current.

settings.md from the settings' descriptions, command-line.md from the commands, protocols.md from the doors' own tables,
check-rules.md from the rules of `mailsystem check`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the program: change that, not this. -->"


EXTENSIONS = (
    ("SIZE", "1870", "offered", "tests/smtp/test_transactions.py::test_the_size_is_limited_before_and_during_data"),
    ("8BITMIME", "6152", "offered", "tests/smtp/test_transactions.py::test_odd_messages_are_kept_as_they_were_sent"),
    ("SMTPUTF8", "6531", "offered", "tests/smtp/test_clients.py::test_smtplib_sends_utf8_addresses"),
    (
        "PIPELINING",
        "2920",
        "offered; the replies of a group leave in one piece",
        "tests/judges/test_postfix.py::test_postfix_pipelines_and_its_groups_are_answered_in_one_piece",
    ),
    ("CHUNKING", "3030", "offered (BDAT)", "tests/judges/test_exim.py::test_what_exim_carries_arrives_once_and_whole"),
    ("BINARYMIME", "3030", "offered", "tests/smtp/test_bdat.py::test_binary_content_is_kept_octet_by_octet"),
    (
        "DSN",
        "3461",
        "offered; reports of failure, delay and success, one for a message; passed on to servers that offer it",
        "tests/judges/test_postfix.py::test_postfix_hands_on_what_is_asked_of_delivery_reports",
    ),
    (
        "LIMITS",
        "9422",
        "offered: RCPTMAX, and MAILMAX where there is one",
        "tests/smtp/test_parameters.py::test_limits_are_told_and_meant",
    ),
    ("REQUIRETLS", "8689", "offered under TLS", "tests/smtp/test_parameters.py::test_they_are_kept_with_the_envelope"),
    (
        "STARTTLS",
        "3207",
        "offered in clear where a certificate is set",
        "tests/smtp/test_tls.py::test_starttls_secures_and_forgets",
    ),
    (
        "AUTH",
        "4954",
        "offered for submission, and in the sink; never at the MX or over LMTP",
        "tests/smtp/test_submission.py::test_logins_are_for_submission",
    ),
    (
        "ENHANCEDSTATUSCODES",
        "2034",
        "offered",
        "tests/smtp/test_replies.py::test_every_fixed_reply_has_its_enhanced_code",
    ),
    ("FUTURERELEASE", "4865", "not yet", ""),
    ("DELIVERBY", "2852", "not offered", ""),
    ("MT-PRIORITY", "6710", "not offered", ""),
    ("ETRN", "1985", "not offered", ""),
    ("BURL", "4468", "not offered, on purpose: it lets a server fetch what a client names", ""),
)
"""Of SMTP: the keyword, its RFC, what it is here, and a test of it. A test holds them against a running program."""

_POP3 = "tests/pop3/"
TAGS = (
    ("USER", "1939", "where a password may be said", _POP3 + "test_judges.py::test_poplib_reads_lists_and_deletes"),
    (
        "SASL",
        "5034",
        "the mechanisms above, with initial response",
        _POP3 + "test_judges.py::test_curl_retrieves_octet_for_octet",
    ),
    (
        "STLS",
        "2595",
        "in clear where a certificate is set",
        _POP3 + "test_judges.py::test_curl_asks_for_tls_and_gets_it",
    ),
    ("TOP", "1939", "offered", _POP3 + "test_judges.py::test_poplib_reads_lists_and_deletes"),
    (
        "UIDL",
        "1939",
        "offered; names stay over renames, restarts and copies of the server",
        _POP3 + "test_judges.py::test_mpop_fetches_everything_once_and_deletes_it",
    ),
    (
        "PIPELINING",
        "2449",
        "offered; the answers of a group leave in one piece",
        _POP3 + "test_dialogs.py::test_a_pipelined_group_is_answered_in_order_and_in_one_write",
    ),
    (
        "RESP-CODES",
        "2449",
        "offered: IN-USE, LOGIN-DELAY",
        _POP3 + "test_policies.py::test_login_delay_is_announced_and_meant_at_every_door",
    ),
    (
        "AUTH-RESP-CODE",
        "3206",
        "offered: AUTH, SYS/TEMP, SYS/PERM",
        _POP3 + "test_login.py::test_a_wrong_password_and_an_unknown_name_are_told_alike",
    ),
    (
        "EXPIRE",
        "2449",
        "NEVER, or the days that `mailsystem user maildrop --keep` says: before login the fewest of all accounts, with USER",
        _POP3 + "test_policies.py::test_the_shortest_time_is_announced_before_login_and_ones_own_after",
    ),
    (
        "LOGIN-DELAY",
        "2449",
        "where `pop3.login_delay` or `mailsystem user maildrop --login-delay` sets one",
        _POP3 + "test_policies.py::test_login_delay_is_announced_and_meant_at_every_door",
    ),
    ("UTF8", "6856", "offered, with USER", _POP3 + "test_utf8.py::test_poplib_says_utf8_and_reads_it"),
    (
        "LANG",
        "6856",
        "offered: en, de, fr, i-default",
        _POP3 + "test_utf8.py::test_languages_are_listed_chosen_and_refused_as_in_the_rfc",
    ),
    (
        "IMPLEMENTATION",
        "2449",
        "offered, without a version",
        _POP3 + "test_dialogs.py::test_capa_before_and_after_login",
    ),
)
"""Of POP3: what CAPA lists, its RFC, what it is here, and a test of it."""

_IMAP = "tests/imap/"
_JUDGES = "tests/judges/"
CAPABILITIES = (
    ("IMAP4rev1", "3501", "", "all", _IMAP + "test_dialogs.py::test_a_first_conversation"),
    (
        "IMAP4rev2",
        "9051",
        "beside it, once it is ENABLEd",
        "ImapFlow",
        _IMAP + "test_resync.py::test_the_later_dialect_has_no_recent_and_spells_names_in_utf8",
    ),
    (
        "STARTTLS",
        "3501",
        "in clear where a certificate is set",
        "all",
        _IMAP + "test_login.py::test_under_tls_the_door_opens",
    ),
    (
        "LOGINDISABLED",
        "3501",
        "where a password may not be said",
        "all",
        _IMAP + "test_login.py::test_passwords_in_clear_are_not_taken_from_afar",
    ),
    (
        "AUTH=",
        "3501",
        "the mechanisms above",
        "all",
        "tests/directory/test_doors.py::test_each_mechanism_opens_each_door",
    ),
    (
        "SASL-IR",
        "4959",
        "before login",
        "iOS Mail, K-9, ImapFlow, mbsync",
        _IMAP + "test_login.py::test_the_right_password_opens_the_door_in_every_way",
    ),
    (
        "LITERAL-",
        "7888",
        "before login",
        "iOS Mail, Thunderbird, K-9, ImapFlow, mbsync",
        _IMAP + "test_server.py::test_less_is_taken_from_strangers",
    ),
    (
        "LITERAL+",
        "7888",
        "after login",
        "iOS Mail, Thunderbird, K-9, ImapFlow, mbsync",
        _IMAP + "test_append.py::test_a_message_is_kept_octet_by_octet",
    ),
    ("ID", "2971", "", "nearly all", _IMAP + "test_dialogs.py::test_the_identification_of_rfc_2971"),
    (
        "ENABLE",
        "5161",
        "",
        "all that use what is to be enabled",
        _IMAP + "test_dialogs.py::test_namespace_enable_and_unselect",
    ),
    ("IDLE", "2177", "", "nearly all", _IMAP + "test_dialogs.py::test_the_idle_of_rfc_2177"),
    (
        "NAMESPACE",
        "2342",
        "one's own, and Other Users",
        "Thunderbird, K-9, ImapFlow, mbsync, Roundcube",
        _IMAP + "test_acl.py::test_shared_mailboxes_are_listed_below_other_users",
    ),
    (
        "CHILDREN",
        "3348",
        "",
        "Thunderbird, Roundcube",
        _IMAP + "test_mailboxes.py::test_a_deleted_name_with_others_below_it_stays_as_a_name_only",
    ),
    (
        "UNSELECT",
        "3691",
        "",
        "Thunderbird, ImapFlow, mbsync",
        _IMAP + "test_dialogs.py::test_namespace_enable_and_unselect",
    ),
    ("UIDPLUS", "4315", "", "nearly all", _IMAP + "test_dialogs.py::test_the_append_and_copy_of_rfc_4315"),
    ("MOVE", "6851", "", "nearly all", _IMAP + "test_dialogs.py::test_the_move_of_rfc_6851"),
    (
        "SPECIAL-USE",
        "6154",
        "",
        "Thunderbird, iOS Mail, K-9, ImapFlow, Roundcube",
        _IMAP + "test_mailboxes.py::test_special_mailboxes_are_shown_as_such",
    ),
    (
        "CREATE-SPECIAL-USE",
        "6154",
        "",
        "Roundcube",
        _IMAP + "test_listing.py::test_a_mailbox_is_created_for_a_purpose",
    ),
    (
        "LIST-EXTENDED",
        "5258",
        "",
        "Thunderbird, K-9, Roundcube",
        _IMAP + "test_listing.py::test_subscribed_names_are_chosen_or_only_marked",
    ),
    (
        "LIST-STATUS",
        "5819",
        "counts of all mailboxes by one look",
        "iOS Mail, ImapFlow, Roundcube",
        _IMAP + "test_listing.py::test_counts_come_with_the_names",
    ),
    ("LIST-MYRIGHTS", "8440", "", "Roundcube", _IMAP + "test_listing.py::test_rights_come_with_the_names"),
    ("LIST-METADATA", "9590", "", "", _IMAP + "test_metadata.py::test_annotations_come_with_the_names"),
    (
        "STATUS=SIZE",
        "8438",
        "",
        "ImapFlow, Roundcube",
        _IMAP + "test_listing.py::test_status_tells_everything",
    ),
    (
        "CONDSTORE",
        "7162",
        "kept for every message",
        "Thunderbird, iOS Mail, K-9, ImapFlow, NeoMutt",
        _IMAP + "test_condstore.py::test_the_conditional_stores_of_rfc_7162",
    ),
    (
        "QRESYNC",
        "7162",
        "from real history: some 50,000 removals of each mailbox, and after that every UID that is not there",
        "ImapFlow, NeoMutt, Roundcube",
        _IMAP + "test_resync.py::test_who_comes_back_is_told_what_vanished_and_what_changed",
    ),
    ("ESEARCH", "4731", "", "iOS Mail, ImapFlow, Roundcube", _IMAP + "test_esearch.py::test_the_dialogs_of_the_rfc"),
    ("SEARCHRES", "5182", "", "ImapFlow", _IMAP + "test_esearch.py::test_what_is_saved_can_be_used_at_once"),
    ("WITHIN", "5032", "", "ImapFlow", _IMAP + "test_search_keys.py::test_keys_are_read_as_they_are_meant"),
    (
        "SORT",
        "5256",
        "",
        "Roundcube and other webmail",
        _IMAP + "test_sort_and_thread.py::test_messages_come_in_the_order_that_is_asked_for",
    ),
    (
        "SORT=DISPLAY",
        "5957",
        "",
        "Roundcube",
        _IMAP + "test_sorting.py::test_of_an_address_either_the_mailbox_counts_or_what_is_shown",
    ),
    ("ESORT", "5267", "without CONTEXT", "", _IMAP + "test_sort_and_thread.py::test_a_sort_can_return_less"),
    ("THREAD=ORDEREDSUBJECT", "5256", "", "Roundcube", _IMAP + "test_threading.py::test_by_subject"),
    ("THREAD=REFERENCES", "5256", "", "Roundcube", _IMAP + "test_threading.py::test_by_references"),
    (
        "MULTISEARCH",
        "7377",
        "",
        "",
        _IMAP + "test_multisearch.py::test_one_search_looks_into_several_mailboxes",
    ),
    (
        "PARTIAL",
        "9394",
        "of FETCH, SEARCH and SORT",
        "iOS Mail, ImapFlow",
        _IMAP + "test_uid_fetch.py::test_a_page_holds_the_messages_at_these_places",
    ),
    (
        "UIDONLY",
        "9586",
        "hidden from Microsoft's cloud sync, which breaks on it",
        "iOS Mail",
        _IMAP + "test_resync.py::test_who_speaks_only_uids_hears_only_uids",
    ),
    ("UIDBATCHES", "10022", "", "iOS Mail", _IMAP + "test_batches.py::test_over_the_wire"),
    (
        "MESSAGELIMIT=",
        "9738",
        "where `limits.messages_per_command` sets one",
        "iOS Mail",
        _IMAP + "test_limiting.py::test_the_limit_is_announced_where_there_is_one",
    ),
    (
        "INPROGRESS",
        "9585",
        "for searches, sorts and threads that take longer than two seconds",
        "",
        _IMAP + "test_esearch.py::test_a_long_search_tells_how_far_it_has_come",
    ),
    (
        "NOTIFY",
        "5465",
        "",
        "",
        _IMAP + "test_notify.py::test_a_client_hears_of_other_mailboxes_without_asking",
    ),
    (
        "COMPRESS=DEFLATE",
        "4978",
        "",
        "iOS Mail, Thunderbird, K-9, ImapFlow, mbsync, OfflineIMAP",
        _IMAP + "test_compress.py::test_everything_goes_on_only_shorter",
    ),
    (
        "APPENDLIMIT=",
        "7889",
        "",
        "iOS Mail, ImapFlow",
        _IMAP + "test_append.py::test_a_message_over_the_limit_is_refused_before_it_is_sent",
    ),
    ("MULTIAPPEND", "3502", "all or none", "IMAPClient", _IMAP + "test_multiappend.py::test_the_append_of_rfc_3502"),
    ("REPLACE", "8508", "in one transaction", "", _IMAP + "test_multiappend.py::test_the_replace_of_rfc_8508"),
    ("BINARY", "3516", "", "ImapFlow", _IMAP + "test_binary.py::test_parts_come_decoded"),
    (
        "UTF8=ACCEPT",
        "9755",
        "",
        "Thunderbird, K-9, ImapFlow, NeoMutt",
        _IMAP + "test_utf8.py::test_names_and_messages_are_spelled_in_utf8",
    ),
    (
        "OBJECTID",
        "8474",
        "an answer is in the thread of the first message that it names",
        "ImapFlow",
        _IMAP + "test_objectid.py::test_copies_and_moves_keep_their_ids_and_twins_have_their_own",
    ),
    (
        "SAVEDATE",
        "8514",
        "",
        "ImapFlow",
        _IMAP + "test_objectid.py::test_the_save_date_is_when_it_came_into_this_mailbox",
    ),
    ("PREVIEW", "8970", "", "webmail", _IMAP + "test_preview.py::test_the_first_words_are_told_of_every_message"),
    ("QUOTA", "9208", "", "Thunderbird, ImapFlow, Roundcube", _IMAP + "test_quota.py::test_usage_and_limits_are_told"),
    ("QUOTA=RES-STORAGE", "9208", "", "Thunderbird, ImapFlow", _IMAP + "test_quota.py::test_usage_and_limits_are_told"),
    ("QUOTA=RES-MESSAGE", "9208", "", "ImapFlow", _IMAP + "test_quota.py::test_usage_and_limits_are_told"),
    (
        "METADATA",
        "5464",
        "",
        "Roundcube, Delta Chat",
        _IMAP + "test_metadata.py::test_annotations_are_set_told_and_deleted",
    ),
    ("ACL", "4314", "", "Thunderbird, Roundcube", _IMAP + "test_acl.py::test_rights_are_given_told_and_taken_away"),
    (
        "RIGHTS=",
        "4314",
        "kxte",
        "Roundcube",
        _IMAP + "test_acl.py::test_what_there_is_beside_the_old_rights_is_announced",
    ),
    ("UNAUTHENTICATE", "8437", "", "proxies", _IMAP + "test_login.py::test_one_connection_serves_several_people"),
)
"""Of IMAP: what CAPABILITY lists (up to a `=` that is followed by what differs), its RFC, a word on it, known users, and a
test of it."""
WITHHELD = (
    (
        "CONTEXT, CATENATE, URLAUTH, URL-PARTIAL, BURL",
        "on purpose: much that can be attacked, hardly anybody who uses it",
    ),
    ("JMAPACCESS", "there is no JMAP here"),
    ("SAVELIMIT", "MESSAGELIMIT says more"),
    ("SEARCH=FUZZY", "a search finds what was asked for"),
    ("XLIST", "SPECIAL-USE has taken its place"),
)
"""Extensions of IMAP that are not there, and why."""

_DOORS = "tests/directory/test_doors.py::"
LOGINS = {
    "SCRAM-SHA-256-PLUS": (
        "5802, 7677, 5929",
        "under TLS, bound to it by `tls-server-end-point`; `tls-exporter` is not offered, Python's `ssl` does not tell it",
        _DOORS + "test_a_channel_can_be_bound_at_each_door",
    ),
    "SCRAM-SHA-256": (
        "5802, 7677",
        "for the accounts' own passwords: made when one is set, or at the next login by PLAIN or LOGIN; not in sinks",
        _DOORS + "test_each_mechanism_opens_each_door",
    ),
    "OAUTHBEARER": (
        "7628, 7662, 7517",
        "where `oauth.introspection_url` or `oauth.jwks_url` is set; the latter needs the extra `oauth`",
        _DOORS + "test_curl_brings_a_token",
    ),
    "XOAUTH2": ("", "the same, as Google and Microsoft spoke it before", _DOORS + "test_msmtp"),
    "PLAIN": ("4616", "for passwords and app passwords", _DOORS + "test_each_mechanism_opens_each_door"),
    "LOGIN": ("", "the same for old clients", "tests/smtp/test_login.py::test_the_right_password_opens"),
}
"""By mechanism: its RFCs, what it is here, and a test of it."""


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "settings.md": settings(),
        "command-line.md": command_line(),
        "protocols.md": protocols(),
        "check-rules.md": check_rules(),
    }


def settings() -> str:
    from mailsystem.settings import CONFIG_VARIABLE, SEARCHED, knobs, sink_defaults

    sink = sink_defaults({})
    rows = [
        (
            f"`{knob.name}`",
            f"`{knob.variable}`",
            _value(knob.default) if knob.default is not None else "",
            _value(sink[knob.name]) if knob.name in sink else "",
            knob.description,
        )
        for knob in knobs()
    ]
    return _page(
        "Settings",
        "A flag beats a `MAILSYSTEM_…` variable, which beats the file of settings, which beats the default. "
        "`mailsystem settings` shows what is in force and where each value came from.",
        f"The file is {_or(f'`{path}`' for path in SEARCHED)}, whichever is found first, or the one that `--config` or the "
        f"variable `{CONFIG_VARIABLE}` names. In it `smtp.port` is `port` under `[smtp]`:",
        '```toml\ndata_dir = "/var/lib/mailsystem"\nhostname = "mail.example.org"\ndefault_domain = "example.org"\n\n'
        '[tls]\ncert = "/etc/mailsystem/fullchain.pem"\nkey = "/etc/mailsystem/privkey.pem"\n```',
        "A setting that nobody knows is an error, with a guess at what was meant. `mailsystem sink` has defaults of its "
        "own where the table shows them, and reads a file only when `--config` or the variable names one.",
        _table(("setting", "variable", "default", "in the sink", "what it is"), rows),
    )


def command_line() -> str:
    from mailsystem.cli import everything

    root: Any = everything()
    blocks = [str(root.help), _options(root)]
    for words, command in _commands(root, ("mailsystem",)):
        blocks += [f"## {' '.join(words)}", _paragraphs(command.help or "")]
        if not hasattr(command, "commands"):
            blocks += [f"```\n{_usage(words, command)}\n```", _options(command), _examples(command)]
    return _page("Command line", *blocks)


def protocols() -> str:
    from mailsystem.mail import sasl

    told = verbs()
    head = ("command", "what it does")
    return _page(
        "Protocols",
        "What each door understands. STARTTLS and STLS work where a certificate is set. Passwords are taken under TLS, from "
        "this machine itself, or where the setting `cleartext_login` allows them.",
        "## SMTP",
        _table(head, told["smtp"].values()),
        "### Extensions",
        "What EHLO offers, and LHLO in its place over LMTP. The MX is the port for other servers; people send at the ports for "
        "submission. The last column names a test that fails where this is not so.",
        _table(
            ("extension", "RFC", "state", "test"),
            [(f"`{name}`", rfc, state, f"`{test}`" if test else "") for name, rfc, state, test in EXTENSIONS],
        ),
        "## Logins",
        "The same at all three doors, the strongest first, and in any case of the name; nothing is offered where a "
        "password may not be said.",
        _table(
            ("mechanism", "RFC", "state", "test"),
            [(f"`{name}`", LOGINS[name][0], LOGINS[name][1], f"`{LOGINS[name][2]}`") for name in sasl.MECHANISMS],
        ),
        "## POP3",
        _table(head, told["pop3"].values()),
        "### Capabilities",
        "What CAPA lists. The same switch as for IMAP, `mailsystem user capability --off`, hides them from an account once it "
        "has logged in. A client that has not said UTF8 gets a message with internationalised header fields (RFC 6532) as a "
        "surrogate after RFC 6858, in which names, subjects and file names read the same, and an address that cannot be "
        "written in ASCII stands beside the name; LIST tells the size of the message itself, as that RFC allows. Bodies, and "
        "header fields that are no UTF-8, are sent as they came.",
        _table(
            ("capability", "RFC", "state", "test"),
            [(f"`{name}`", rfc, state, f"`{test}`") for name, rfc, state, test in TAGS],
        ),
        "## IMAP",
        "IMAP4rev1, and IMAP4rev2 for those who enable it.",
        _table((*head, "where", "capability"), told["imap"].values()),
        "### Capabilities",
        "What CAPABILITY lists, before login or after it. `mailsystem user capability --off` hides any of them from an "
        "account, and what is hidden cannot be enabled. The users are those that are known to use it in their newest "
        "versions; those that have a test of their own here are ImapFlow, NeoMutt, Roundcube, OfflineIMAP, mbsync, IMAPClient, "
        "imap-tools, aioimaplib, getmail and curl.",
        _table(
            ("capability", "RFC", "remarks", "used by", "test"),
            [(f"`{name}`", rfc, remark, users, f"`{test}`") for name, rfc, remark, users, test in CAPABILITIES],
        ),
        "Not offered:",
        _table(("extension", "why"), WITHHELD),
        "## POP2",
        "RFC 937 of 1985, after its own decision table: the first thing that goes wrong is the last. There for history's "
        "sake, if `mailsystem serve pop2` asks for it, on port 109 of this machine only; `mailsystem demo --history` shows it. "
        "Messages come by count, octet for octet. POP1, POP2 and POP3 wait for the same lock.",
        _table(head, told["pop2"].values()),
        "## POP1",
        "RFC 918 of 1984, by `mailsystem serve pop1`. The RFC names no port; POP had 109 in those days, which POP2 took over, "
        "so here it is 918. Nor does it say what stands between the messages of a mailbox: each comes behind a line with its "
        "date and its count of octets, as mail lay on the disks of TOPS-20, where an early server ran.",
        _table(head, told["pop1"].values()),
    )


def check_rules() -> str:
    from mailsystem.checks import RULES

    blocks = [
        "What [`mailsystem check`](checks.md) looks for. `--disable` leaves a rule out by its name.",
        _table(
            ("rule", "severity", "what is wrong"),
            ((f"[`{rule.id}`](#{rule.id})", str(rule.severity), rule.title) for rule in RULES),
        ),
    ]
    for rule in RULES:
        blocks.append(f"## {rule.id}")
        blocks.append(f"**{rule.severity}: {rule.title}.** {rule.explanation}" + (f" {rule.hint}" if rule.hint else ""))
        if rule.source:
            blocks.append(rule.source)
    return _page("Rules", *blocks)


def verbs() -> dict[str, dict[str, tuple[str, ...]]]:
    """By door, every command and the cells of its row."""
    return {"smtp": _smtp(), "pop3": _pop3(), "imap": _imap(), "pop2": _historic("pop2"), "pop1": _historic("pop1")}


def _smtp() -> dict[str, tuple[str, ...]]:
    from mailsystem.smtp.server import MailSMTP

    # What a command is for stands beside its name; what is refused on purpose is left out.
    told = {}
    for name in vars(MailSMTP):
        if name.startswith("smtp_"):
            method = getattr(MailSMTP, name)
            told[name.removeprefix("smtp_")] = (f"`{method.__smtp_syntax__}`", _first_line(method))
    return told


def _pop3() -> dict[str, tuple[str, ...]]:
    from mailsystem.pop3.verbs import TABLE

    return {name: (f"`{entry.syntax}`", _first_line(entry.handler)) for name, entry in TABLE.items()}


def _historic(door: str) -> dict[str, tuple[str, ...]]:
    import importlib

    table = importlib.import_module(f"mailsystem.{door}.verbs").TABLE
    return {name: (f"`{entry.syntax}`", _first_line(entry.handler)) for name, entry in table.items()}


def _imap() -> dict[str, tuple[str, ...]]:
    import mailsystem.imap.commands  # noqa: F401 - fills the table
    from mailsystem.imap.command import ANY, AUTHENTICATED, NOT_AUTHENTICATED, SELECTED, TABLE

    # In the order of a session, and of the RFC's chapters.
    where = {
        ANY: "anywhere",
        NOT_AUTHENTICATED: "before login",
        AUTHENTICATED & ~SELECTED: "after login, before a mailbox is entered",
        AUTHENTICATED: "after login",
        SELECTED: "in a mailbox",
    }
    order = list(where)
    return {
        name: (
            f"`{name}`" + (f", `UID {name}`" if entry.uid else ""),
            _first_line(entry.handler),
            where[entry.states],
            entry.capability or "",
        )
        for name, entry in sorted(TABLE.items(), key=lambda item: (order.index(item[1].states), item[0]))
    }


def _commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*words, name), command
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))


def _usage(words: tuple[str, ...], command: Any) -> str:
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    return " ".join([*words, *arguments, "[OPTIONS]"])


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _options(command: Any) -> str:
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            rows.append((f"`{_argument(parameter)}`", parameter.help or ""))
        elif parameter.name not in {"help", "install_completion", "show_completion"}:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            takes = "" if parameter.is_flag else f" `{parameter.metavar or parameter.name.split('_')[-1].upper()}`"
            rows.append((names + takes, parameter.help or ""))
    return _table(("option", "what it does"), rows) if rows else ""


def _examples(command: Any) -> str:
    plain = re.sub(r"(?<!\\)\[/?[a-z ]+\]", "", command.epilog or "").replace("\\[", "[")
    lines = [line.strip().removeprefix("$").strip() for line in plain.splitlines() if line.strip().startswith("$")]
    return "```\n" + "\n".join(lines) + "\n```" if lines else ""


def _first_line(function: Any) -> str:
    """The first sentence of a docstring."""
    return " ".join((function.__doc__ or "").strip().partition("\n\n")[0].split())


def _paragraphs(text: str) -> str:
    """A docstring with its line breaks undone."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _value(value: Any) -> str:
    if value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1 << 20 and not value % (1 << 20):
        return f"{value >> 20} MiB" if value % (1 << 30) else f"{value >> 30} GiB"
    home = str(Path.home())
    return "`" + str(value).replace(home + "/", "~/") + "`"


def _or(items: Iterable[str]) -> str:
    return " or ".join(items)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [head, *rows]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])


def _page(title: str, *blocks: str) -> str:
    return "\n\n".join([NOTE, f"# {title}", *(block for block in blocks if block)]) + "\n"


def main() -> int:
    stale = [name for name, text in pages().items() if _read(HERE / name) != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.stderr.write(f"not current: {', '.join(stale)}; run: python docs/generate.py\n")
        return bool(stale)
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
