"""Steps 1 to 10 of the schema: accounts, mailboxes, messages, contents, and the index of what they say."""

from __future__ import annotations

from typing import Final

from mailsystem.store.migrations.step import Migration

UNTIL_10: Final = (
    Migration(
        1,
        "accounts, mailboxes, messages, contents",
        (
            "CREATE TABLE domains (name TEXT PRIMARY KEY, created REAL NOT NULL)",
            "CREATE TABLE aliases (address TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (address, target))",
            """CREATE TABLE accounts (
                id {serial},
                login TEXT NOT NULL UNIQUE,
                password TEXT,
                modseq BIGINT NOT NULL DEFAULT 0,
                next_mailbox BIGINT NOT NULL DEFAULT 1,
                uidvalidity BIGINT NOT NULL DEFAULT 0,
                created REAL NOT NULL)""",
            """CREATE TABLE mailboxes (
                account_id BIGINT NOT NULL,
                id BIGINT NOT NULL,
                name TEXT NOT NULL,
                objectid TEXT NOT NULL,
                uidvalidity BIGINT NOT NULL,
                uidnext BIGINT NOT NULL DEFAULT 1,
                recent_from BIGINT NOT NULL DEFAULT 1,
                modseq BIGINT NOT NULL,
                special_use TEXT,
                PRIMARY KEY (account_id, id),
                UNIQUE (account_id, name)) {clustered}""",
            """CREATE TABLE subscriptions (
                account_id BIGINT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account_id, name)) {clustered}""",
            """CREATE TABLE messages (
                account_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                uid BIGINT NOT NULL,
                modseq BIGINT NOT NULL,
                flags INTEGER NOT NULL,
                keywords TEXT NOT NULL,
                internaldate REAL NOT NULL,
                size BIGINT NOT NULL,
                content_id BIGINT NOT NULL,
                savedate REAL NOT NULL,
                PRIMARY KEY (account_id, mailbox_id, uid)) {clustered}""",
            "CREATE INDEX messages_by_modseq ON messages (account_id, mailbox_id, modseq)",
            "CREATE INDEX messages_by_content ON messages (content_id)",
            """CREATE TABLE vanished (
                account_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                modseq BIGINT NOT NULL,
                uid BIGINT NOT NULL,
                PRIMARY KEY (account_id, mailbox_id, modseq, uid)) {clustered}""",
            """CREATE TABLE contents (
                id {serial},
                size BIGINT NOT NULL,
                prefix_size INTEGER NOT NULL,
                header_size INTEGER NOT NULL,
                sha256 {blob} NOT NULL,
                file TEXT,
                envelope {blob} NOT NULL,
                bodystructure {blob} NOT NULL,
                body {blob} NOT NULL,
                parts {blob} NOT NULL,
                head {blob} NOT NULL)""",
            "CREATE TABLE bodies (content_id INTEGER PRIMARY KEY, octets {blob} NOT NULL)",
            "CREATE TABLE orphans (content_id INTEGER PRIMARY KEY, since REAL NOT NULL)",
            """CREATE TABLE leases (
                account_id INTEGER PRIMARY KEY, token TEXT NOT NULL, expires REAL NOT NULL)""",
        ),
    ),
    Migration(
        2,
        "quotas, addresses, app passwords, logins, switches",
        (
            # Beside `modseq`, since they change with it and in the same statement.
            "ALTER TABLE accounts ADD COLUMN messages BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE accounts ADD COLUMN octets BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE accounts ADD COLUMN most_messages BIGINT",
            "ALTER TABLE accounts ADD COLUMN most_octets BIGINT",
            "ALTER TABLE accounts ADD COLUMN disabled TEXT",
            "ALTER TABLE accounts ADD COLUMN any_sender INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE accounts ADD COLUMN capabilities_off TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE accounts ADD COLUMN scram TEXT",
            """UPDATE accounts SET
                messages = (SELECT COUNT(*) FROM messages m WHERE m.account_id = accounts.id),
                octets = (SELECT COALESCE(SUM(size), 0) FROM messages m WHERE m.account_id = accounts.id)""",
            "ALTER TABLE domains ADD COLUMN disabled TEXT",
            "ALTER TABLE domains ADD COLUMN catch_all TEXT",
            "CREATE TABLE addresses (address TEXT PRIMARY KEY, account_id BIGINT NOT NULL)",
            "CREATE INDEX addresses_by_account ON addresses (account_id)",
            """CREATE TABLE app_passwords (
                account_id BIGINT NOT NULL,
                name TEXT NOT NULL,
                digest TEXT NOT NULL,
                created REAL NOT NULL,
                last_used REAL,
                PRIMARY KEY (account_id, name)) {clustered}""",
            """CREATE TABLE logins (
                account_id BIGINT NOT NULL,
                ok INTEGER NOT NULL,
                day INTEGER NOT NULL,
                door TEXT NOT NULL,
                host TEXT NOT NULL,
                mechanism TEXT NOT NULL,
                first REAL NOT NULL,
                last REAL NOT NULL,
                times BIGINT NOT NULL,
                PRIMARY KEY (account_id, ok, day, door, host, mechanism)) {clustered}""",
        ),
    ),
    Migration(
        3,
        "greylist",
        (
            """CREATE TABLE greylist (
                network TEXT NOT NULL,
                sender TEXT NOT NULL,
                recipient TEXT NOT NULL,
                first REAL NOT NULL,
                last REAL NOT NULL,
                passed INTEGER NOT NULL,
                PRIMARY KEY (network, sender, recipient)) {clustered}""",
        ),
    ),
    Migration(
        4,
        "secrets of the installation",
        ("CREATE TABLE IF NOT EXISTS installation_secrets (name TEXT PRIMARY KEY, octets {blob} NOT NULL)",),
    ),
    Migration(
        5,
        "how far the history of mailboxes goes back",
        # Of what vanished up to this ModSeq nothing is remembered.
        ("ALTER TABLE mailboxes ADD COLUMN forgotten BIGINT NOT NULL DEFAULT 0",),
    ),
    Migration(
        6,
        "rights on mailboxes",
        (
            """CREATE TABLE rights (
                account_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                grantee BIGINT NOT NULL,
                negative INTEGER NOT NULL,
                letters TEXT NOT NULL,
                PRIMARY KEY (account_id, mailbox_id, grantee, negative)) {clustered}""",
            "CREATE INDEX rights_by_grantee ON rights (grantee, account_id, mailbox_id)",
            # The mailboxes of others are seen there from now on: what somebody called so stays, by another name.
            """UPDATE mailboxes SET name = 'My ' || name
                WHERE (name = 'Other Users' OR substr(name, 1, 12) = 'Other Users/') AND NOT EXISTS (
                    SELECT 1 FROM mailboxes m
                    WHERE m.account_id = mailboxes.account_id AND m.name = 'My ' || mailboxes.name)""",
        ),
    ),
    Migration(
        7,
        "maildrops: choices, downloads, who holds a lease",
        (
            "ALTER TABLE accounts ADD COLUMN pop_keep_days INTEGER",
            "ALTER TABLE accounts ADD COLUMN pop_trash INTEGER NOT NULL DEFAULT 0",
            # The ids of mailboxes, in order: a renamed one stays, and an id is never given twice.
            "ALTER TABLE accounts ADD COLUMN pop_mailboxes TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE accounts ADD COLUMN pop_login_delay INTEGER",
            # Before anybody has logged in, the extremes of all accounts are announced.
            "CREATE INDEX accounts_by_pop_keep_days ON accounts (pop_keep_days) WHERE pop_keep_days IS NOT NULL",
            "CREATE INDEX accounts_by_pop_login_delay ON accounts (pop_login_delay) WHERE pop_login_delay IS NOT NULL",
            "ALTER TABLE leases ADD COLUMN holder TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE leases ADD COLUMN acquired REAL NOT NULL DEFAULT 0",
            """CREATE TABLE downloads (
                account_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                uid BIGINT NOT NULL,
                at REAL NOT NULL,
                content_id BIGINT NOT NULL,
                name TEXT NOT NULL,
                PRIMARY KEY (account_id, mailbox_id, uid)) {clustered}""",
        ),
    ),
    Migration(
        8,
        "annotations",
        # Of the server where the mailbox is 0, shared where the reader is; deleted, and remembered as that, without a value.
        (
            """CREATE TABLE annotations (
                account_id BIGINT NOT NULL,
                mailbox_id BIGINT NOT NULL,
                reader_id BIGINT NOT NULL,
                entry TEXT NOT NULL,
                modseq BIGINT NOT NULL,
                value {blob},
                PRIMARY KEY (account_id, mailbox_id, reader_id, entry)) {clustered}""",
        ),
    ),
    Migration(
        9,
        "first words of messages",
        # Apart from `contents`: a row there is wide, and would be written anew for the sake of one line.
        ("CREATE TABLE IF NOT EXISTS previews (content_id INTEGER PRIMARY KEY, text TEXT NOT NULL)",),
    ),
    Migration(
        10,
        "index of what messages say",
        (
            """CREATE TABLE IF NOT EXISTS index_state (
                id INTEGER PRIMARY KEY,
                done BIGINT NOT NULL,
                next_shelf BIGINT NOT NULL,
                holder TEXT NOT NULL,
                held_until REAL NOT NULL)""",
            "INSERT INTO index_state VALUES (1, 0, 1, '', 0) ON CONFLICT DO NOTHING",
            """CREATE TABLE IF NOT EXISTS index_shelves (
                account_id BIGINT NOT NULL,
                id BIGINT NOT NULL,
                messages INTEGER NOT NULL,
                contents {blob} NOT NULL,
                unread {blob} NOT NULL,
                PRIMARY KEY (account_id, id))""",
            """CREATE TABLE IF NOT EXISTS index_blocks (
                id {serial},
                account_id BIGINT NOT NULL,
                shelf_id BIGINT NOT NULL,
                kind INTEGER NOT NULL,
                terms {blob} NOT NULL,
                places {blob} NOT NULL)""",
            "CREATE INDEX IF NOT EXISTS index_blocks_by_shelf ON index_blocks (account_id, shelf_id, kind)",
        ),
    ),
)
