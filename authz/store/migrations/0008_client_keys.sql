-- A client may prove itself by other things than a secret: `hash` then holds what is kept for that method.
ALTER TABLE client_secrets ADD COLUMN method TEXT NOT NULL DEFAULT 'client_secret';

-- Client assertions that were used and are still alive: each is good once, on whichever instance it arrives.
CREATE TABLE used_assertions (
    client_id TEXT NOT NULL,
    jti_hash TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti_hash)
);
CREATE INDEX used_assertions_by_end ON used_assertions (until_at);
