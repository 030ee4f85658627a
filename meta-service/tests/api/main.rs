//! The meta service at its public API: a real server on loopback, on SQLite and on a real Postgres that the tests
//! start themselves. The modules mirror the URL tree.

mod announcements;
mod broadcasts;
mod failures;
mod groups;
mod homes;
mod internal;
mod killed;
mod lifecycle;
mod matrix;
mod outage;
mod plumbing;
mod store;
mod store_groups;
mod support;
mod thumbnails;
mod tokens;
