-- Grain state of the embedded host: small documents under an address, each with a version that never comes back.
CREATE TABLE states (
    -- SHA-256 of the address, because names may be longer than an index takes.
    digest   bytea  PRIMARY KEY,
    -- For people only; without characters that text can't hold.
    address  text   NOT NULL,
    version  bigint NOT NULL,
    -- Of the last write: who lost a connection finds out by it whether that write was done.
    write_id uuid   NOT NULL,
    -- NULL: cleared. The row stays, so that versions go on.
    document bytea
);
