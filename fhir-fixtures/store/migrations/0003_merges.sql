-- Merges: those that wait, and those done that may still be asked about.
-- organisation to veterinary: on whose behalf, as it was when the merge was taken; organisation is '' for none.
-- is_async: answered by the place where its outcome will be. state: 'queued' or 'done'. body: the Bundle while it waits,
-- then ''. outcome: '' while it waits, then JSON.
-- key_until: when the idempotency key is free again; kept_until: when the row may go, never while it waits.
CREATE TABLE merges (
    merge_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    client_id TEXT NOT NULL,
    organisation TEXT NOT NULL,
    stakeholder TEXT NOT NULL,
    qualified BOOLEAN NOT NULL,
    human BOOLEAN NOT NULL,
    veterinary BOOLEAN NOT NULL,
    product_id TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    is_async BOOLEAN NOT NULL,
    idempotency_key TEXT,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    outcome TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    key_until BIGINT NOT NULL,
    kept_until BIGINT NOT NULL
);
CREATE UNIQUE INDEX merges_by_key ON merges (client_id, idempotency_key);
CREATE INDEX merges_by_client ON merges (client_id, state);
CREATE INDEX merges_by_product ON merges (product_id, state);
CREATE UNIQUE INDEX merges_by_seq ON merges (state, seq);
CREATE INDEX merges_by_end ON merges (kept_until);

-- The last place given out in the queue, and the last id given to a new resource. Whoever adds a merge takes this row
-- first: merges are added one after another. Who needs product_feed, too, takes that one before.
CREATE TABLE merge_queue (
    id BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    resource_id BIGINT NOT NULL
);
INSERT INTO merge_queue (id, seq, resource_id) VALUES (1, 0, 600070000000);
