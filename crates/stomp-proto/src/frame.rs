//! Frames, headers, versions, and their encoding.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, no heart-beats.
    V1_0,
    /// STOMP 1.1: escapes of LF, colon and backslash.
    V1_1,
    /// STOMP 1.2: CRLF line ends and the escape of CR besides.
    V1_2,
}

impl Version {
    /// All versions, best first.
    pub const ALL: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// As in `accept-version` and `version` headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The best version of an `accept-version` list; a client that sends no list speaks 1.0.
    #[must_use]
    pub fn negotiate(accept_version: Option<&str>) -> Option<Self> {
        let Some(list) = accept_version else { return Some(Self::V1_0) };
        Self::ALL.into_iter().find(|version| list.split(',').any(|offer| offer.trim() == version.as_str()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The command of a frame, of client and server frames alike.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Command {
            $($(#[$doc])* $name,)*
        }

        impl Command {
            /// The first line of the frame.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The command with exactly this name: commands are case-sensitive.
            #[must_use]
            pub fn parse(text: &[u8]) -> Option<Self> {
                $(if text == $text.as_bytes() { return Some(Self::$name); })*
                None
            }
        }
    };
}

commands! {
    /// Client: opens the session.
    Connect = "CONNECT",
    /// Client: the same as CONNECT, told apart from HTTP by its name.
    Stomp = "STOMP",
    /// Server: the session is open.
    Connected = "CONNECTED",
    /// Client: a message to a destination.
    Send = "SEND",
    /// Client: wants a destination's messages.
    Subscribe = "SUBSCRIBE",
    /// Client: wants them no more.
    Unsubscribe = "UNSUBSCRIBE",
    /// Client: took messages.
    Ack = "ACK",
    /// Client: did not take messages.
    Nack = "NACK",
    /// Client: opens a transaction.
    Begin = "BEGIN",
    /// Client: does what the transaction holds.
    Commit = "COMMIT",
    /// Client: forgets what the transaction holds.
    Abort = "ABORT",
    /// Client: ends the session.
    Disconnect = "DISCONNECT",
    /// Server: a message of a subscription.
    Message = "MESSAGE",
    /// Server: the frame with this receipt has been handled.
    Receipt = "RECEIPT",
    /// Server: what went wrong; the connection closes.
    Error = "ERROR",
}

impl Command {
    /// Whether frames of this command may carry a body.
    #[must_use]
    pub fn has_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether headers of this command are escaped; those of the opening frames are not, because the version is
    /// not agreed yet.
    #[must_use]
    pub fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Headers in the order of the wire. Where a name repeats, the first entry counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first header called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Appends a header.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// All headers, repeated ones included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many headers there are, repeated ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A frame. `content-length` is written by [`Frame::encode`] and may be absent from `headers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub command: Command,
    /// Decoded (unescaped) headers.
    pub headers: Headers,
    /// The body, empty but for SEND, MESSAGE and ERROR.
    pub body: Bytes,
}

impl Frame {
    /// A frame without headers and body.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self { command, headers: Headers::default(), body: Bytes::new() }
    }

    /// The frame with one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The frame with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The frame as bytes, NUL included.
    #[must_use]
    pub fn encode(&self, version: Version) -> Bytes {
        let headers = self.headers.iter();
        encode_parts(self.command, headers, &self.body, version)
    }
}

/// Encodes a frame from borrowed parts. `content-length` is written from `body`; one among `headers` is left
/// out. What a version cannot express never breaks the framing: see [`put_header`].
pub(crate) fn encode_parts<'a>(
    command: Command,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
    version: Version,
) -> Bytes {
    let mut out = BytesMut::with_capacity(256 + body.len());
    out.put_slice(command.as_str().as_bytes());
    out.put_u8(b'\n');
    let escapes = if command.is_escaped() { version } else { Version::V1_0 };
    for (name, value) in headers.filter(|(name, _)| *name != "content-length") {
        put_header(&mut out, name, value, escapes);
    }
    if command.has_body() {
        put_header(&mut out, "content-length", &body.len().to_string(), escapes);
    }
    out.put_u8(b'\n');
    if command.has_body() {
        out.put_slice(body);
    }
    out.put_u8(0);
    out.freeze()
}

/// Writes one header line. Without escapes (1.0 and the opening frames) a header whose name holds a colon or a
/// line end is left out, and line ends and NULs in a value become spaces.
fn put_header(out: &mut BytesMut, name: &str, value: &str, version: Version) {
    if version == Version::V1_0 {
        if name.is_empty() || name.contains([':', '\r', '\n', '\0']) {
            return;
        }
        out.put_slice(name.as_bytes());
        out.put_u8(b':');
        out.extend(value.bytes().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { b }));
    } else {
        put_escaped(out, name, version);
        out.put_u8(b':');
        put_escaped(out, value, version);
    }
    out.put_u8(b'\n');
}

fn put_escaped(out: &mut BytesMut, text: &str, version: Version) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b':' => out.put_slice(b"\\c"),
            b'\r' if version == Version::V1_2 => out.put_slice(b"\\r"),
            // 1.1 has no escape of CR, and nothing has one of NUL; many decoders take either for an end.
            b'\r' | 0 => out.put_u8(b' '),
            other => out.put_u8(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_common_version_is_chosen() {
        assert_eq!(Version::negotiate(None), Some(Version::V1_0));
        assert_eq!(Version::negotiate(Some("1.0,1.1,1.2")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some("1.1, 1.0")), Some(Version::V1_1));
        assert_eq!(Version::negotiate(Some("2.0")), None);
        assert_eq!(Version::negotiate(Some("")), None);
    }

    #[test]
    fn headers_are_escaped_as_the_version_says() {
        let frame = Frame::new(Command::Send).header("a:b", "c\r\n\\").with_body("x");
        assert_eq!(&frame.encode(Version::V1_2)[..], b"SEND\na\\cb:c\\r\\n\\\\\ncontent-length:1\n\nx\0");
        assert_eq!(&frame.encode(Version::V1_1)[..], b"SEND\na\\cb:c \\n\\\\\ncontent-length:1\n\nx\0");
        assert_eq!(&frame.encode(Version::V1_0)[..], b"SEND\ncontent-length:1\n\nx\0");
    }

    #[test]
    fn opening_frames_are_not_escaped_and_cannot_be_broken() {
        let frame = Frame::new(Command::Connect).header("host", "a:b\\c").header("login", "x\ny:z\0");
        assert_eq!(&frame.encode(Version::V1_2)[..], b"CONNECT\nhost:a:b\\c\nlogin:x y:z \n\n\0");
    }

    #[test]
    fn the_first_of_repeated_headers_counts() {
        let headers: Headers = [("a", "1"), ("a", "2")].into_iter().collect();
        assert_eq!(headers.get("a"), Some("1"));
        assert_eq!(headers.get("b"), None);
    }
}
