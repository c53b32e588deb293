-- The embedded database, user_version 1. Rows hold the same JSON as the records of the distributed mode.
-- Times are milliseconds since 1970.

CREATE TABLE resource (
    ordinal   INTEGER PRIMARY KEY,  -- the order of creation: a resource keeps its place for life
    tenant    TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    txn       TEXT,                 -- of the create, where its answer may be asked for again
    version   INTEGER NOT NULL,
    live      INTEGER NOT NULL,     -- 0: deleted, the record is what the delete left
    forget_at INTEGER,              -- when a deleted resource's row may go; NULL: not at all
    record    BLOB    NOT NULL      -- schemas.records
);
CREATE UNIQUE INDEX resource_by_id ON resource (tenant, type, id);
CREATE INDEX resource_in_order ON resource (tenant, type) WHERE live;  -- a rowid ends every entry: ordered by ordinal
CREATE INDEX resource_to_forget ON resource (forget_at) WHERE forget_at IS NOT NULL;

CREATE TABLE name (
    tenant    TEXT    NOT NULL,
    attribute TEXT    NOT NULL,
    value     TEXT    NOT NULL,     -- folded
    ordinal   INTEGER NOT NULL,     -- of the live resource that holds the name
    PRIMARY KEY (tenant, attribute, value)
) WITHOUT ROWID;

CREATE TABLE entry (
    tenant    TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    attribute TEXT    NOT NULL,
    value     TEXT    NOT NULL,     -- as compared
    ordinal   INTEGER NOT NULL,     -- of the live resource: what is found comes in the order of creation
    PRIMARY KEY (tenant, type, attribute, value, ordinal)
) WITHOUT ROWID;

CREATE TABLE edge (
    tenant    TEXT NOT NULL,
    group_id  TEXT NOT NULL,
    member_id TEXT NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (tenant, group_id, member_id)
) WITHOUT ROWID;
CREATE INDEX edge_by_member ON edge (tenant, member_id);

-- How many live resources there are: in all (block -1), and by blocks of 4,096 ordinals, so that a page far down
-- the list is reached over the blocks and not over the resources before it.
CREATE TABLE population (
    tenant TEXT    NOT NULL,
    type   TEXT    NOT NULL,
    block  INTEGER NOT NULL,
    live   INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, block)
) WITHOUT ROWID;

