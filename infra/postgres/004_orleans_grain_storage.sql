-- What Microsoft.Orleans.Persistence.AdoNet asks for. The product's own grains keep their state in "states", the same in every build; this is for
-- grains of applications that run in the same silos, and for Orleans' own (PubSubStore).

CREATE TABLE grain_states (
    -- SHA-256 of the address, because names may be longer than an index takes.
    digest     bytea       PRIMARY KEY,
    service_id text        NOT NULL,
    state_name text        NOT NULL,
    key_n0     bigint      NOT NULL,
    key_n1     bigint      NOT NULL,
    key_text   text,
    version    integer     NOT NULL,
    -- NULL: cleared. The row stays, so that a late writer's version is still refused.
    payload    bytea,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- The names as JSON strings: no two addresses have one text.
CREATE FUNCTION grain_state_digest(service_id text, state_name text, key_n0 bigint, key_n1 bigint, key_text text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $sql$
SELECT sha256(convert_to(to_json(service_id)::text || to_json(state_name)::text || key_n0 || '/' || key_n1 || coalesce(to_json(key_text)::text, ''), 'UTF8'))
$sql$;

-- No row in the answer means that the version wasn't the stored one: the provider turns it into InconsistentStateException.
INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('ReadFromStorageKey', $sql$
SELECT payload AS "PayloadBinary", version AS "Version" FROM grain_states
WHERE digest = grain_state_digest(@ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString)
$sql$),
('WriteToStorageKey', $sql$
WITH changed AS (
    UPDATE grain_states SET version = version + 1, payload = @PayloadBinary, changed_at = now()
    WHERE digest = grain_state_digest(@ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString) AND version = @GrainStateVersion
    RETURNING version),
added AS (
    INSERT INTO grain_states (digest, service_id, state_name, key_n0, key_n1, key_text, version, payload)
    SELECT grain_state_digest(@ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString),
        @ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString, 1, @PayloadBinary
    WHERE @GrainStateVersion IS NULL
    ON CONFLICT (digest) DO NOTHING
    RETURNING version)
SELECT version AS "NewGrainStateVersion" FROM changed UNION ALL SELECT version FROM added
$sql$),
('ClearStorageKey', $sql$
UPDATE grain_states SET version = version + 1, payload = NULL, changed_at = now()
WHERE digest = grain_state_digest(@ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString) AND version = @GrainStateVersion
RETURNING version AS "NewGrainStateVersion"
$sql$),
('DeleteStorageKey', $sql$
DELETE FROM grain_states
WHERE digest = grain_state_digest(@ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString) AND version = @GrainStateVersion
RETURNING version + 1 AS "NewGrainStateVersion"
$sql$);
