-- mentions: ids of the other products that a product's resources refer to, separated by spaces. What a reader is shown
-- of them hangs on who reads, so it is decided when somebody reads. Before, it hung on the public gate alone and was
-- written into the index of each product that refers to another.
ALTER TABLE products ADD COLUMN mentions TEXT NOT NULL DEFAULT '';
DROP TABLE product_targets;
-- Every product is looked at again when a program starts next.
UPDATE product_feed SET matrix_digest = '';
