-- Every version of every resource, in FHIR 5.0.0, without the meta.versionId and meta.lastUpdated that stand in columns.
CREATE TABLE resource_versions (
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    version_id BIGINT NOT NULL,
    last_updated BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (resource_type, resource_id, version_id)
);

-- Which version of a resource is the current one.
CREATE TABLE resources (
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    version_id BIGINT NOT NULL,
    PRIMARY KEY (resource_type, resource_id)
);

-- One row per product: what decides whether a caller may know of it, small enough to be read on every request.
-- gates: one bit per class of callers; owners: organisation ids, separated by spaces;
-- change_seq: the product's place in the order of all changes, by which servers follow them.
CREATE TABLE products (
    product_id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    change_seq BIGINT NOT NULL,
    gates BIGINT NOT NULL,
    owners TEXT NOT NULL,
    version_id BIGINT NOT NULL,
    last_updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX products_by_change ON products (change_seq);
CREATE INDEX products_by_last_updated ON products (last_updated);

-- The resources of a product. Some are shared (an organisation); one that is referred to and not here has present = FALSE.
CREATE TABLE product_members (
    product_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    present BOOLEAN NOT NULL,
    PRIMARY KEY (product_id, resource_type, resource_id)
);
CREATE INDEX product_members_by_resource ON product_members (resource_type, resource_id);

CREATE TABLE product_owners (
    organisation TEXT NOT NULL,
    product_id TEXT NOT NULL,
    PRIMARY KEY (organisation, product_id)
);
CREATE INDEX product_owners_by_product ON product_owners (product_id);

-- Which products name a location, so that they are looked at again when its organisation becomes known.
CREATE TABLE product_locations (
    location_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    PRIMARY KEY (location_id, product_id)
);
CREATE INDEX product_locations_by_product ON product_locations (product_id);

-- Which other products a product refers to: what is shown of such a reference hangs on the other one's public gate.
CREATE TABLE product_targets (
    target_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    PRIMARY KEY (target_id, product_id)
);
CREATE INDEX product_targets_by_product ON product_targets (product_id);

CREATE TABLE locations (
    location_id TEXT NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL
);

-- The search index. visible_to: one bit per column of the access matrix that sees the element.
CREATE TABLE search_tokens (
    product_id TEXT NOT NULL,
    parameter TEXT NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    visible_to BIGINT NOT NULL
);
CREATE INDEX search_tokens_by_code ON search_tokens (parameter, code, system, product_id, visible_to);
CREATE INDEX search_tokens_by_product ON search_tokens (product_id);

-- sort_key: the normalised text in hexadecimal, which sorts alike under every collation.
CREATE TABLE search_strings (
    product_id TEXT NOT NULL,
    parameter TEXT NOT NULL,
    sort_key TEXT NOT NULL,
    normalised TEXT NOT NULL,
    original TEXT NOT NULL,
    visible_to BIGINT NOT NULL
);
CREATE INDEX search_strings_by_key ON search_strings (parameter, sort_key, product_id, visible_to);
CREATE INDEX search_strings_by_product ON search_strings (product_id);

-- seq: the last change_seq given out. Whoever changes products takes this row first: writers come one after another.
CREATE TABLE product_feed (
    id BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    matrix_digest TEXT NOT NULL
);
INSERT INTO product_feed (id, seq, matrix_digest) VALUES (1, 0, '');
