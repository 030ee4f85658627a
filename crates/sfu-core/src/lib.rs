//! sfu-core
