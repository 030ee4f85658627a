//! What bounds the statements of the store.

/// Rows that one sweep query returns; the next sweep goes on.
pub const SWEEP_ROWS: i64 = 500;
/// Rows that one batched statement writes; more are written in several. (SQLite binds 32,766 values at most.)
pub const BATCH_ROWS: usize = 1_000;
