//! What an update says about the structure of a document: whose operations it carries, where they belong and what it
//! deletes. What is drawn is passed over.
//!
//! ```text
//! update   = count of clients, for each: count of operations, client, first clock, operations
//!            count of clients, for each: client, count of ranges, for each: clock, length      (what is deleted)
//! operation= info, [origin], [right origin], [parent, [key]], content
//! info     = 1 left origin | 1 right origin | 1 key | 5 bits: what the content is
//! ```
//! This is version 1 of the encoding of Yjs updates. Anything else in it that Yjs knows (documents inside of documents,
//! XML, formatted text) has no place on a board.

use crate::read::{Malformed, Reader, What};
use crate::{MAX_CLOCK, MAX_KEY};

/// The name of one operation: who made it, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) client: u64,
    pub(crate) clock: u32,
}

/// Operations of one client, from a number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) client: u64,
    pub(crate) from: u32,
    pub(crate) length: u32,
}

impl Range {
    /// The number after the last.
    pub(crate) fn end(self) -> u32 {
        self.from + self.length
    }
}

/// What holds something: a named root, or a shared type that an operation made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent<'a> {
    Root(&'a str),
    Type(Id),
}

/// Where an operation belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where<'a> {
    /// In a parent, as the first of its list or under a key.
    In(Parent<'a>, Option<&'a str>),
    /// Next to others, one of which at least is named: in what they are in.
    Beside { left: Option<Id>, right: Option<Id> },
    /// Nowhere any more: what it was in is gone.
    Gone,
}

/// What an operation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing any more.
    Deleted,
    /// Text, of a text.
    Text,
    /// Values.
    Values,
    /// A shared map.
    Map,
    /// A shared text.
    TextType,
}

/// One operation, or several of one client that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation<'a> {
    pub(crate) range: Range,
    pub(crate) place: Where<'a>,
    pub(crate) content: Content,
}

/// An update as far as it concerns the structure.
#[derive(Debug, Default)]
pub(crate) struct Outline<'a> {
    /// Of each client those in order, without a gap; each client once.
    pub(crate) operations: Vec<Operation<'a>>,
    pub(crate) deletes: Vec<Range>,
}

/// Reads an update.
pub(crate) fn outline(bytes: &[u8]) -> Result<Outline<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut outline = Outline::default();
    let mut seen: Vec<u64> = Vec::new();
    // A client takes four bytes at least: its counts, its id and one operation.
    for _ in 0..reader.count(4)? {
        // The shortest operation: info and a length.
        let operations = reader.count(2)?;
        let client = reader.number()?;
        let mut clock = reader.number_to(MAX_CLOCK)?;
        if operations == 0 {
            return reader.fail(What::Part);
        }
        seen.push(client);
        for _ in 0..operations {
            let operation = operation(&mut reader, Id { client, clock })?;
            clock = operation.range.end();
            outline.operations.push(operation);
        }
    }
    is_each_once(&mut seen, &reader)?;
    for _ in 0..reader.count(2)? {
        let client = reader.number()?;
        seen.push(client);
        let mut end = 0;
        for _ in 0..reader.count(2)? {
            let from = reader.number_to(MAX_CLOCK)?;
            let range = range(&mut reader, Id { client, clock: from })?;
            // Yjs writes them in order. In another one each of them would cost `yrs` a walk over all that is before it.
            if from < end {
                return reader.fail(What::Part);
            }
            end = range.end();
            outline.deletes.push(range);
        }
    }
    is_each_once(&mut seen, &reader)?;
    reader.end()?;
    Ok(outline)
}

/// That no client came twice; forgets them.
fn is_each_once(seen: &mut Vec<u64>, reader: &Reader<'_>) -> Result<(), Malformed> {
    seen.sort_unstable();
    let is_repeated = seen.windows(2).any(|pair| pair[0] == pair[1]);
    seen.clear();
    if is_repeated { reader.fail(What::Part) } else { Ok(()) }
}

const HAS_LEFT: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
const CONTENT: u8 = 0x1f;

fn operation<'a>(reader: &mut Reader<'a>, first: Id) -> Result<Operation<'a>, Malformed> {
    let info = reader.byte()?;
    if info == 0 {
        let range = range(reader, first)?;
        return Ok(Operation { range, place: Where::Gone, content: Content::Deleted });
    }
    let left = if info & HAS_LEFT == 0 { None } else { Some(id(reader)?) };
    let right = if info & HAS_RIGHT == 0 { None } else { Some(id(reader)?) };
    let place = if left.is_some() || right.is_some() {
        Where::Beside { left, right }
    } else {
        let parent = match reader.number()? {
            1 => Parent::Root(name(reader)?),
            0 => Parent::Type(id(reader)?),
            _ => return reader.fail(What::Kind),
        };
        let key = if info & HAS_KEY == 0 { None } else { Some(name(reader)?) };
        Where::In(parent, key)
    };
    let (content, length) = content(reader, info & CONTENT)?;
    let range = ranged(reader, first, length)?;
    Ok(Operation { range, place, content })
}

fn content(reader: &mut Reader<'_>, kind: u8) -> Result<(Content, usize), Malformed> {
    match kind {
        1 => Ok((Content::Deleted, reader.number_to(MAX_CLOCK)? as usize)),
        3 => reader.buffer().map(|_| (Content::Values, 1)),
        // Positions in a text count as JavaScript counts.
        4 => reader.string().map(|text| (Content::Text, text.encode_utf16().count())),
        7 => match reader.byte()? {
            1 => Ok((Content::Map, 1)),
            2 => Ok((Content::TextType, 1)),
            _ => reader.fail(What::Kind),
        },
        8 => {
            let values = reader.count(1)?;
            for _ in 0..values {
                reader.value()?;
            }
            Ok((Content::Values, values))
        }
        _ => reader.fail(What::Kind),
    }
}

fn id(reader: &mut Reader<'_>) -> Result<Id, Malformed> {
    Ok(Id { client: reader.number()?, clock: reader.number_to(MAX_CLOCK)? })
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let name = reader.string()?;
    if name.len() > MAX_KEY { reader.fail(What::Name) } else { Ok(name) }
}

fn range(reader: &mut Reader<'_>, first: Id) -> Result<Range, Malformed> {
    let length = reader.number_to(MAX_CLOCK)?;
    ranged(reader, first, length as usize)
}

/// `length` operations from `first` on: some, and not too many.
fn ranged(reader: &Reader<'_>, first: Id, length: usize) -> Result<Range, Malformed> {
    let Id { client, clock: from } = first;
    match u32::try_from(length) {
        Ok(0) => reader.fail(What::Part),
        Ok(length) if length <= MAX_CLOCK - from => Ok(Range { client, from, length }),
        _ => reader.fail(What::Number),
    }
}
