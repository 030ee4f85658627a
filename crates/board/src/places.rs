//! Which operations a board has, and what each of them is in: enough to tell an honest update from one that would tie
//! its structure into knots, without a look into the document.

use std::collections::HashMap;

use crate::outline::{Content, Id, Operation, Outline, Parent, Where};
use crate::{MAX_DEPTH, MAX_NAMES, ROOTS, Refusal};

/// A shared type by its index; the roots come first.
type TypeIndex = u32;
type KeyIndex = u32;

/// What an operation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The list of a text, or a key of a map.
    In(TypeIndex, Option<KeyIndex>),
    /// Something that does not exist any more.
    Gone,
}

/// Operations of one client in the same place, from a number on up to the next span.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: u32,
    place: Place,
    /// May have been a shared type once: what is put into it is gone too.
    is_hollow: bool,
}

#[derive(Debug, Default)]
struct Client {
    spans: Vec<Span>,
    /// The number of the next operation.
    clock: u32,
}

#[derive(Debug, Clone, Copy)]
struct Type {
    id: Option<Id>,
    is_text: bool,
    depth: u8,
}

/// Everything that is known of the structure.
#[derive(Debug)]
pub(crate) struct Places {
    clients: HashMap<u64, Client>,
    types: Vec<Type>,
    type_of: HashMap<Id, TypeIndex>,
    keys: Vec<Box<str>>,
    key_of: HashMap<Box<str>, KeyIndex>,
}

/// What one update has added so far, to take it back.
#[derive(Debug)]
struct Mark {
    clients: Vec<(u64, usize, u32)>,
    types: usize,
    keys: usize,
}

impl Places {
    pub(crate) fn new() -> Self {
        let root = Type { id: None, is_text: false, depth: 0 };
        Self {
            clients: HashMap::new(),
            types: vec![root; ROOTS.len()],
            type_of: HashMap::new(),
            keys: Vec::new(),
            key_of: HashMap::new(),
        }
    }

    /// The number that the next operation of a client has.
    pub(crate) fn clock(&self, client: u64) -> u32 {
        self.clients.get(&client).map_or(0, |client| client.clock)
    }

