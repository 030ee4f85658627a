//! Bearers: remembered as a hash, compared in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::registry::BearerHash;

/// Bytes of a hash that make a name.
const NAME_LEN: usize = 8;

/// SHA-256 of a bearer.
pub(crate) fn hash(bearer: &str) -> BearerHash {
    Sha256::digest(bearer.as_bytes()).into()
}

/// Whether two hashes are the same.
pub(crate) fn same(a: &BearerHash, b: &BearerHash) -> bool {
    a.ct_eq(b).into()
}

/// A name that tells sessions apart and gives nothing of their ids away.
pub(crate) fn short_name(secret: &str) -> String {
    hash(secret).iter().take(NAME_LEN).map(|byte| format!("{byte:02x}")).collect()
}
