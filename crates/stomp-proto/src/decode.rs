//! The incremental decoder: bytes in pieces of any size in, frames out.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::{Command, Frame, Headers, Version};

/// Longest command that is waited for, in bytes; the longest real one has 11.
const MAX_COMMAND_LEN: usize = 64;

/// What a decoder takes at most; a frame beyond is a [`DecodeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Header lines of a frame.
    pub headers: usize,
    /// Bytes of a header line, line end not counted.
    pub header_line: usize,
    /// Bytes of all header lines of a frame together.
    pub head: usize,
}

impl Limits {
    /// For anybody: 64 KiB of body, 32 headers of 8 KiB, 16 KiB of them in all.
    pub const CLIENT: Self = Self { body: 64 * 1024, headers: 32, header_line: 8 * 1024, head: 16 * 1024 };
    /// Before anybody has said who they are: the head of CONNECT, which has no body.
    pub const OPENING: Self = Self { body: 1024, ..Self::CLIENT };
    /// For connections of services: bodies of 4 MiB, since a node names all its viewers in one.
    pub const SERVICE: Self = Self { body: 4 * 1024 * 1024, ..Self::CLIENT };
}

/// What the decoder found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A whole frame.
    Frame(Frame),
    /// Line ends between frames: as many as are there.
    HeartBeat,
}

/// Why bytes are not STOMP. Final: the stream has no point to resume at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first line of a frame is no command.
    #[error("unknown command {0:?}")]
    UnknownCommand(String),
    /// A header line without a colon, without a name, or with a bare CR.
    #[error("malformed header line in {0}")]
    MalformedHeader(Command),
    /// An escape that the version does not define.
    #[error("undefined escape sequence in a header of {0}")]
    UndefinedEscape(Command),
    /// A header that is not UTF-8.
    #[error("a header of {0} is not UTF-8")]
    HeaderNotUtf8(Command),
    /// A NUL before the blank line that ends the headers.
    #[error("NUL before the end of the headers")]
    NulInHead,
    /// More header lines than the limit.
    #[error("more than {0} headers")]
    TooManyHeaders(usize),
    /// A header line longer than the limit.
    #[error("a header line of more than {0} bytes")]
    HeaderTooLong(usize),
    /// Header lines that are too long together.
    #[error("headers of more than {0} bytes")]
    HeadTooLong(usize),
    /// A `content-length` that is no number.
    #[error("content-length is not a number")]
    BadContentLength,
    /// A body longer than the limit.
    #[error("a body of more than {0} bytes")]
    BodyTooLarge(usize),
    /// A body on a frame that may have none.
    #[error("{0} must not have a body")]
    UnexpectedBody(Command),
    /// No NUL after the `content-length` bytes of a body.
    #[error("the body is not followed by NUL: content-length is wrong")]
    MissingNul,
}

/// Cuts a byte stream into frames and heart-beats. How the bytes were split into pieces makes no difference.
///
/// It buffers one unfinished frame, at most as long as [`Limits`] says, plus what was fed and not taken:
/// drain [`Decoder::next_item`] after each [`Decoder::feed`].
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Option<Version>,
    buf: BytesMut,
    /// Bytes of `buf` that were searched for an end already.
    scanned: usize,
    state: State,
    failed: Option<DecodeError>,
}

