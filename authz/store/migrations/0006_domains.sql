-- The domains that a client is asked for with.

ALTER TABLE api_access_requests ADD COLUMN sees_human BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE api_access_requests ADD COLUMN sees_veterinary BOOLEAN NOT NULL DEFAULT TRUE;
