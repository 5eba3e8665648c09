-- Credentials from request to renewal. Times are microseconds since the epoch.

-- Who a public client belongs to. A client of an organisation belongs to the organisation.
ALTER TABLE clients ADD COLUMN owner_account_id TEXT REFERENCES accounts (id);
-- What automation calls a client, unique within its organisation, so that creating it twice makes one.
ALTER TABLE clients ADD COLUMN external_key TEXT;
CREATE UNIQUE INDEX clients_by_external_key ON clients (COALESCE(organisation_id, ''), external_key)
    WHERE external_key IS NOT NULL AND status <> 'revoked';
-- One public client an account.
CREATE UNIQUE INDEX clients_one_of_owner ON clients (owner_account_id)
    WHERE owner_account_id IS NOT NULL AND status <> 'revoked';
CREATE INDEX clients_by_creation ON clients (created_at, id);

-- Whether a secret's first use was noted, and told to those who wait for it.
ALTER TABLE client_secrets ADD COLUMN first_used_at BIGINT;
UPDATE client_secrets SET first_used_at = last_used_at;

-- What a request for API access, or for a renewal, says beyond what every request says.
CREATE TABLE api_access_requests (
    request_id TEXT NOT NULL PRIMARY KEY REFERENCES access_requests (id),
    contact TEXT NOT NULL,
    label TEXT NOT NULL,
    qualified BOOLEAN NOT NULL,
    scope TEXT,
    environment TEXT,
    -- The client that was made, or whose secret is to be renewed.
    client_id TEXT REFERENCES clients (id)
);

-- Links that were mailed: who opens one and presses the button is shown a new secret, once.
CREATE TABLE credential_links (
    token_hash TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES clients (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX credential_links_by_client ON credential_links (client_id);
CREATE INDEX credential_links_by_expiry ON credential_links (expires_at);
