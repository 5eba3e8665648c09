//! Looking up what belongs to several rows with one query instead of one each.

/// Rows of one query. Missing ones are padded with an id that nothing has.
pub(crate) const BATCH: usize = 32;

/// The placeholders of a batch, for `IN`.
macro_rules! in_batch {
    () => {
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
         $24, $25, $26, $27, $28, $29, $30, $31, $32)"
    };
}
pub(crate) use in_batch;

/// Ids in batches, the last one padded.
pub(crate) fn batches<'i>(ids: impl IntoIterator<Item = &'i str>) -> Vec<[&'i str; BATCH]> {
    let ids: Vec<&str> = ids.into_iter().collect();
    ids.chunks(BATCH)
        .map(|chunk| {
            let mut batch = [""; BATCH];
            batch[..chunk.len()].copy_from_slice(chunk);
            batch
        })
        .collect()
}