CREATE TABLE number (
    tenant TEXT PRIMARY KEY,
    last   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE outcome (
    tenant     TEXT    NOT NULL,
    txn        TEXT    NOT NULL,
    key        TEXT,                -- of the first outcome under an Idempotency-Key only
    unseen     TEXT,                -- of a create: what a repeat of it is recognised by
    expires_at INTEGER NOT NULL,
    outcome    BLOB    NOT NULL,    -- schemas.outcomes
    PRIMARY KEY (tenant, txn)
) WITHOUT ROWID;
CREATE INDEX outcome_by_key ON outcome (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX outcome_by_end ON outcome (expires_at);

CREATE TABLE event (
    offset    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, also when all events are purged
    logged_at INTEGER NOT NULL,                   -- never less than the one before it
    tenant    TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    value     BLOB    NOT NULL,
    headers   BLOB    NOT NULL                    -- JSON, [[name, value], ...]
);

CREATE TRIGGER resource_appears AFTER INSERT ON resource WHEN NEW.live BEGIN
    INSERT INTO population VALUES (NEW.tenant, NEW.type, -1, 1), (NEW.tenant, NEW.type, NEW.ordinal >> 12, 1)
        ON CONFLICT DO UPDATE SET live = live + 1;
END;
CREATE TRIGGER resource_goes AFTER UPDATE OF live ON resource WHEN OLD.live AND NOT NEW.live BEGIN
    UPDATE population SET live = live - 1
        WHERE tenant = NEW.tenant AND type = NEW.type AND block IN (-1, NEW.ordinal >> 12);
END;

-- A batch is committed by one INSERT into this view: Python gives the interpreter's lock away at every step of a
-- statement, and on a busy event loop it waits longer for it than the step took. A row holds a change, an outcome and a
-- tenant's last number, whichever of them are there; they need not belong together. One trigger and not one for each
-- part, because calling a trigger costs as much as what most parts do.
CREATE VIEW applying (
    part, tenant, type, id, expected, version, forget_at, record, created_by,
    released_as, released, acquired_as, acquired, dropped_as, dropped, added_as, added,
    event_key, event, headers,
    answered, txn, key, unseen, expires_at, outcome,
    numbered, last,
    now
) AS SELECT
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE 0;

CREATE TRIGGER applying_row INSTEAD OF INSERT ON applying WHEN NEW.now IS NOT NULL BEGIN
    INSERT INTO resource (tenant, type, id, txn, version, live, record)
        SELECT NEW.tenant, NEW.type, NEW.id, NEW.created_by, NEW.version, 1, NEW.record WHERE NEW.part = 'create';

    UPDATE resource
        SET version = NEW.version, record = NEW.record, live = NEW.part = 'update', forget_at = NEW.forget_at
        WHERE NEW.part IN ('update', 'delete')
            AND tenant = NEW.tenant AND type = NEW.type AND id = NEW.id AND version = NEW.expected AND live;
    SELECT RAISE(ABORT, 'another version is stored') WHERE NEW.part IN ('update', 'delete') AND changes() = 0;

    DELETE FROM name
        WHERE NEW.released IS NOT NULL
            AND tenant = NEW.tenant AND attribute = NEW.released_as AND value = NEW.released
            AND ordinal = (SELECT ordinal FROM resource WHERE tenant = NEW.tenant AND type = NEW.type AND id = NEW.id);
    -- Held by another: NULL, which the column refuses.
    INSERT INTO name
        SELECT NEW.tenant, NEW.acquired_as, NEW.acquired, ordinal FROM resource
            WHERE NEW.acquired IS NOT NULL AND tenant = NEW.tenant AND type = NEW.type AND id = NEW.id
        ON CONFLICT DO UPDATE SET ordinal = CASE ordinal WHEN excluded.ordinal THEN ordinal END;

    DELETE FROM entry
        WHERE NEW.dropped IS NOT NULL
            AND tenant = NEW.tenant AND type = NEW.type AND attribute = NEW.dropped_as AND value = NEW.dropped
            AND ordinal = (SELECT ordinal FROM resource WHERE tenant = NEW.tenant AND type = NEW.type AND id = NEW.id);
    INSERT INTO entry
        SELECT NEW.tenant, NEW.type, NEW.added_as, NEW.added, ordinal FROM resource
            WHERE NEW.added IS NOT NULL AND tenant = NEW.tenant AND type = NEW.type AND id = NEW.id
        ON CONFLICT DO NOTHING;

    INSERT INTO event (logged_at, tenant, key, value, headers)
        SELECT max(NEW.now, coalesce((SELECT logged_at FROM event ORDER BY offset DESC LIMIT 1), 0)),
            NEW.tenant, NEW.event_key, NEW.event, NEW.headers
            WHERE NEW.event IS NOT NULL;

    -- A later request under the same Idempotency-Key is answered by the first one's outcome or refused: it gets none.
    INSERT INTO outcome
        SELECT NEW.answered, NEW.txn,
            CASE WHEN NEW.key IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM outcome INDEXED BY outcome_by_key WHERE tenant = NEW.answered AND key = NEW.key AND expires_at > NEW.now
            ) THEN NEW.key END,
            NEW.unseen, NEW.expires_at, NEW.outcome
            WHERE NEW.txn IS NOT NULL
        ON CONFLICT DO NOTHING;

    INSERT INTO number
        SELECT NEW.numbered, NEW.last WHERE NEW.numbered IS NOT NULL
        ON CONFLICT DO UPDATE SET last = excluded.last;
END;

PRAGMA user_version = 1;
