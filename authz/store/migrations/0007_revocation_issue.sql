-- When a revocation was issued (microseconds since 1970), so that gateways can tell how long it took to arrive. Those
-- from before are no longer waited for.
ALTER TABLE revocations ADD COLUMN issued_at BIGINT NOT NULL DEFAULT 0;
