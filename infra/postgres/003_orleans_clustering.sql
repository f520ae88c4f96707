-- What Microsoft.Orleans.Clustering.AdoNet asks for: it reads its statements from the table OrleansQuery, by name, and gives them its own parameters.
-- The tables behind the statements are ours.

CREATE TABLE OrleansQuery (
    QueryKey  text PRIMARY KEY,
    QueryText text NOT NULL
);

-- One row per cluster: every change of its members raises the version, and is refused when it was made from another version than the stored one.
CREATE TABLE membership_versions (
    cluster_id text        PRIMARY KEY,
    version    integer     NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- A silo that is or was a member. A silo that starts again at the same address has another generation.
CREATE TABLE members (
    cluster_id    text        NOT NULL REFERENCES membership_versions,
    address       text        NOT NULL,
    port          integer     NOT NULL,
    generation    integer     NOT NULL,
    silo_name     text        NOT NULL,
    host_name     text        NOT NULL,
    -- Orleans.Runtime.SiloStatus: 3 is active, 6 is dead.
    status        integer     NOT NULL,
    -- The gateway's; 0 for a silo without one.
    proxy_port    integer     NOT NULL,
    suspect_times text,
    started_at    timestamptz NOT NULL,
    alive_at      timestamptz NOT NULL,
    PRIMARY KEY (cluster_id, address, port, generation)
) WITH (fillfactor = 50);

-- A silo's column names are those that the provider looks up in the result.
INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('InsertMembershipVersionKey', $sql$
WITH added AS (
    INSERT INTO membership_versions (cluster_id) VALUES (@DeploymentId) ON CONFLICT DO NOTHING RETURNING 1)
SELECT EXISTS (SELECT FROM added)
$sql$),
('InsertMembershipKey', $sql$
WITH next AS (
    UPDATE membership_versions SET version = version + 1, changed_at = now() WHERE cluster_id = @DeploymentId AND version = @Version
        AND NOT EXISTS (SELECT FROM members WHERE cluster_id = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
    RETURNING cluster_id),
added AS (
    INSERT INTO members (cluster_id, address, port, generation, silo_name, host_name, status, proxy_port, started_at, alive_at)
    SELECT cluster_id, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime FROM next
    RETURNING 1)
SELECT EXISTS (SELECT FROM added)
$sql$),
('UpdateMembershipKey', $sql$
WITH next AS (
    UPDATE membership_versions SET version = version + 1, changed_at = now() WHERE cluster_id = @DeploymentId AND version = @Version
        AND EXISTS (SELECT FROM members WHERE cluster_id = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
    RETURNING cluster_id),
changed AS (
    UPDATE members AS m SET status = @Status, suspect_times = @SuspectTimes, alive_at = @IAmAliveTime FROM next
    WHERE m.cluster_id = next.cluster_id AND m.address = @Address AND m.port = @Port AND m.generation = @Generation
    RETURNING 1)
SELECT EXISTS (SELECT FROM changed)
$sql$),
('UpdateIAmAlivetimeKey', $sql$
UPDATE members SET alive_at = @IAmAliveTime WHERE cluster_id = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation
$sql$),
('MembershipReadRowKey', $sql$
SELECT v.version AS "Version", m.address AS "Address", m.port AS "Port", m.generation AS "Generation", m.silo_name AS "SiloName", m.host_name AS "HostName",
    m.status AS "Status", m.proxy_port AS "ProxyPort", m.suspect_times AS "SuspectTimes", m.started_at AS "StartTime", m.alive_at AS "IAmAliveTime"
FROM membership_versions AS v
LEFT JOIN members AS m ON m.cluster_id = v.cluster_id AND m.address = @Address AND m.port = @Port AND m.generation = @Generation
WHERE v.cluster_id = @DeploymentId
$sql$),
('MembershipReadAllKey', $sql$
SELECT v.version AS "Version", m.address AS "Address", m.port AS "Port", m.generation AS "Generation", m.silo_name AS "SiloName", m.host_name AS "HostName",
    m.status AS "Status", m.proxy_port AS "ProxyPort", m.suspect_times AS "SuspectTimes", m.started_at AS "StartTime", m.alive_at AS "IAmAliveTime"
FROM membership_versions AS v LEFT JOIN members AS m ON m.cluster_id = v.cluster_id
WHERE v.cluster_id = @DeploymentId
$sql$),
('GatewaysQueryKey', $sql$
SELECT address AS "Address", proxy_port AS "ProxyPort", generation AS "Generation" FROM members
WHERE cluster_id = @DeploymentId AND status = @Status AND proxy_port > 0
$sql$),
('DeleteMembershipTableEntriesKey', $sql$
WITH gone AS (DELETE FROM members WHERE cluster_id = @DeploymentId)
DELETE FROM membership_versions WHERE cluster_id = @DeploymentId
$sql$),
-- Those that never got further than joining are defunct too, once they have been silent for as long.
('CleanupDefunctSiloEntriesKey', $sql$
DELETE FROM members WHERE cluster_id = @DeploymentId AND alive_at < @IAmAliveTime AND status <> 3
$sql$);
