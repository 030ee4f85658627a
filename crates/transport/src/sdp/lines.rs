//! A description as lines. The only file that names `rtc-sdp`.

use std::io::Cursor;

use rtc_sdp::SessionDescription;
use rtc_sdp::description::common::Attribute;

use super::types::Direction;
use super::{MAX_ATTRIBUTES, MAX_MEDIA, MAX_PAYLOAD_TYPES, MAX_SDP_LEN, SdpError};

/// The lines that may stand in a description and say nothing to WebRTC: information, URI, email, phone, connection,
/// bandwidth, key, repetition, time zone. RFC 8866 allows them more freely than the parser does (several `e=`, for
/// one), so they are left out before it reads the rest.
const SKIPPED_LINES: &[u8] = b"iuepcbkrz";

/// A description: what holds for the session, and its m-lines. Attribute lines and m-lines are within their limits.
pub(super) struct Lines {
    pub(super) session: Attributes,
    pub(super) media: Vec<MediaLines>,
}

/// One m-line and its attributes.
pub(super) struct MediaLines {
    /// `audio`, `video`, ...
    pub(super) media: String,
    pub(super) port: u16,
    /// `UDP/TLS/RTP/SAVPF` and the like.
    pub(super) protocol: String,
    pub(super) formats: Vec<String>,
    pub(super) attributes: Attributes,
}

impl Lines {
    pub(super) fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP_LEN {
            return Err(SdpError::TooLong(text.len()));
        }
        if text.trim().is_empty() {
            return Err(SdpError::Syntax("the text is empty".into()));
        }
        let read = without_skipped_lines(text);
        let parsed = SessionDescription::unmarshal(&mut Cursor::new(read.as_bytes()))
            .map_err(|error| SdpError::Syntax(in_words(&error.to_string())))?;
        if parsed.media_descriptions.is_empty() {
            return Err(SdpError::NoMedia);
        }
        limit("media sections", MAX_MEDIA, parsed.media_descriptions.len())?;
        let session = Attributes::new(parsed.attributes)?;
        let mut media = Vec::with_capacity(parsed.media_descriptions.len());
        for description in parsed.media_descriptions {
            let name = description.media_name;
            limit("payload types", MAX_PAYLOAD_TYPES, name.formats.len())?;
            media.push(MediaLines {
                media: name.media,
                port: u16::try_from(name.port.value).unwrap_or_default(),
                protocol: name.protos.join("/"),
                formats: name.formats,
                attributes: Attributes::new(description.attributes)?,
            });
        }
        Ok(Self { session, media })
    }
}

/// Leaves out [`SKIPPED_LINES`]. What is no line of a description stays, so that the parser refuses it.
fn without_skipped_lines(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    for line in text.lines() {
        let skipped = match line.trim_start().as_bytes() {
            [kind, b'=', ..] => SKIPPED_LINES.contains(kind),
            _ => false,
        };
        if !skipped {
            read.push_str(line);
            read.push_str("\r\n");
        }
    }
    read
}

/// The parser names its error and the piece of the input that it stumbled over: one short printable line of it goes
/// back to the client.
fn in_words(error: &str) -> String {
    let piece = error.split_once(':').map_or(error, |(_, piece)| piece);
    let piece: String = piece.trim().chars().filter(|c| !c.is_control()).take(120).collect();
    if piece.is_empty() {
        "it ends too early".to_owned()
    } else {
        format!("`{piece}` was not expected there")
    }
}

/// Refuses more than `limit` of something.
pub(super) fn limit(what: &'static str, limit: usize, found: usize) -> Result<(), SdpError> {
    if found > limit { Err(SdpError::TooMany { what, limit }) } else { Ok(()) }
}

/// The attributes of the session or of one m-line, at most [`MAX_ATTRIBUTES`]. Names are compared without regard to
/// case, values come without white space around them.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<Attribute>);

impl Attributes {
    fn new(attributes: Vec<Attribute>) -> Result<Self, SdpError> {
        limit("attributes", MAX_ATTRIBUTES, attributes.len())?;
        Ok(Self(attributes))
    }

    /// The values of every line of this name.
    pub(super) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |attribute| is_name(attribute, key));
        named.filter_map(|attribute| attribute.value.as_deref()).map(str::trim)
    }

    /// The value of the first line of this name.
    pub(super) fn value<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.values(key).next()
    }

    /// Whether there is a line of this name, with or without a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|attribute| is_name(attribute, key))
    }

    /// The last direction attribute, as browsers read it.
    pub(super) fn direction(&self) -> Option<Direction> {
        self.0.iter().rev().find_map(|attribute| Direction::parse(attribute.key.trim()))
    }
}

fn is_name(attribute: &Attribute, name: &str) -> bool {
    attribute.key.trim().eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_say_nothing_to_webrtc_may_stand_anywhere_and_repeat() {
        let text = "v=0\no=- 1 1 IN IP6 ::1\ns= \ni=a title\nu=not a link\ne=a@example.org\ne=b@example.org\n\
                    p=+1\np=+2\nc=IN IP4 host.example\nb=X-other:1\nb=AS:500\nt=0 0\nr=7d 1h 0 25h\nz=0 0\nk=prompt\n\
                    a=sendrecv\nm=audio 9/2 UDP/TLS/RTP/SAVPF 111\na=mid:0\ni=late\nc=IN IP4 192.0.2.1\n\
                    c=IN IP4 192.0.2.2/127/3\nb=TIAS:1\nk=clear:x\na=Recvonly\n";
        let lines = Lines::parse(text).unwrap();
        assert_eq!(lines.session.direction(), Some(Direction::SendRecv));
        let [media] = &lines.media[..] else { panic!("one m-line") };
        assert_eq!((media.media.as_str(), media.port, media.formats.len()), ("audio", 9, 1));
        assert_eq!(media.attributes.value("MID"), Some("0"));
        assert_eq!(media.attributes.direction(), Some(Direction::RecvOnly));
    }

    #[test]
    fn other_letters_are_no_lines_of_a_description() {
        let good = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
        assert!(Lines::parse(good).is_ok());
        for bad in ["x=1\r\n", "hello\r\n", "aa=1\r\n"] {
            assert!(matches!(Lines::parse(&format!("{good}{bad}")), Err(SdpError::Syntax(_))), "{bad}");
        }
    }
}
