-- Search values in the order in which products are sorted by them: to walk along, instead of sorting all products.
-- The lengths are those of crate::sort.
CREATE INDEX search_strings_in_order ON search_strings (parameter, substr(sort_key, 1, 200), product_id)
    WHERE parameter = 'name';
CREATE INDEX search_tokens_in_order ON search_tokens (parameter, substr(code, 1, 64), product_id)
    WHERE parameter = 'status';
CREATE INDEX search_tokens_in_reverse ON search_tokens (parameter, substr(code, 1, 64) DESC, product_id)
    WHERE parameter = 'status';
