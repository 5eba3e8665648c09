-- For whom the sending of a one-time token counts: a subject, or the keyed hash of an address that nobody confirmed yet.
ALTER TABLE one_time_tokens ADD COLUMN counted_for TEXT NOT NULL DEFAULT '';
CREATE INDEX one_time_tokens_counted ON one_time_tokens (counted_for, purpose, created_at);
