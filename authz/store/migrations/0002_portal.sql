-- The portal: people, their sessions and roles, requests for access, mails to be sent.
-- Times are microseconds since the epoch.

ALTER TABLE organisations ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE organisations ADD COLUMN parent_id TEXT;
-- Name in lower case, for the search.
ALTER TABLE organisations ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
CREATE INDEX organisations_by_name ON organisations (name_key);
CREATE INDEX organisations_by_parent ON organisations (parent_id, country);

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    -- The address in lower case: one account an address.
    email_key TEXT NOT NULL UNIQUE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    phone TEXT,
    phone_confirmed BOOLEAN NOT NULL,
    second_contact TEXT,
    language TEXT NOT NULL,
    notifications BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    -- Sealed under the master key.
    totp_secret TEXT,
    totp_enrolled BOOLEAN NOT NULL,
    -- The last step whose code was used.
    totp_last_step BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Addresses are looked up by how they begin: equality of a few characters, which an index serves under any collation.
CREATE INDEX accounts_by_beginning ON accounts (SUBSTR(email_key, 1, 3));

-- Registrations whose address is not confirmed yet. They reserve nothing.
CREATE TABLE registrations (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    -- Everything typed, sealed, with the password's hash.
    sealed TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX registrations_by_expiry ON registrations (expires_at);

CREATE TABLE authentication_answers (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    position BIGINT NOT NULL,
    question TEXT NOT NULL,
    answer_hash TEXT NOT NULL,
    PRIMARY KEY (account_id, position)
);

CREATE TABLE recovery_codes (
    code_hash TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    used_at BIGINT
);
CREATE INDEX recovery_codes_by_account ON recovery_codes (account_id);

CREATE TABLE one_time_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    -- A registration or an account; a token for nobody keeps the pages alike.
    subject TEXT,
    code_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX one_time_tokens_by_subject ON one_time_tokens (subject, purpose);
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

CREATE TABLE sessions (
    id_hash TEXT NOT NULL PRIMARY KEY,
    -- A name for lists that says nothing about the cookie.
    public_id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    -- Whether only the password was shown so far, and a second factor is to come.
    pending BOOLEAN NOT NULL,
    second_factor BOOLEAN NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX sessions_by_seen ON sessions (seen_at);

CREATE TABLE access_requests (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    application TEXT NOT NULL,
    organisation_id TEXT REFERENCES organisations (id),
    deciding_organisation_id TEXT,
    language TEXT,
    comment TEXT NOT NULL,
    state TEXT NOT NULL,
    by_agency BOOLEAN NOT NULL,
    waiver_asked BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    submitted_at BIGINT,
    decided_at BIGINT,
    decided_by TEXT,
    reason TEXT NOT NULL,
    reminders BIGINT NOT NULL
);
CREATE INDEX access_requests_by_account ON access_requests (account_id, created_at);
CREATE INDEX access_requests_by_decider ON access_requests (state, deciding_organisation_id, submitted_at);
CREATE INDEX access_requests_for_agency ON access_requests (state, by_agency, submitted_at);

CREATE TABLE access_request_roles (
    request_id TEXT NOT NULL REFERENCES access_requests (id),
    role TEXT NOT NULL,
    PRIMARY KEY (request_id, role)
);

CREATE TABLE granted_roles (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL,
    organisation_id TEXT,
    language TEXT,
    preference TEXT,
    request_id TEXT,
    granted_at BIGINT NOT NULL,
    granted_by TEXT,
    revoked_at BIGINT,
    revoked_by TEXT,
    revoke_reason TEXT
);
CREATE UNIQUE INDEX granted_roles_once ON granted_roles (account_id, role, COALESCE(organisation_id, ''))
    WHERE revoked_at IS NULL;
CREATE INDEX granted_roles_by_organisation ON granted_roles (organisation_id, role);
CREATE INDEX granted_roles_by_role ON granted_roles (role);

CREATE TABLE documents (
    id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL REFERENCES access_requests (id),
    file_name TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    uploaded_at BIGINT NOT NULL
);
CREATE INDEX documents_by_request ON documents (request_id);

-- In pieces of Base64: a document is written and read with its request, on either database.
CREATE TABLE document_pieces (
    document_id TEXT NOT NULL REFERENCES documents (id),
    position BIGINT NOT NULL,
    piece TEXT NOT NULL,
    PRIMARY KEY (document_id, position)
);

CREATE TABLE terms_acceptances (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    terms TEXT NOT NULL,
    version TEXT NOT NULL,
    request_id TEXT,
    accepted_at BIGINT NOT NULL
);
CREATE INDEX terms_acceptances_by_account ON terms_acceptances (account_id, terms);

CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    -- mail or text
    channel TEXT NOT NULL,
    -- What it is about, without anything personal: for lists and logs.
    notice TEXT NOT NULL,
    -- Recipient and text, sealed under the master key; wiped when sent.
    sealed TEXT,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    sent_at BIGINT,
    failure TEXT
);
CREATE INDEX outbox_due ON outbox (sent_at, due_at);

-- One row: the last number of a request.
CREATE TABLE access_request_numbers (
    only_row BIGINT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO access_request_numbers (only_row, value) VALUES (1, 0);

UPDATE organisations SET name_key = LOWER(name);
