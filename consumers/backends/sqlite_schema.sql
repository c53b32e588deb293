-- The embedded database, user_version 1. Rows hold the same JSON as the records of the distributed mode.
-- Times are milliseconds since 1970.

CREATE TABLE resource (
    ordinal   INTEGER PRIMARY KEY,  -- the order of creation: a resource keeps its place for life
    tenant    TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    live      INTEGER NOT NULL,     -- 0: deleted, the record is what the delete left
    forget_at INTEGER,              -- when a deleted resource's row may go; NULL: not at all
    record    BLOB    NOT NULL      -- schemas.records
);
CREATE UNIQUE INDEX resource_by_id ON resource (tenant, type, id);
CREATE INDEX resource_in_order ON resource (tenant, type) WHERE live;  -- a rowid ends every entry: ordered by ordinal
CREATE INDEX resource_to_forget ON resource (forget_at) WHERE forget_at IS NOT NULL;

CREATE TABLE name (
    tenant    TEXT NOT NULL,
    attribute TEXT NOT NULL,
    value     TEXT NOT NULL,        -- folded
    id        TEXT NOT NULL,        -- the live resource that holds the name
    PRIMARY KEY (tenant, attribute, value)
) WITHOUT ROWID;

CREATE TABLE entry (
    tenant    TEXT NOT NULL,
    type      TEXT NOT NULL,
    attribute TEXT NOT NULL,
    value     TEXT NOT NULL,        -- as compared
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
    unseen     TEXT,
    expires_at INTEGER NOT NULL,
    outcome    BLOB    NOT NULL,    -- schemas.outcomes
    PRIMARY KEY (tenant, txn)
) WITHOUT ROWID;
CREATE INDEX outcome_by_key ON outcome (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX outcome_by_unseen ON outcome (tenant, unseen) WHERE unseen IS NOT NULL;
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

-- A batch is committed by one INSERT of its parts into this view. Python gives the interpreter's lock away at every
-- step of a statement and waits for it afterwards, on a busy loop longer than the step took: so one step for all.
CREATE VIEW applying (part, tenant, type, id, attribute, value, expected, version, at, content) AS
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE 0;

CREATE TRIGGER applying_create INSTEAD OF INSERT ON applying WHEN NEW.part = 'create' BEGIN
    INSERT INTO resource (tenant, type, id, version, live, record)
        VALUES (NEW.tenant, NEW.type, NEW.id, NEW.version, 1, NEW.content);
END;
CREATE TRIGGER applying_update INSTEAD OF INSERT ON applying WHEN NEW.part = 'update' BEGIN
    UPDATE resource SET version = NEW.version, record = NEW.content
        WHERE tenant = NEW.tenant AND type = NEW.type AND id = NEW.id AND version = NEW.expected AND live;
    SELECT RAISE(ABORT, 'another version is stored') WHERE changes() = 0;
END;
CREATE TRIGGER applying_delete INSTEAD OF INSERT ON applying WHEN NEW.part = 'delete' BEGIN
    UPDATE resource SET version = NEW.version, record = NEW.content, live = 0, forget_at = NEW.at
        WHERE tenant = NEW.tenant AND type = NEW.type AND id = NEW.id AND version = NEW.expected AND live;
    SELECT RAISE(ABORT, 'another version is stored') WHERE changes() = 0;
END;
CREATE TRIGGER applying_release INSTEAD OF INSERT ON applying WHEN NEW.part = 'release' BEGIN
    DELETE FROM name
        WHERE tenant = NEW.tenant AND attribute = NEW.attribute AND value = NEW.value AND id = NEW.id;
END;
CREATE TRIGGER applying_acquire INSTEAD OF INSERT ON applying WHEN NEW.part = 'acquire' BEGIN
    INSERT INTO name VALUES (NEW.tenant, NEW.attribute, NEW.value, NEW.id)
        ON CONFLICT DO UPDATE SET id = CASE id WHEN excluded.id THEN id END;  -- another's: NULL, which id refuses
END;
CREATE TRIGGER applying_drop INSTEAD OF INSERT ON applying WHEN NEW.part = 'drop' BEGIN
    DELETE FROM entry WHERE tenant = NEW.tenant AND type = NEW.type AND attribute = NEW.attribute
        AND value = NEW.value
        AND ordinal = (SELECT ordinal FROM resource WHERE tenant = NEW.tenant AND type = NEW.type AND id = NEW.id);
END;
CREATE TRIGGER applying_add INSTEAD OF INSERT ON applying WHEN NEW.part = 'add' BEGIN
    INSERT INTO entry SELECT tenant, type, NEW.attribute, NEW.value, ordinal FROM resource
        WHERE tenant = NEW.tenant AND type = NEW.type AND id = NEW.id ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER applying_event INSTEAD OF INSERT ON applying WHEN NEW.part = 'event' BEGIN
    INSERT INTO event (logged_at, tenant, key, value, headers)
        SELECT max(NEW.at, coalesce((SELECT logged_at FROM event ORDER BY offset DESC LIMIT 1), 0)),
            NEW.tenant, NEW.id, NEW.content, NEW.value;
END;
-- id: the txn; attribute: the key; value: the unseen key; version: the time of the commit.
CREATE TRIGGER applying_outcome INSTEAD OF INSERT ON applying WHEN NEW.part = 'outcome' BEGIN
    INSERT INTO outcome VALUES (
        NEW.tenant, NEW.id,
        CASE WHEN NEW.attribute IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM outcome
                WHERE tenant = NEW.tenant AND key = NEW.attribute AND expires_at > NEW.version
        ) THEN NEW.attribute END,
        NEW.value, NEW.at, NEW.content
    ) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER applying_number INSTEAD OF INSERT ON applying WHEN NEW.part = 'number' BEGIN
    INSERT INTO number VALUES (NEW.tenant, NEW.version) ON CONFLICT DO UPDATE SET last = excluded.last;
END;

PRAGMA user_version = 1;
