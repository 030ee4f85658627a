//! Open transactions of one connection: what was sent in them waits for COMMIT.

use std::collections::HashMap;

use bytes::Bytes;

use crate::ending::Refused;
use crate::frame::Headers;

/// Open transactions of a connection; one more is an ERROR.
pub(crate) const MAX_TRANSACTIONS: usize = 16;
/// Frames that wait in all of them together; one more is an ERROR.
pub(crate) const MAX_OPERATIONS: usize = 256;
/// Bytes of bodies and headers that wait in all of them together; more is an ERROR. It takes no right to make them
/// wait, so they are no more than a frame or two.
pub(crate) const MAX_BYTES: usize = 128 * 1024;

/// A message that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub destination: String,
    /// The headers that go with it to its readers: the content type and those that STOMP does not define.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Send(Outgoing),
    /// ACK or NACK of a message number.
    Acknowledge(u64),
}

impl Operation {
    fn bytes(&self) -> usize {
        match self {
            Self::Send(message) => {
                let headers: usize =
                    message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
                message.body.len() + message.destination.len() + headers
            }
            Self::Acknowledge(_) => 0,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: HashMap<String, Vec<Operation>>,
    operations: usize,
    bytes: usize,
}

impl Transactions {
    pub(crate) fn begin(&mut self, id: &str) -> Result<(), Refused> {
        if self.open.contains_key(id) {
            return Err(Refused::protocol(format!("the transaction {id:?} is open already")));
        }
        if self.open.len() >= MAX_TRANSACTIONS {
            return Err(Refused::policy(format!("at most {MAX_TRANSACTIONS} open transactions")));
        }
        self.open.insert(id.to_owned(), Vec::new());
        Ok(())
    }

    pub(crate) fn add(&mut self, id: &str, operation: Operation) -> Result<(), Refused> {
        let Some(operations) = self.open.get_mut(id) else { return Err(unknown(id)) };
        let bytes = self.bytes.saturating_add(operation.bytes());
        if self.operations >= MAX_OPERATIONS || bytes > MAX_BYTES {
            return Err(Refused::policy("the open transactions hold too much"));
        }
        self.operations += 1;
        self.bytes = bytes;
        operations.push(operation);
        Ok(())
    }

    /// Closes `id` and gives back what it held.
    pub(crate) fn end(&mut self, id: &str) -> Result<Vec<Operation>, Refused> {
        let operations = self.open.remove(id).ok_or_else(|| unknown(id))?;
        self.operations = self.operations.saturating_sub(operations.len());
        self.bytes = self.bytes.saturating_sub(operations.iter().map(Operation::bytes).sum());
        Ok(operations)
    }
}

fn unknown(id: &str) -> Refused {
    Refused::protocol(format!("there is no open transaction {id:?}"))
}
