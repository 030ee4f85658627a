//! What bounds the calls to a database.

use std::time::Duration;

/// Longest wait for a connection of the pool.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest run of one statement, enforced by the database.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest call, and longest time for the calls of one request; enforced here, as a database that is stopped enforces
/// nothing itself.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(2300);
