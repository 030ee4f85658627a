//! The document itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    ClientID, Doc, GetString, In, Map, MapPrelim, MapRef, OffsetKind, Options, Out, ReadTxn, StateVector,
    TextPrelim, Transact, Update,
};

use crate::outline::outline;
use crate::places::Places;
use crate::read::Malformed;
use crate::snapshot::{self, BadSnapshot};
use crate::{MAX_BOARD, MAX_CLIENTS, MAX_UPDATE, NEARLY_FULL, ROOTS};

/// Who draws: the participant that the server knows a connection by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Author(pub Arc<str>);

/// The id under which one connection draws, given by [`Board::admit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// Why an update was not taken. The board is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no update, or none of a board.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// It has operations of somebody else.
    #[error("operations of another client")]
    Foreign,
    /// The client id was not given to this author.
    #[error("a client id that was not given to this participant")]
    NotAdmitted,
    /// Operations before it are missing. The client sends from here on again.
    #[error("operations from {has} on are missing")]
    Gap {
        /// The number of the first operation of this client that the board does not have.
        has: u32,
    },
    /// It refers to an operation, client and number, that the board does not have.
    #[error("refers to operation {} of client {}, which is not there", .0.1, .0.0)]
    Unknown((u64, u32)),
    /// It would tie two places together.
    #[error("neighbours in different places")]
    Crossed,
    /// It puts something where that does not belong: a text into a map, a value into a text.
    #[error("something in a place where it does not belong")]
    Misplaced,
    /// It uses a shared map that no board has.
    #[error("an unknown root")]
    Root,
    /// Shared types too deep inside of each other.
    #[error("too many shared types inside of each other")]
    Depth,
    /// The update is longer than [`MAX_UPDATE`].
    #[error("an update of more than {MAX_UPDATE} bytes")]
    TooLong,
    /// The board has no room for more. Deleting does still work.
    #[error("the board is full")]
    Full,
}

impl Refusal {
    /// Whether an honest client may be told this: what it sent came too early, or there is no room. Everything else is
    /// made by nobody who draws.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Full | Self::TooLong)
    }
}

/// How much of a board is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Free,
    /// It is said to those who draw: [`NEARLY_FULL`] is reached.
    NearlyFull,
}

/// A whiteboard's document.
pub struct Board {
    doc: Doc,
    epoch: u64,
    places: Places,
    clients: HashMap<ClientId, Author>,
    next_client: u64,
    /// Bytes of the document as an update, exactly when it was last counted, and of what came after.
    counted: usize,
    since: usize,
}

/// The client id of what compaction writes. Those of connections begin after it.
const SERVER: u64 = 1;

