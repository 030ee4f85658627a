//! What two Madang processes must agree on: ids, tokens and grants, TURN credentials, problem types,
//! REST bodies, STOMP bodies and the destination grammar. No I/O, no clock: `now` is passed in.

pub mod board;
pub mod call;
pub mod chat;
pub mod destination;
pub mod group;
pub mod id;
pub mod key;
pub mod layer;
mod number;
pub mod problem;
pub mod rest;
pub mod room;
pub mod room_state;
pub mod schema;
mod source;
pub mod text;
pub mod token;
pub mod turn;
