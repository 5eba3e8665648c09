-- Where locations are; what stands in drafts beside the comment.

ALTER TABLE organisation_locations ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE organisation_locations ADD COLUMN country TEXT NOT NULL DEFAULT '';

-- Whether the box beside the terms is ticked. They are accepted by submitting, with their version.
ALTER TABLE access_requests ADD COLUMN terms_ticked BOOLEAN NOT NULL DEFAULT FALSE;
