-- Times are microseconds since the epoch, except revocations.until_at: seconds, as tokens have them.

CREATE TABLE organisations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    category TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE organisation_locations (
    location_id TEXT NOT NULL PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id)
);
CREATE INDEX organisation_locations_by_organisation ON organisation_locations (organisation_id);

CREATE TABLE clients (
    id TEXT NOT NULL PRIMARY KEY,
    label TEXT NOT NULL,
    contact TEXT,
    role TEXT NOT NULL,
    organisation_id TEXT REFERENCES organisations (id),
    qualified BOOLEAN NOT NULL,
    sees_human BOOLEAN NOT NULL,
    sees_veterinary BOOLEAN NOT NULL,
    allowed_scope TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX clients_by_organisation ON clients (organisation_id);

CREATE TABLE client_secrets (
    id TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES clients (id),
    -- 1, 2, 3… in the order of issue: two may be of the same second.
    number BIGINT NOT NULL,
    hint TEXT NOT NULL,
    hash TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    retires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    UNIQUE (client_id, number)
);
CREATE INDEX client_secrets_by_expiry ON client_secrets (expires_at);

-- The private half is sealed under the master key, which is never in the database.
CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT
);

-- One row, one number for everything that others follow: changes, revocations, the audit trail. A unit of work
-- that changes anything updates it first, which makes writers queue: numbers appear in the order of commits.
CREATE TABLE authz_sequence (
    only_row BIGINT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO authz_sequence (only_row, value) VALUES (1, 0);

-- What other instances must forget.
CREATE TABLE authz_changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- What gateways must refuse.
CREATE TABLE revocations (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    revoked BOOLEAN NOT NULL
);
CREATE INDEX revocations_by_subject ON revocations (kind, subject);

CREATE TABLE audit_events (
    seq BIGINT NOT NULL PRIMARY KEY,
    happened_at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX audit_events_by_subject ON audit_events (subject);
