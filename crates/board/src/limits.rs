//! What is bounded. More is refused, and changes nothing.

/// Bytes of one update. Who has drawn more while away sends it in parts.
pub const MAX_UPDATE: usize = 1 << 20;
/// Bytes of a whole board, as an update from nothing.
pub const MAX_BOARD: usize = 8 << 20;
/// From here on a board says that it is nearly full.
pub const NEARLY_FULL: usize = MAX_BOARD / 8 * 7;
/// Lists and maps inside of each other within one value, and shared types inside of each other.
pub const MAX_DEPTH: u8 = 16;
/// Bytes of the name of a root or the key of a map.
pub const MAX_KEY: usize = 128;
/// The greatest number that an operation of one client may have: far from where 32 bits end.
pub const MAX_CLOCK: u32 = 1 << 30;
/// Client ids that one board gives. Each connection takes one; compaction begins anew.
pub const MAX_CLIENTS: usize = 65_536;
/// Different keys and shared types of one board.
pub const MAX_NAMES: usize = 1 << 20;