impl Board {
    /// An empty board. `epoch` is greater than that of every board before it in the same room.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        let doc = Doc::with_options(Options {
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(ClientID::new(SERVER))
        });
        for root in ROOTS {
            doc.get_or_insert_map(root);
        }
        Self {
            doc,
            epoch,
            places: Places::new(),
            clients: HashMap::new(),
            next_client: SERVER + 1,
            counted: 0,
            since: 0,
        }
    }

    /// A board as it was stored: `updates` in their order, the first of which may be a whole board, and who draws
    /// under which id.
    ///
    /// # Errors
    /// What is wrong with an update.
    pub fn restored<'a>(
        epoch: u64,
        updates: impl IntoIterator<Item = &'a [u8]>,
        clients: impl IntoIterator<Item = (ClientId, Author)>,
    ) -> Result<Self, Refusal> {
        let mut board = Self::new(epoch);
        for bytes in updates {
            let outline = outline(bytes)?;
            board.places.take(&outline)?;
            board.integrate(bytes)?;
        }
        for (id, author) in clients {
            board.next_client = board.next_client.max(id.0.saturating_add(1));
            board.clients.insert(id, author);
        }
        Ok(board)
    }

    /// Which document this is. Updates of another epoch do not belong to it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A client id for one connection of `author`. One connection at a time draws under it.
    ///
    /// # Errors
    /// [`Refusal::Full`] after [`MAX_CLIENTS`]: the board is to be compacted.
    pub fn admit(&mut self, author: Author) -> Result<ClientId, Refusal> {
        if self.clients.len() >= MAX_CLIENTS {
            return Err(Refusal::Full);
        }
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.clients.insert(id, author);
        Ok(id)
    }

    /// Whether no more ids are to be given: it is to be compacted.
    #[must_use]
    pub fn is_out_of_ids(&self) -> bool {
        self.clients.len() >= MAX_CLIENTS
    }

    /// Who draws under an id, if it was given.
    #[must_use]
    pub fn author(&self, id: ClientId) -> Option<&Author> {
        self.clients.get(&id)
    }

    /// Whether all that an update says is there already: it was sent again. What deletes is not looked into.
    #[must_use]
    pub fn knows(&self, bytes: &[u8]) -> bool {
        outline(bytes).is_ok_and(|outline| {
            let has = |range: crate::outline::Range| range.end() <= self.places.clock(range.client);
            outline.deletes.is_empty() && outline.operations.iter().all(|operation| has(operation.range))
        })
    }

    /// Whether `author` draws under this id.
    #[must_use]
    pub fn is_admitted(&self, author: &Author, id: ClientId) -> bool {
        self.clients.get(&id) == Some(author)
    }

    /// How many operations of a client the board has: what comes after them is what it still has to send.
    #[must_use]
    pub fn has(&self, id: ClientId) -> u32 {
        self.places.clock(id.0)
    }

    /// Takes an update of `author` under `id`: new operations of that id, and deletions of anybody's. What is known
    /// already is passed over. Says how much room is left.
    ///
    /// # Errors
    /// Why it was refused; nothing has changed.
    pub fn apply(&mut self, author: &Author, id: ClientId, bytes: &[u8]) -> Result<Room, Refusal> {
        if bytes.len() > MAX_UPDATE {
            return Err(Refusal::TooLong);
        }
        if !self.is_admitted(author, id) {
            return Err(Refusal::NotAdmitted);
        }
        let outline = outline(bytes)?;
        if outline.operations.iter().any(|operation| operation.range.client != id.0) {
            return Err(Refusal::Foreign);
        }
        // What only deletes makes room.
        if !outline.operations.is_empty() && self.size() + bytes.len() > MAX_BOARD {
            self.count();
            if self.counted + bytes.len() > MAX_BOARD {
                return Err(Refusal::Full);
            }
        }
        self.places.take(&outline)?;
        self.integrate(bytes)?;
        Ok(if self.size() >= NEARLY_FULL { Room::NearlyFull } else { Room::Free })
    }

    fn integrate(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        // The outline has read all of it, so this does not fail; were it to, the update is lost and nothing else.
        let Ok(update) = Update::decode_v1(bytes) else { return Err(Refusal::Misplaced) };
        let applied = self.doc.transact_mut().apply_update(update);
        self.since += bytes.len();
        applied.map_err(|_| Refusal::Misplaced)
    }

    /// About how many bytes the board has as an update; never too few.
    #[must_use]
    pub fn size(&self) -> usize {
        self.counted + self.since
    }

    fn count(&mut self) {
        if self.since > 0 {
            self.counted = self.whole().len();
            self.since = 0;
        }
    }

    /// The whole board as one update: what a page that opens it gets, and what is stored in place of all before it.
    #[must_use]
    pub fn whole(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    /// What somebody who has `state`, a state vector as Yjs encodes it, is missing.
    ///
    /// # Errors
    /// [`Refusal::TooLong`] or [`Refusal::Misplaced`] where it is no state vector.
    pub fn missing(&self, state: &[u8]) -> Result<Vec<u8>, Refusal> {
        // A count that is larger than what follows would be believed.
        if state.len() > MAX_CLIENTS * 16 {
            return Err(Refusal::TooLong);
        }
        let mut reader = crate::read::Reader::new(state);
        for _ in 0..reader.count(2)? {
            reader.number()?;
            reader.number_to(crate::MAX_CLOCK)?;
        }
        reader.end()?;
        let state = StateVector::decode_v1(state).map_err(|_| Refusal::Misplaced)?;
        Ok(self.doc.transact().encode_state_as_update_v1(&state))
    }

    /// The state vector of the board, as Yjs encodes it.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }

    /// The same things in a new document under the next epoch, without what was deleted. Nobody draws on it yet.
    #[must_use]
    pub fn compacted(&self) -> Self {
        let mut fresh = Self::new(self.epoch + 1);
        let old = self.doc.transact();
        {
            let mut new = fresh.doc.transact_mut();
            for root in ROOTS {
                let (Some(from), Some(to)) = (old.get_map(root), new.get_map(root)) else { continue };
                for (key, value) in from.iter(&old) {
                    if let Some(copy) = copied(&value, &old) {
                        to.insert(&mut new, key, copy);
                    }
                }
            }
        }
        drop(old);
        // Its own operations are honest ones, and fewer than before.
        let settled = fresh.settle();
        debug_assert_eq!(settled, Ok(()));
        fresh
    }

    /// Takes in what was put into a new document by its own hand.
    fn settle(&mut self) -> Result<(), Refusal> {
        let whole = self.whole();
        if whole.len() > MAX_BOARD {
            return Err(Refusal::Full);
        }
        self.counted = whole.len();
        self.places.take(&outline(&whole)?)
    }

    /// What is drawn, to be kept elsewhere: see [`Board::imported`].
    #[must_use]
    pub fn exported(&self) -> serde_json::Value {
        let read = self.doc.transact();
        let mut json = serde_json::json!({"format": snapshot::FORMAT, "version": snapshot::VERSION});
        for root in ROOTS {
            let Some(map) = read.get_map(root) else { continue };
            let entries =
                map.iter(&read).map(|(key, value)| (key.to_owned(), snapshot::exported(&value, &read)));
            json[root] = entries.collect::<serde_json::Map<_, _>>().into();
        }
        json
    }

    /// A board of what was exported, of this one or of another. Nobody draws on it yet.
    ///
    /// # Errors
    /// Why it is none.
    pub fn imported(epoch: u64, json: &serde_json::Value) -> Result<Self, BadSnapshot> {
        let is_ours = json.get("format").is_some_and(|format| format == snapshot::FORMAT)
            && json.get("version").is_some_and(|version| *version == snapshot::VERSION);
        if !is_ours {
            return Err(BadSnapshot::Format);
        }
        let mut fresh = Self::new(epoch);
        for root in ROOTS {
            let entries = snapshot::imported(root, json)?;
            let map = fresh.doc.get_or_insert_map(root);
            let mut new = fresh.doc.transact_mut();
            for (key, value) in entries {
                map.insert(&mut new, key, value);
            }
        }
        fresh.settle().map_err(|_| BadSnapshot::TooLarge)?;
        Ok(fresh)
    }

    /// What is drawn, as JSON: the entries of a root by their key. An entry is an object for each shared map.
    #[must_use]
    pub fn entries(&self, root: &str) -> BTreeMap<String, serde_json::Value> {
        let read = self.doc.transact();
        let Some(map) = read.get_map(root) else { return BTreeMap::new() };
        map.iter(&read)
            .map(|(key, value)| {
                let mut json = String::new();
                value.to_json(&read).to_json(&mut json);
                // What has no form in JSON, as numbers without an end, is null.
                (key.to_owned(), serde_json::from_str(&json).unwrap_or_default())
            })
            .collect()
    }
}

/// A value as something to be inserted elsewhere. Shared types are at most [`crate::MAX_DEPTH`] deep.
fn copied<T: ReadTxn>(value: &Out, read: &T) -> Option<In> {
    match value {
        Out::Any(any) => Some(In::Any(any.clone())),
        Out::YText(text) => Some(TextPrelim::new(text.get_string(read)).into()),
        Out::YMap(map) => Some(copied_map(map, read).into()),
        _ => None,
    }
}

fn copied_map<T: ReadTxn>(map: &MapRef, read: &T) -> MapPrelim {
    map.iter(read).filter_map(|(key, value)| Some((key.to_owned(), copied(&value, read)?))).collect()
}
