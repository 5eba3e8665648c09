-- Tables whose rows are small are kept in the order of their keys (WITHOUT ROWID; PostgreSQL knows no such thing and is
-- not told), so that a row is found in one descent.
CREATE TABLE next_products (
    product_id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    change_seq BIGINT NOT NULL,
    gates BIGINT NOT NULL,
    owners TEXT NOT NULL,
    mentions TEXT NOT NULL,
    version_id BIGINT NOT NULL,
    last_updated BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO next_products (product_id, revision, change_seq, gates, owners, mentions, version_id, last_updated)
    SELECT product_id, revision, change_seq, gates, owners, mentions, version_id, last_updated FROM products;
DROP TABLE products;
ALTER TABLE next_products RENAME TO products;
CREATE UNIQUE INDEX products_by_change ON products (change_seq);
CREATE INDEX products_by_last_updated ON products (last_updated, product_id);

CREATE TABLE next_members (
    product_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    present BOOLEAN NOT NULL,
    PRIMARY KEY (product_id, resource_type, resource_id)
) WITHOUT ROWID;
INSERT INTO next_members (product_id, resource_type, resource_id, present)
    SELECT product_id, resource_type, resource_id, present FROM product_members;
DROP TABLE product_members;
ALTER TABLE next_members RENAME TO product_members;
CREATE INDEX product_members_by_resource ON product_members (resource_type, resource_id, product_id, present);

CREATE TABLE next_owners (
    organisation TEXT NOT NULL,
    product_id TEXT NOT NULL,
    PRIMARY KEY (organisation, product_id)
) WITHOUT ROWID;
INSERT INTO next_owners (organisation, product_id) SELECT organisation, product_id FROM product_owners;
DROP TABLE product_owners;
ALTER TABLE next_owners RENAME TO product_owners;
CREATE INDEX product_owners_by_product ON product_owners (product_id);

CREATE TABLE next_resources (
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    version_id BIGINT NOT NULL,
    PRIMARY KEY (resource_type, resource_id)
) WITHOUT ROWID;
INSERT INTO next_resources (resource_type, resource_id, version_id)
    SELECT resource_type, resource_id, version_id FROM resources;
DROP TABLE resources;
ALTER TABLE next_resources RENAME TO resources;

-- The search index. seen_by: one bit per class of callers that may find the product by the value, as in products.gates and
-- never more than there; so whoever reads a row here need not look at the product.
-- code: crate::derived shortens long ones.
DROP TABLE search_tokens;
CREATE TABLE search_tokens (
    product_id TEXT NOT NULL,
    parameter TEXT NOT NULL,
    code TEXT NOT NULL,
    system TEXT NOT NULL,
    seen_by BIGINT NOT NULL,
    PRIMARY KEY (product_id, parameter, code, system)
) WITHOUT ROWID;
CREATE INDEX search_tokens_by_code ON search_tokens (parameter, code, product_id, system, seen_by);
CREATE INDEX search_tokens_in_reverse ON search_tokens (parameter, code DESC, product_id, system, seen_by)
    WHERE parameter = 'status';

-- sort_key: the start of the normalised text in hexadecimal, which sorts alike under every collation.
-- place: the value's place among those of the product, in the order of their keys.
DROP TABLE search_strings;
CREATE TABLE search_strings (
    product_id TEXT NOT NULL,
    parameter TEXT NOT NULL,
    place BIGINT NOT NULL,
    sort_key TEXT NOT NULL,
    normalised TEXT NOT NULL,
    original TEXT NOT NULL,
    seen_by BIGINT NOT NULL,
    PRIMARY KEY (product_id, parameter, place)
) WITHOUT ROWID;
CREATE INDEX search_strings_by_key ON search_strings (parameter, sort_key, product_id, place, seen_by);

-- Every product is looked at again when a program starts next.
UPDATE product_feed SET matrix_digest = '';
