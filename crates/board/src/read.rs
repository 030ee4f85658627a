//! Numbers, strings and values as Yjs writes them (the encoding of `lib0`), read without recursion and without
//! believing a length.

use crate::MAX_DEPTH;

/// Why bytes are no update. The position is where it was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub what: What,
    /// Offset into the update.
    pub at: usize,
}

/// What is wrong with bytes that are no update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// It ends in the middle of something.
    #[error("the update ends too early")]
    Short,
    /// It goes on after its end.
    #[error("bytes after the end")]
    Trailing,
    /// A number of more than 53 bits, or beyond the limit of its kind.
    #[error("a number that is too large")]
    Number,
    /// A length or a count for which there are not enough bytes.
    #[error("a length that cannot be true")]
    Length,
    /// A string that is no UTF-8.
    #[error("a string that is no UTF-8")]
    Utf8,
    /// Values or shared types too deep inside of each other.
    #[error("too many things inside of each other")]
    Depth,
    /// A kind of value, content or shared type that a board has no use for.
    #[error("something that no board holds")]
    Kind,
    /// A run without operations, a client twice, operations out of order.
    #[error("an empty or repeated part")]
    Part,
    /// A key or a root's name that is too long.
    #[error("a name that is too long")]
    Name,
}

/// Reads on from a place in an update.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Numbers are of 53 bits: JavaScript has no greater ones.
const MAX_NUMBER: u64 = (1 << 53) - 1;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn fail<T>(&self, what: What) -> Result<T, Malformed> {
        Err(Malformed { what, at: self.at })
    }

    /// That nothing comes after this.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { self.fail(What::Trailing) }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let Some(&byte) = self.bytes.get(self.at) else { return self.fail(What::Short) };
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        if length > self.left() {
            return self.fail(What::Length);
        }
        let (taken, _) = self.bytes[self.at..].split_at(length);
        self.at += length;
        Ok(taken)
    }

    /// Seven bits a byte, the lowest first.
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if number <= MAX_NUMBER { Ok(number) } else { self.fail(What::Number) };
            }
        }
        self.fail(What::Number)
    }

    /// A number that is at most `most`.
    pub(crate) fn number_to(&mut self, most: u32) -> Result<u32, Malformed> {
        let number = self.number()?;
        match u32::try_from(number) {
            Ok(small) if small <= most => Ok(small),
            _ => self.fail(What::Number),
        }
    }

    /// How many things follow, each of which takes at least `each` bytes.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, Malformed> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() / each => Ok(count),
            _ => self.fail(What::Length),
        }
    }

    /// A signed number: its first byte has six bits and the sign.
    fn signed(&mut self) -> Result<(), Malformed> {
        let mut byte = self.byte()?;
        // 6 bits, then 7 in each further byte: 9 bytes have 62.
        for _ in 0..8 {
            if byte < 0x80 {
                return Ok(());
            }
            byte = self.byte()?;
        }
        if byte < 0x80 { Ok(()) } else { self.fail(What::Number) }
    }

    pub(crate) fn buffer(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count(1)?;
        self.take(length)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.buffer()?;
        match std::str::from_utf8(bytes) {
            Ok(string) => Ok(string),
            Err(_) => self.fail(What::Utf8),
        }
    }

    /// Passes over one value: null, numbers, strings, buffers, lists and maps of values.
    pub(crate) fn value(&mut self) -> Result<(), Malformed> {
        /// What is still to come on one level, and whether keys are before the values.
        #[derive(Clone, Copy)]
        struct Level {
            left: usize,
            is_map: bool,
        }
        let mut levels = [Level { left: 0, is_map: false }; MAX_DEPTH as usize];
        let mut depth = 0;
        loop {
            let opened = match self.byte()? {
                127 | 126 | 121 | 120 => None,
                125 => self.signed().map(|()| None)?,
                124 => self.take(4).map(|_| None)?,
                123 | 122 => self.take(8).map(|_| None)?,
                119 => self.string().map(|_| None)?,
                116 => self.buffer().map(|_| None)?,
                118 => Some(Level { left: self.count(2)?, is_map: true }),
                117 => Some(Level { left: self.count(1)?, is_map: false }),
                _ => return self.fail(What::Kind),
            };
            if let Some(level) = opened {
                let Some(place) = levels.get_mut(depth) else { return self.fail(What::Depth) };
                *place = level;
                depth += 1;
            }
            // Up to where something is still to come.
            loop {
                let Some(level) = depth.checked_sub(1).and_then(|top| levels.get_mut(top)) else {
                    return Ok(());
                };
                if level.left > 0 {
                    level.left -= 1;
                    if level.is_map {
                        self.string()?;
                    }
                    break;
                }
                depth -= 1;
            }
        }
    }
}
