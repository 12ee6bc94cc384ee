"""Steps from 11 on: mail that leaves, the life of messages, and what makes all of it quick."""

from __future__ import annotations

from typing import Final

from mailsystem.store.migrations.step import Migration

FROM_11: Final = (
    Migration(
        11,
        "mail that leaves",
        (
            """CREATE TABLE outbound (
                id {serial},
                ident TEXT NOT NULL,
                content_id BIGINT NOT NULL,
                sender TEXT NOT NULL,
                login TEXT NOT NULL,
                size BIGINT NOT NULL,
                body TEXT NOT NULL,
                utf8 INTEGER NOT NULL,
                require_tls INTEGER NOT NULL,
                ret TEXT,
                envid TEXT,
                arrived REAL NOT NULL,
                expires REAL NOT NULL,
                signature {blob})""",
            "CREATE INDEX outbound_by_ident ON outbound (ident)",
            "CREATE INDEX outbound_by_content ON outbound (content_id)",
            """CREATE TABLE outbound_recipients (
                outbound_id BIGINT NOT NULL,
                recipient TEXT NOT NULL,
                domain TEXT NOT NULL,
                state TEXT NOT NULL,
                due REAL NOT NULL,
                attempts INTEGER NOT NULL DEFAULT 0,
                holder TEXT NOT NULL DEFAULT '',
                reported INTEGER NOT NULL DEFAULT 0,
                delay_told INTEGER NOT NULL DEFAULT 0,
                notify TEXT,
                original TEXT,
                attempted REAL,
                remote TEXT NOT NULL DEFAULT '',
                status TEXT NOT NULL DEFAULT '',
                reply TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (outbound_id, recipient)) {clustered}""",
            # By domain: what may be tried now is found without passing by what waits for a domain that is busy.
            "CREATE INDEX outbound_due ON outbound_recipients (domain, due, outbound_id) WHERE state = 'waiting'",
            "CREATE INDEX outbound_taken ON outbound_recipients (holder) WHERE holder <> ''",
            """CREATE INDEX outbound_to_report ON outbound_recipients (due, outbound_id)
                WHERE reported = 0 AND state NOT IN ('waiting', 'held')""",
            """CREATE TABLE suppressed (
                address TEXT PRIMARY KEY,
                failures INTEGER NOT NULL,
                since REAL NOT NULL,
                last REAL NOT NULL,
                status TEXT NOT NULL,
                added INTEGER NOT NULL,
                reason TEXT NOT NULL)""",
            "CREATE INDEX suppressed_by_last ON suppressed (last) WHERE added = 0",
            """CREATE TABLE tls_levels (
                domain TEXT NOT NULL,
                level INTEGER NOT NULL,
                since REAL NOT NULL,
                last REAL NOT NULL,
                PRIMARY KEY (domain, level)) {clustered}""",
        ),
    ),
    Migration(
        12,
        "keys that sign mail",
        (
            """CREATE TABLE signing_keys (
                domain TEXT NOT NULL,
                selector TEXT NOT NULL,
                algorithm TEXT NOT NULL,
                secret {blob} NOT NULL,
                created REAL NOT NULL,
                state TEXT NOT NULL,
                changed REAL NOT NULL,
                PRIMARY KEY (domain, selector))""",
        ),
    ),
    Migration(
        13,
        "whom people have written to, and how often",
        (
            """CREATE TABLE correspondents (
                account_id BIGINT NOT NULL,
                address TEXT NOT NULL,
                first REAL NOT NULL,
                PRIMARY KEY (account_id, address)) {clustered}""",
            """CREATE TABLE sent (
                account_id BIGINT NOT NULL,
                day INTEGER NOT NULL,
                recipients INTEGER NOT NULL,
                strangers INTEGER NOT NULL,
                PRIMARY KEY (account_id, day)) {clustered}""",
            "ALTER TABLE accounts ADD COLUMN recipients_per_day INTEGER",
            "ALTER TABLE accounts ADD COLUMN strangers_per_day INTEGER",
        ),
    ),
    Migration(
        14,
        "the life of messages",
        (
            """CREATE TABLE journal (
                id {serial},
                content_id BIGINT NOT NULL,
                at REAL NOT NULL,
                name TEXT NOT NULL,
                uid BIGINT,
                data TEXT NOT NULL)""",
            "CREATE INDEX journal_by_content ON journal (content_id)",
            "CREATE INDEX journal_by_age ON journal (at)",
            # What comes to pass again and again is one row a day with a count, and who it was is said once a day.
            """CREATE TABLE journal_habits (
                id BIGINT PRIMARY KEY,
                day INTEGER NOT NULL,
                name TEXT NOT NULL,
                data TEXT NOT NULL)""",
            "CREATE INDEX journal_habits_by_day ON journal_habits (day)",
            """CREATE TABLE journal_again (
                day INTEGER NOT NULL,
                content_id BIGINT NOT NULL,
                habit_id BIGINT NOT NULL,
                at REAL NOT NULL,
                last REAL NOT NULL,
                times INTEGER NOT NULL,
                PRIMARY KEY (day, content_id, habit_id)) {clustered}""",
            """CREATE TABLE journal_names (
                name TEXT NOT NULL,
                content_id BIGINT NOT NULL,
                PRIMARY KEY (name, content_id)) {clustered}""",
            "CREATE INDEX journal_names_by_content ON journal_names (content_id)",
        ),
    ),
    Migration(
        15,
        "contents that share a file",
        (
            "ALTER TABLE contents ADD COLUMN file_offset BIGINT NOT NULL DEFAULT 0",
            # All that the sweep asks for is in it: what is alive in a file is counted without a look at the wide rows.
            """CREATE INDEX contents_by_file ON contents (file, file_offset, size, prefix_size)
                WHERE file IS NOT NULL""",
        ),
    ),
    Migration(
        16,
        "terms of a few messages in a pile",
        # In the row of the shelf: most accounts get a few messages at a time, and one row for them is enough.
        tuple(
            f"ALTER TABLE index_shelves ADD COLUMN {column} {{blob}} NOT NULL DEFAULT ''"
            for column in ("starts", "fields", "words")
        ),
    ),
    Migration(
        17,
        "a log of flags that were changed, and stretches of what vanished",
        (
            # In place of an index by ModSeq, which cost more than the change itself: a row for each stretch of messages.
            """CREATE TABLE flagged (
                account_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                modseq BIGINT NOT NULL,
                uid BIGINT NOT NULL,
                last BIGINT NOT NULL,
                PRIMARY KEY (account_id, mailbox_id, modseq, uid)) {clustered}""",
            # Of what changed up to this ModSeq the log does not know all.
            "ALTER TABLE mailboxes ADD COLUMN logged_from BIGINT NOT NULL DEFAULT 0",
            "UPDATE mailboxes SET logged_from = modseq",
            "DROP INDEX messages_by_modseq",
            "ALTER TABLE vanished ADD COLUMN last BIGINT NOT NULL DEFAULT 0",
            "UPDATE vanished SET last = uid",
        ),
    ),
    Migration(
        18,
        "the machine's last start",
        ("CREATE TABLE boots (id TEXT PRIMARY KEY)",),
    ),
    Migration(
        19,
        "what was said in sessions",
        (
            """CREATE TABLE journal_sessions (
                id INTEGER PRIMARY KEY,
                door TEXT NOT NULL,
                peer TEXT NOT NULL,
                helo TEXT NOT NULL,
                tls TEXT NOT NULL,
                login TEXT NOT NULL,
                began REAL NOT NULL,
                ended REAL,
                reason TEXT NOT NULL,
                failed INTEGER NOT NULL,
                contents TEXT NOT NULL,
                refused TEXT NOT NULL,
                lines TEXT NOT NULL)""",
            "CREATE INDEX journal_sessions_failed ON journal_sessions (id) WHERE failed = 1",
        ),
    ),
    Migration(
        20,
        "faults that a sink was told to have",
        (
            """CREATE TABLE faults (
                id {serial},
                namespace TEXT NOT NULL,
                rule TEXT NOT NULL,
                seen BIGINT NOT NULL DEFAULT 0,
                hits BIGINT NOT NULL DEFAULT 0)""",
            "CREATE TABLE fault_changes (id INTEGER PRIMARY KEY, changes BIGINT NOT NULL)",
            "CREATE TABLE fault_addresses (address TEXT PRIMARY KEY, hits BIGINT NOT NULL, last REAL NOT NULL)",
            "CREATE INDEX fault_addresses_by_last ON fault_addresses (last)",
        ),
    ),
    Migration(
        21,
        "spaces, and how long mail is kept",
        (
            """CREATE TABLE spaces (
                name TEXT PRIMARY KEY,
                account_id BIGINT NOT NULL,
                ttl REAL NOT NULL,
                created REAL NOT NULL,
                used REAL NOT NULL,
                by_login INTEGER NOT NULL,
                by_tag INTEGER NOT NULL,
                most_age REAL,
                most_messages BIGINT,
                most_octets BIGINT)""",
            "CREATE TABLE space_domains (domain TEXT PRIMARY KEY, space TEXT NOT NULL)",
            "CREATE INDEX space_domains_by_space ON space_domains (space)",
            "ALTER TABLE accounts ADD COLUMN space TEXT",
            "CREATE INDEX accounts_by_space ON accounts (space) WHERE space IS NOT NULL",
            # Accounts of spaces that are gone: their mail goes a little at a time.
            "CREATE TABLE dissolved (account_id BIGINT PRIMARY KEY)",
            """CREATE TABLE retired (
                account_id BIGINT NOT NULL,
                day INTEGER NOT NULL,
                why TEXT NOT NULL,
                messages BIGINT NOT NULL,
                octets BIGINT NOT NULL,
                PRIMARY KEY (account_id, day, why)) {clustered}""",
        ),
    ),
    Migration(
        22,
        "webhooks and what they are to be told",
        (
            """CREATE TABLE webhooks (
                id {serial},
                account_id BIGINT NOT NULL,
                ident TEXT NOT NULL UNIQUE,
                url TEXT NOT NULL,
                events TEXT NOT NULL,
                query TEXT NOT NULL,
                include TEXT NOT NULL,
                most BIGINT NOT NULL,
                secret TEXT NOT NULL,
                created REAL NOT NULL,
                disabled TEXT,
                delivered BIGINT NOT NULL DEFAULT 0,
                failures INTEGER NOT NULL DEFAULT 0,
                due REAL NOT NULL DEFAULT 0,
                status INTEGER,
                said TEXT NOT NULL DEFAULT '',
                tried REAL,
                holder TEXT NOT NULL DEFAULT '',
                held_until REAL NOT NULL DEFAULT 0)""",
            # Up to this ModSeq and this UID everything is among the deliveries, or was.
            """CREATE TABLE webhook_marks (
                hook_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                modseq BIGINT NOT NULL,
                uid BIGINT NOT NULL,
                PRIMARY KEY (hook_id, mailbox_id)) {clustered}""",
            """CREATE TABLE webhook_deliveries (
                id {serial},
                hook_id BIGINT NOT NULL,
                kind TEXT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                mailbox TEXT NOT NULL,
                modseq BIGINT NOT NULL,
                uid BIGINT NOT NULL,
                content_id BIGINT NOT NULL,
                detail TEXT NOT NULL,
                noted REAL NOT NULL,
                expires REAL NOT NULL,
                attempts INTEGER NOT NULL DEFAULT 0,
                failed INTEGER NOT NULL DEFAULT 0,
                status INTEGER,
                said TEXT NOT NULL DEFAULT '')""",
            "CREATE INDEX webhook_deliveries_by_hook ON webhook_deliveries (hook_id, failed, id)",
        ),
    ),
    Migration(
        23,
        "tokens that let programs and browsers in",
        (
            """CREATE TABLE access_tokens (
                digest {blob} PRIMARY KEY,
                account_id BIGINT NOT NULL,
                name TEXT NOT NULL,
                scopes TEXT NOT NULL,
                created REAL NOT NULL,
                used REAL NOT NULL,
                lasts REAL)""",
            "CREATE INDEX access_tokens_by_account ON access_tokens (account_id, name)",
        ),
    ),
)
