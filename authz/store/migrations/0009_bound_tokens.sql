-- Clients that may have only tokens that are bound to a key of theirs (RFC 9449, dpop_bound_access_tokens).
ALTER TABLE clients ADD COLUMN dpop_required BOOLEAN NOT NULL DEFAULT FALSE;