#[derive(Debug)]
enum State {
    Between,
    /// `bytes`: of the header lines so far.
    Head {
        command: Command,
        headers: Headers,
        bytes: usize,
    },
    Body {
        command: Command,
        headers: Headers,
        length: Option<usize>,
    },
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, version: None, buf: BytesMut::new(), scanned: 0, state: State::Between, failed: None }
    }

    /// From the next frame on, escapes and line ends are those of `version`; 1.2 until then.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Sets other limits, from the next check on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buf.extend_from_slice(bytes);
        }
    }

    /// Whether a frame has begun whose end has not been found.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.buf.is_empty() || !matches!(self.state, State::Between)
    }

    /// The next frame or heart-beat, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`DecodeError`], and the same one again on every later call.
    pub fn next_item(&mut self) -> Result<Option<Item>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.advance().inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buf = BytesMut::new();
        })
    }

    fn advance(&mut self) -> Result<Option<Item>, DecodeError> {
        loop {
            let step = match std::mem::replace(&mut self.state, State::Between) {
                State::Between => self.between()?,
                State::Head { command, headers, bytes } => self.head(command, headers, bytes)?,
                State::Body { command, headers, length } => self.body(command, headers, length)?,
            };
            match step {
                Step::Done(item) => return Ok(Some(item)),
                Step::Go(state) => self.state = state,
                Step::Wait(state) => {
                    self.state = state;
                    return Ok(None);
                }
            }
        }
    }

    fn between(&mut self) -> Result<Step, DecodeError> {
        // All at once: a flood of them is to cost no more than other bytes.
        let beats = line_ends(&self.buf);
        if beats > 0 {
            self.buf.advance(beats);
            return Ok(Step::Done(Item::HeartBeat));
        }
        if matches!(&self.buf[..], [] | [b'\r']) {
            return Ok(Step::Wait(State::Between));
        }
        let too_long = |line: &[u8]| {
            let shown = line.get(..32).unwrap_or(line);
            DecodeError::UnknownCommand(String::from_utf8_lossy(shown).into_owned())
        };
        let Some(line) = self.line(MAX_COMMAND_LEN, too_long)? else { return Ok(Step::Wait(State::Between)) };
        let command = Command::parse(&line).ok_or_else(|| too_long(&line))?;
        Ok(Step::Go(State::Head { command, headers: Headers::default(), bytes: 0 }))
    }

    fn head(&mut self, command: Command, mut headers: Headers, bytes: usize) -> Result<Step, DecodeError> {
        let limits = self.limits;
        let Some(line) = self.line(limits.header_line, |_| DecodeError::HeaderTooLong(limits.header_line))?
        else {
            return Ok(Step::Wait(State::Head { command, headers, bytes }));
        };
        if !line.is_empty() {
            if headers.len() >= limits.headers {
                return Err(DecodeError::TooManyHeaders(limits.headers));
            }
            let bytes = bytes.saturating_add(line.len());
            if bytes > limits.head {
                return Err(DecodeError::HeadTooLong(limits.head));
            }
            let (name, value) = self.header(command, &line)?;
            headers.push(name, value);
            return Ok(Step::Go(State::Head { command, headers, bytes }));
        }
        let length = match headers.get("content-length") {
            None => None,
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                // A number that does not fit is too large in any case.
                Some(text.parse::<usize>().unwrap_or(usize::MAX))
            }
            Some(_) => return Err(DecodeError::BadContentLength),
        };
        if length.is_some_and(|length| length > limits.body) {
            return Err(DecodeError::BodyTooLarge(limits.body));
        }
        if length.is_some_and(|length| length > 0) && !command.has_body() {
            return Err(DecodeError::UnexpectedBody(command));
        }
        Ok(Step::Go(State::Body { command, headers, length }))
    }

    fn body(
        &mut self,
        command: Command,
        headers: Headers,
        length: Option<usize>,
    ) -> Result<Step, DecodeError> {
        let end = match length {
            Some(length) => match self.buf.get(length) {
                Some(0) => Some(length),
                Some(_) if !command.has_body() => return Err(DecodeError::UnexpectedBody(command)),
                Some(_) => return Err(DecodeError::MissingNul),
                None => None,
            },
            None => {
                let end = self.find(|byte| byte == 0);
                if end.unwrap_or(self.buf.len()) > 0 && !command.has_body() {
                    return Err(DecodeError::UnexpectedBody(command));
                }
                if end.unwrap_or(self.buf.len()) > self.limits.body {
                    return Err(DecodeError::BodyTooLarge(self.limits.body));
                }
                end
            }
        };
        let Some(end) = end else { return Ok(Step::Wait(State::Body { command, headers, length })) };
        // A copy of its own: a slice would keep the whole receive buffer alive for as long as the message lives.
        let body = Bytes::copy_from_slice(self.buf.get(..end).unwrap_or_default());
        self.take(end);
        Ok(Step::Done(Item::Frame(Frame { command, headers, body })))
    }

    /// The next line without its end, or `None` until it is complete.
    fn line(
        &mut self,
        max: usize,
        too_long: impl Fn(&[u8]) -> DecodeError,
    ) -> Result<Option<BytesMut>, DecodeError> {
        let Some(end) = self.find(|byte| byte == b'\n' || byte == 0) else {
            // One more byte may be the CR of the line's end.
            return if self.buf.len() > max + 1 { Err(too_long(&self.buf)) } else { Ok(None) };
        };
        let nul = self.buf.get(end) == Some(&0);
        let mut line = self.take(end);
        if line.last() == Some(&b'\r') && self.version.is_none_or(|version| version == Version::V1_2) {
            line.truncate(line.len() - 1);
        }
        if line.len() > max {
            return Err(too_long(&line));
        }
        if nul { Err(DecodeError::NulInHead) } else { Ok(Some(line)) }
    }

    /// The index of the first byte that `is_end`, remembering what was searched in vain.
    fn find(&mut self, is_end: impl Fn(u8) -> bool) -> Option<usize> {
        let fresh = self.buf.get(self.scanned..).unwrap_or_default();
        let found = fresh.iter().position(|byte| is_end(*byte)).map(|at| self.scanned + at);
        self.scanned = if found.is_some() { 0 } else { self.buf.len() };
        found
    }

    /// Takes `end` bytes and drops the end byte behind them.
    fn take(&mut self, end: usize) -> BytesMut {
        let taken = self.buf.split_to(end);
        self.buf.advance(1);
        self.scanned = 0;
        taken
    }

    fn header(&self, command: Command, line: &[u8]) -> Result<(String, String), DecodeError> {
        let version = self.version.unwrap_or(Version::V1_2);
        let text = std::str::from_utf8(line).map_err(|_| DecodeError::HeaderNotUtf8(command))?;
        let (name, value) = text.split_once(':').ok_or(DecodeError::MalformedHeader(command))?;
        let bare_cr = version == Version::V1_2 && text.contains('\r');
        if name.is_empty() || bare_cr {
            return Err(DecodeError::MalformedHeader(command));
        }
        if version == Version::V1_0 {
            // 1.0 says nothing of white space around values, and its own examples have it.
            return Ok((name.trim().to_owned(), value.trim().to_owned()));
        }
        if !command.is_escaped() {
            return Ok((name.to_owned(), value.to_owned()));
        }
        let unescape = |text| unescape(text, version).ok_or(DecodeError::UndefinedEscape(command));
        Ok((unescape(name)?, unescape(value)?))
    }
}

/// How many bytes of line ends `bytes` begin with.
fn line_ends(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] = rest {
        rest = after;
    }
    bytes.len() - rest.len()
}

enum Step {
    Done(Item),
    Go(State),
    Wait(State),
}

fn unescape(text: &str, version: Version) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            'c' => ':',
            '\\' => '\\',
            'r' if version == Version::V1_2 => '\r',
            _ => return None,
        });
    }
    Some(out)
}
