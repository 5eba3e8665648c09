-- seen_by and products.gates have, beside the classes of callers, the marks of the product's owners (crate::audience).
-- Every product is looked at again when a program starts next.
UPDATE product_feed SET matrix_digest = '';
