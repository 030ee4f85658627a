//! The way to either database, for the services that keep something: Postgres, or SQLite where one process has it for
//! itself.
//!
//! [`Db`] reads and begins to write; nothing is acknowledged before [`Write::commit`]. [`Writer`] commits what many
//! callers bring in groups. What a service keeps is its own: its [`Schema`], its statements, its limits.

#![forbid(unsafe_code)]

mod db;
mod error;
mod limits;
mod postgres;
mod sqlite;
mod writer;

pub use db::{CallFuture, Db, MEMORY, Row, Schema, Sql, Value, Write, bounded, is_postgres, one_request};
pub use error::{Error, OpenError};
pub use limits::{ACQUIRE_TIMEOUT, CALL_TIMEOUT, STATEMENT_TIMEOUT};
pub use writer::{Batch, Full, MAX_JOB_WAIT, Settled, Writer};
