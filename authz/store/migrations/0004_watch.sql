-- Watching: the chain of the audit trail, reminders, calendars, webhooks, a sandbox's clock.
-- Times are microseconds since the epoch.

-- Records from before the chain have no number until the first record after this migration takes them in.
ALTER TABLE audit_events ADD COLUMN number BIGINT;
ALTER TABLE audit_events ADD COLUMN origin TEXT;
ALTER TABLE audit_events ADD COLUMN client_id TEXT;
ALTER TABLE audit_events ADD COLUMN organisation_id TEXT;
ALTER TABLE audit_events ADD COLUMN link TEXT;
CREATE UNIQUE INDEX audit_events_by_number ON audit_events (number);
CREATE INDEX audit_events_by_client ON audit_events (client_id, number);
CREATE INDEX audit_events_by_organisation ON audit_events (organisation_id, number);
CREATE INDEX audit_events_by_actor ON audit_events (actor_id, number);
CREATE INDEX audit_events_by_time ON audit_events (happened_at);

-- One row: where the chain ends. The seal is empty until the first record is chained.
CREATE TABLE audit_head (
    only_row BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    link TEXT NOT NULL,
    seal TEXT NOT NULL
);
INSERT INTO audit_head (only_row, number, link, seal) VALUES (1, 0, '', '');

-- A reminder goes out in the unit of work that adds its row: once, however many servers there are.
CREATE TABLE expiry_reminders (
    secret_id TEXT NOT NULL REFERENCES client_secrets (id),
    step TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (secret_id, step)
);

CREATE TABLE calendar_feeds (
    organisation_id TEXT NOT NULL PRIMARY KEY REFERENCES organisations (id),
    -- Keyed hash of what stands in the address.
    key_hash TEXT NOT NULL UNIQUE,
    made_at BIGINT NOT NULL,
    made_by TEXT
);

CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    -- None: the agency's, which hears about every organisation.
    organisation_id TEXT REFERENCES organisations (id),
    url TEXT NOT NULL,
    -- Event types separated by spaces; empty: all.
    events TEXT NOT NULL,
    -- The signing secret, sealed under the master key.
    sealed TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    -- Records of the audit trail after this number are told.
    after_number BIGINT NOT NULL
);
CREATE INDEX webhooks_by_organisation ON webhooks (organisation_id);

-- What is to be told, to whom, and how that went.
CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    -- The record of the audit trail that it tells.
    number BIGINT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    delivered_at BIGINT,
    -- Given up: not tried again unless somebody asks for it.
    dead_at BIGINT,
    failure TEXT,
    UNIQUE (webhook_id, number)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (delivered_at, dead_at, due_at);

-- One row: up to which record of the audit trail webhooks were told.
CREATE TABLE webhook_position (
    only_row BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO webhook_position (only_row, number) VALUES (1, 0);

-- One row while a sandbox's clock is moved by command.
CREATE TABLE sandbox_clock (
    only_row BIGINT NOT NULL PRIMARY KEY,
    offset_seconds BIGINT NOT NULL
);

-- What the configuration was at the last start, section by section, as hashes.
CREATE TABLE noted_configuration (
    section TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL
);
