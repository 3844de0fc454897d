"""The tables, as steps: each migration brings a ledger from one version to the next, in one transaction.

A released step is never changed; a new one is added.  Version ``n`` is SQLite's ``user_version`` after step ``n``.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # the claim itself is one JSON document; what is searched for stands beside it
        """CREATE TABLE claims (
            key TEXT PRIMARY KEY,
            node TEXT NOT NULL,
            generation INTEGER NOT NULL,
            state TEXT NOT NULL,
            document TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX claims_by_state ON claims (state)",
        "CREATE INDEX claims_by_node ON claims (node, generation)",
        """CREATE TABLE notes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at TEXT NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX notes_by_subject ON notes (subject, id)",
        "CREATE TABLE note_about (note INTEGER NOT NULL, name TEXT NOT NULL) STRICT",
        "CREATE INDEX note_about_by_name ON note_about (name, note)",
        # what is kept whole: the memory, the operator's orders
        "CREATE TABLE documents (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT",
        # a ticket is bound to the nonce of the first VM that redeemed it; only the nonce's hash is kept
        "CREATE TABLE enrolments (key TEXT PRIMARY KEY, nonce TEXT NOT NULL, at TEXT NOT NULL) STRICT",
        """CREATE TABLE spend (
            day TEXT NOT NULL, pool TEXT NOT NULL, site TEXT NOT NULL, amount REAL NOT NULL,
            PRIMARY KEY (day, pool, site)
        ) STRICT""",
    ),
    # which key a VM enrolled with stands in its claim
    ("DROP TABLE enrolments",),
    # when it ended, in seconds since 1970: at each launch those are asked for whose addresses still rest
    (
        "ALTER TABLE claims ADD COLUMN ended REAL",
        """UPDATE claims SET ended = (julianday(document ->> 'ended_at') - 2440587.5) * 86400.0
            WHERE state = 'gone'""",
        "CREATE INDEX claims_by_end ON claims (ended) WHERE ended IS NOT NULL",
    ),
    # budgets by the hour, and by account; what was booked by the day stands in the day's first hour
    (
        """CREATE TABLE spend_by_hour (
            hour TEXT NOT NULL, pool TEXT NOT NULL, site TEXT NOT NULL, account TEXT NOT NULL, amount REAL NOT NULL,
            PRIMARY KEY (hour, pool, site, account)
        ) STRICT""",
        "INSERT INTO spend_by_hour SELECT day || 'T00:00Z', pool, site, '', amount FROM spend",
        "DROP TABLE spend",
        "ALTER TABLE spend_by_hour RENAME TO spend",
    ),
    # the cluster's numbers of each minute, to look back upon
    ("CREATE TABLE moments (at TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT",),
    # old notes are forgotten, a few at a time
    ("CREATE INDEX note_about_by_note ON note_about (note)",),
    # who ordered what; and what each call was answered that came with an idempotency key
    (
        """CREATE TABLE deeds (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at TEXT NOT NULL, who TEXT NOT NULL, identity TEXT NOT NULL, way TEXT NOT NULL, act TEXT NOT NULL,
            target TEXT NOT NULL, status INTEGER NOT NULL, detail TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX deeds_by_time ON deeds (at)",
        """CREATE TABLE answers (
            identity TEXT NOT NULL, key TEXT NOT NULL, at TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (identity, key)
        ) STRICT""",
        "CREATE INDEX answers_by_time ON answers (at)",
    ),
)

VERSION = len(MIGRATIONS)
