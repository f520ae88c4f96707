-- Logs of record batches: one row per batch, one row per log that every writer locks before it writes.

-- A log. Its row is where writers, openers and the one who deletes it meet: a writer holds it FOR SHARE with its epoch checked until its rows are
-- committed, an opener raises leader_epoch by an UPDATE, which waits for such writers and turns every later one away.
CREATE TABLE logs (
    id                bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL: deleted, or the room of a rewrite; its rows are on their way out unless rewrite_of says that they are still needed.
    name              text    COLLATE "C" UNIQUE,
    leader_epoch      integer NOT NULL,
    -- Raised when a writer has lost a connection and asks what became of its rows: what was sent before can't arrive after the answer.
    inquiry           integer NOT NULL DEFAULT 0,
    start_offset      bigint  NOT NULL DEFAULT 0,
    checkpoint_offset bigint,
    checkpoint        bytea,
    -- The log whose batches this one will replace, as long as that log has this leader_epoch.
    rewrite_of        bigint
) WITH (fillfactor = 50);

ALTER TABLE logs ALTER COLUMN checkpoint SET STORAGE EXTERNAL;

-- A record batch, as it was stamped. EXTERNAL: never compressed by the server (the producer decides that), so its length is known without reading it.
CREATE TABLE batches (
    log_id        bigint  NOT NULL,
    base_offset   bigint  NOT NULL,
    end_offset    bigint  NOT NULL,
    max_timestamp bigint  NOT NULL,
    leader_epoch  integer NOT NULL,
    data          bytea   NOT NULL,
    -- The second line behind the epoch: no two batches at one offset, whoever writes.
    PRIMARY KEY (log_id, base_offset),
    CHECK (end_offset > base_offset AND base_offset >= 0)
);

ALTER TABLE batches ALTER COLUMN data SET STORAGE EXTERNAL;

-- Segments that have ended; what lies behind the last is the active one. Written with the batches that begin the next.
CREATE TABLE segments (
    log_id        bigint NOT NULL,
    base_offset   bigint NOT NULL,
    end_offset    bigint NOT NULL,
    bytes         bigint NOT NULL,
    batches       bigint NOT NULL,
    max_timestamp bigint NOT NULL,
    PRIMARY KEY (log_id, base_offset)
);

CREATE INDEX logs_rewrite_of ON logs (rewrite_of) WHERE rewrite_of IS NOT NULL;
