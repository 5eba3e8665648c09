-- Outlines say, too, how a root looks to readers who may know of all products that it mentions.
-- Every product is looked at again when a program starts next.
UPDATE product_feed SET matrix_digest = '';