    /// Takes in an update whose operations may come from several clients in any order, as a stored board has them.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    pub(crate) fn take(&mut self, outline: &Outline<'_>) -> Result<(), Refusal> {
        let mut mark = Mark { clients: Vec::new(), types: self.types.len(), keys: self.keys.len() };
        let taken = self.take_all(outline, &mut mark);
        if taken.is_err() {
            self.take_back(mark);
        }
        taken
    }

    fn take_all(&mut self, outline: &Outline<'_>, mark: &mut Mark) -> Result<(), Refusal> {
        let mut queues: Vec<&[Operation<'_>]> =
            outline.operations.chunk_by(|one, next| one.range.client == next.range.client).collect();
        for queue in &queues {
            if let Some(first) = queue.first() {
                let client = self.clients.entry(first.range.client).or_default();
                mark.clients.push((first.range.client, client.spans.len(), client.clock));
            }
        }
        // Those that can go on, and those that wait for operations of a client.
        let mut ready: Vec<usize> = (0..queues.len()).collect();
        let mut waiting: HashMap<u64, Vec<usize>> = HashMap::new();
        while let Some(index) = ready.pop() {
            let mut has_moved = None;
            while let Some((first, rest)) = queues[index].split_first() {
                match self.take_one(first) {
                    Ok(()) => (queues[index], has_moved) = (rest, Some(first.range.client)),
                    // It may come yet, from somebody else.
                    Err(Refusal::Unknown(missing)) if missing.0 != first.range.client => {
                        waiting.entry(missing.0).or_default().push(index);
                        break;
                    }
                    Err(other) => return Err(other),
                }
            }
            if let Some(client) = has_moved {
                ready.extend(waiting.remove(&client).unwrap_or_default());
            }
        }
        if let Some(&missing) = waiting.keys().next() {
            return Err(Refusal::Unknown((missing, self.clock(missing))));
        }
        for deleted in &outline.deletes {
            if deleted.end() > self.clock(deleted.client) {
                return Err(Refusal::Unknown((deleted.client, deleted.end() - 1)));
            }
        }
        Ok(())
    }

    fn take_one(&mut self, operation: &Operation<'_>) -> Result<(), Refusal> {
        let Operation { range, place, content } = *operation;
        let known = self.clock(range.client);
        if range.from > known {
            return Err(Refusal::Gap { has: known });
        }
        if range.end() <= known {
            return Ok(());
        }
        let place = self.resolve(place)?;
        if range.from < known {
            // The rest of what is known in part belongs behind it.
            let before = self.place(Id { client: range.client, clock: known - 1 })?;
            if before != place {
                return Err(Refusal::Crossed);
            }
        }
        let is_type = matches!(content, Content::Map | Content::TextType);
        if let Place::In(parent, key) = place {
            let Type { is_text, depth, .. } = self.types[parent as usize];
            let fits = match content {
                Content::Deleted => true,
                Content::Text => is_text,
                Content::Values | Content::Map | Content::TextType => !is_text,
            };
            if !fits || is_text == key.is_some() {
                return Err(Refusal::Misplaced);
            }
            if is_type {
                if depth >= MAX_DEPTH {
                    return Err(Refusal::Depth);
                }
                let id = Id { client: range.client, clock: range.from };
                self.add_type(Type {
                    id: Some(id),
                    is_text: content == Content::TextType,
                    depth: depth + 1,
                })?;
            }
        }
        let is_hollow = content == Content::Deleted || (is_type && place == Place::Gone);
        let client = self.clients.entry(range.client).or_default();
        let continues =
            client.spans.last().is_some_and(|last| last.place == place && last.is_hollow == is_hollow);
        if !continues {
            client.spans.push(Span { from: known, place, is_hollow });
        }
        client.clock = range.end();
        Ok(())
    }

    fn resolve(&mut self, place: Where<'_>) -> Result<Place, Refusal> {
        match place {
            Where::Gone => Ok(Place::Gone),
            Where::In(Parent::Root(name), key) => {
                let root = ROOTS.iter().position(|root| *root == name).ok_or(Refusal::Root)?;
                let root = TypeIndex::try_from(root).map_err(|_| Refusal::Root)?;
                self.within(root, key)
            }
            Where::In(Parent::Type(id), key) => match self.type_of.get(&id) {
                Some(&parent) => self.within(parent, key),
                None if self.span(id)?.is_hollow => Ok(Place::Gone),
                None => Err(Refusal::Misplaced),
            },
            Where::Beside { left, right } => {
                let sides = [left, right].map(|side| side.map(|id| self.place(id)).transpose());
                match sides {
                    [Err(refusal), _] | [_, Err(refusal)] => Err(refusal),
                    [Ok(None), Ok(None)] => Err(Refusal::Misplaced),
                    [Ok(Some(one)), Ok(None)] | [Ok(None), Ok(Some(one))] => Ok(one),
                    // What is gone goes with all that it was in, so nothing is between it and what is there. (`yrs`
                    // would take such an operation for one in the place of the other side, and nobody had counted it.)
                    [Ok(Some(one)), Ok(Some(other))] if one == other => Ok(one),
                    _ => Err(Refusal::Crossed),
                }
            }
        }
    }

    fn within(&mut self, parent: TypeIndex, key: Option<&str>) -> Result<Place, Refusal> {
        let Some(key) = key else { return Ok(Place::In(parent, None)) };
        if let Some(&known) = self.key_of.get(key) {
            return Ok(Place::In(parent, Some(known)));
        }
        let index = self.next_index(self.keys.len())?;
        self.keys.push(key.into());
        self.key_of.insert(key.into(), index);
        Ok(Place::In(parent, Some(index)))
    }

    fn add_type(&mut self, new: Type) -> Result<(), Refusal> {
        let index = self.next_index(self.types.len())?;
        self.types.push(new);
        if let Some(id) = new.id {
            self.type_of.insert(id, index);
        }
        Ok(())
    }

    fn next_index(&self, length: usize) -> Result<u32, Refusal> {
        if length >= MAX_NAMES {
            return Err(Refusal::Full);
        }
        u32::try_from(length).map_err(|_| Refusal::Full)
    }

    fn place(&self, id: Id) -> Result<Place, Refusal> {
        self.span(id).map(|span| span.place)
    }

    fn span(&self, id: Id) -> Result<Span, Refusal> {
        let unknown = Refusal::Unknown((id.client, id.clock));
        let client = self.clients.get(&id.client).filter(|client| id.clock < client.clock);
        let spans = client.map_or(&[][..], |client| &client.spans);
        let after = spans.partition_point(|span| span.from <= id.clock);
        after.checked_sub(1).and_then(|index| spans.get(index)).copied().ok_or(unknown)
    }

    fn take_back(&mut self, mark: Mark) {
        for (id, spans, clock) in mark.clients {
            if clock == 0 {
                self.clients.remove(&id);
            } else if let Some(client) = self.clients.get_mut(&id) {
                client.spans.truncate(spans);
                client.clock = clock;
            }
        }
        for taken in self.types.drain(mark.types..) {
            if let Some(id) = taken.id {
                self.type_of.remove(&id);
            }
        }
        for taken in self.keys.drain(mark.keys..) {
            self.key_of.remove(&taken);
        }
    }
}
