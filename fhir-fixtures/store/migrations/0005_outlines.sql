-- How a product's root looks to each column of the access matrix (fhir_model::access::Outline, as JSON): read with the root's
-- current version when the root alone is to be shown. In a table of its own, so that the rows of products stay small.
CREATE TABLE product_outlines (
    product_id TEXT NOT NULL PRIMARY KEY,
    outline TEXT NOT NULL
);
-- Every product is looked at again when a program starts next.
UPDATE product_feed SET matrix_digest = '';
