//! What is asked of a board, done in memory. Pure but for the dice.

use std::collections::HashSet;
use std::sync::Arc;

use board::{Author, ClientId, Refusal};
use contract::board::{BoardDone, BoardRefused};
use contract::destination::Reason;

use super::super::store::Held;
use super::{Loaded, Wanted, Who};
use crate::limits::ConnId;

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum No {
    #[error("operations from {has} on are missing: send from there on again")]
    Gap { has: u32 },
    #[error("the board was made anew: load it and ask for another client id")]
    Epoch { epoch: u64 },
    #[error("this client id is not yours, or no more: open the board")]
    Client,
    #[error("the board is full: only deleting is possible")]
    Full,
    #[error("an update of more than 1 MiB")]
    TooLong,
    #[error("you sent what nobody who draws sends, and draw no more in this room")]
    Barred,
    #[error("nobody who draws sends this: {0}")]
    Hostile(String),
    #[error("the board is not to be reached at the moment")]
    Away,
    #[error("too many boards are in use at the moment")]
    Busy,
    #[error("this board cannot be read")]
    Broken,
    #[error("no state vector: {0}")]
    State(String),
    #[error("{0}")]
    Snapshot(String),
}

impl No {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Gap { .. } | Self::Epoch { .. } | Self::Client | Self::Full | Self::Away | Self::Broken => {
                Reason::State
            }
            Self::TooLong | Self::Hostile(_) | Self::State(_) | Self::Snapshot(_) => Reason::Body,
            Self::Barred => Reason::Right,
            Self::Busy => Reason::Rate,
        }
    }

    /// The same for programs.
    pub(crate) fn detail(&self) -> Option<BoardRefused> {
        match self {
            Self::Gap { has } => Some(BoardRefused::Gap { has: *has }),
            Self::Epoch { epoch } => Some(BoardRefused::Epoch { epoch: *epoch }),
            Self::Client => Some(BoardRefused::Client {}),
            Self::Full => Some(BoardRefused::Full {}),
            Self::Barred | Self::Hostile(_) => Some(BoardRefused::Barred {}),
            Self::Away | Self::Busy | Self::Broken => Some(BoardRefused::Away {}),
            Self::TooLong | Self::State(_) | Self::Snapshot(_) => None,
        }
    }
}

/// What was done, in memory so far.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) done: BoardDone,
    /// What is to be stored of it; nothing if it was known already.
    pub(super) row: Option<Row>,
}

#[derive(Debug)]
pub(super) enum Row {
    Held { id: Option<ConnId>, held: Held },
    Update { client: u64, person: Arc<str>, data: Arc<[u8]> },
}

pub(super) fn all(
    loaded: &mut Loaded,
    wanted: &[(Who, Wanted)],
    barred: &HashSet<Arc<str>>,
) -> Vec<Result<Applied, No>> {
    wanted
        .iter()
        .map(|(who, wanted)| {
            if barred.contains(&who.person) {
                return Err(No::Barred);
            }
            match wanted {
                Wanted::Open { client, epoch } => open(loaded, who, *client, *epoch),
                Wanted::Update { epoch, client, update } => {
                    let taken = update_one(loaded, who, *epoch, *client, update);
                    loaded.is_full |= matches!(taken, Err(No::Full));
                    taken
                }
            }
        })
        .collect()
}

fn open(loaded: &mut Loaded, who: &Who, client: Option<u64>, epoch: Option<u64>) -> Result<Applied, No> {
    let board = &mut loaded.board;
    let author = Author(who.person.clone());
    let own = client.filter(|_| epoch == Some(board.epoch())).map(ClientId);
    let id = match own.filter(|id| board.is_admitted(&author, *id)) {
        Some(id) => id,
        None => board.admit(author).map_err(|_| {
            loaded.is_full = true;
            No::Busy
        })?,
    };
    // 63 bits, as databases have them.
    let holder = rand::random::<u64>() >> 1;
    loaded.holders.insert(id.0, holder);
    let held = Held { client: id.0, person: who.person.clone(), holder };
    let done = done(loaded, id, holder);
    Ok(Applied { done, row: Some(Row::Held { id: who.id, held }) })
}

fn update_one(loaded: &mut Loaded, who: &Who, epoch: u64, client: u64, update: &[u8]) -> Result<Applied, No> {
    let board = &mut loaded.board;
    if epoch != board.epoch() {
        return Err(No::Epoch { epoch: board.epoch() });
    }
    let id = ClientId(client);
    let holder = who.holder.filter(|holder| loaded.holders.get(&client) == Some(holder));
    let author = match (board.author(id), holder) {
        // A guest who calls by HTTP has no name: it is known by what it shows.
        (Some(own), Some(_)) if who.person.is_empty() => own.clone(),
        (Some(own), _) if *own.0 == *who.person => own.clone(),
        (Some(_), _) if !who.person.is_empty() => {
            return Err(No::Hostile("the client id of somebody else".into()));
        }
        _ => return Err(No::Client),
    };
    let Some(holder) = holder else { return Err(No::Client) };
    if board.knows(update) {
        return Ok(Applied { done: done(loaded, id, holder), row: None });
    }
    match board.apply(&author, id, update) {
        Ok(_) => {
            let row = Row::Update { client, person: author.0.clone(), data: update.into() };
            Ok(Applied { done: done(loaded, id, holder), row: Some(row) })
        }
        Err(Refusal::Gap { has }) => Err(No::Gap { has }),
        // Honest pages are here too whose store was put back to an earlier day: they begin anew from what there is.
        Err(Refusal::Unknown(_)) => Err(No::Gap { has: board.has(id) }),
        Err(Refusal::Full) => Err(No::Full),
        Err(Refusal::TooLong) => Err(No::TooLong),
        Err(hostile) => Err(No::Hostile(hostile.to_string())),
    }
}

fn done(loaded: &Loaded, id: ClientId, holder: u64) -> BoardDone {
    let board = &loaded.board;
    BoardDone { epoch: board.epoch(), client: id.0, has: board.has(id), holder: format!("{holder:x}") }
}
