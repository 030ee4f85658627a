//! The tags of SDP that packets carry in header extensions.

use std::fmt;
use std::str::FromStr;

/// A tag that is empty, longer than a one-byte header extension carries, or of other characters than SDP allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {name} has 1 to 16 bytes of its alphabet")]
pub struct TagError {
    /// Which tag: `mid` or `rid`.
    pub name: &'static str,
}

macro_rules! tag {
    ($(#[$doc:meta])* $name:ident, $word:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            bytes: [u8; 16],
            len: u8,
        }

        impl $name {
            /// The tag with these bytes, as a packet carries it. Whatever SDP does not allow is the tag of nothing.
            ///
            /// # Errors
            /// [`TagError`] unless there are 1 to 16 of them.
            pub fn new(tag: &[u8]) -> Result<Self, TagError> {
                let mut bytes = [0; 16];
                let place = bytes.get_mut(..tag.len()).filter(|place| !place.is_empty());
                let place = place.ok_or(TagError { name: $word })?;
                place.copy_from_slice(tag);
                Ok(Self { bytes, len: tag.len() as u8 })
            }

            /// Whether SDP allows this byte in it.
            #[must_use]
            pub fn allows(byte: u8) -> bool {
                let allowed: fn(u8) -> bool = $allowed;
                allowed(byte)
            }

            /// Its bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.bytes.get(..usize::from(self.len)).unwrap_or_default()
            }

            /// Its text; empty if a packet made it of bytes that are no text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = TagError;

            /// The tag as SDP writes it.
            fn from_str(text: &str) -> Result<Self, TagError> {
                if text.bytes().all(Self::allows) { Self::new(text.as_bytes()) } else { Err(TagError { name: $word }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&String::from_utf8_lossy(self.as_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

tag!(
    /// Identification of a media section (RFC 5888, RFC 9143): a `token` of RFC 8866, 1 to 16 bytes.
    Mid, "mid", |byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&byte)
);
tag!(
    /// Identification of an encoding of a track (RFC 8851 with the alphabet of RFC 8852), 1 to 16 bytes.
    Rid, "rid", |byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdp_writes_tags_of_an_alphabet() {
        for good in ["0", "video", "a+b", "0123456789abcdef"] {
            assert_eq!(good.parse::<Mid>().map(|mid| mid.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a;b", "a\r", "ä", "0123456789abcdefg"] {
            assert_eq!(bad.parse::<Mid>(), Err(TagError { name: "mid" }), "{bad:?}");
        }
        assert!("hi-q_1".parse::<Rid>().is_ok() && "a+b".parse::<Rid>().is_err());
    }

    #[test]
    fn a_packet_may_carry_anything() {
        assert_eq!(Mid::new(&[0xff, 0x00]).map(|mid| mid.as_str().to_owned()), Ok(String::new()));
        assert_eq!(Rid::new(b"f").map(|rid| rid.as_str().to_owned()), Ok("f".to_owned()));
        assert_eq!(Mid::new(b"v"), "v".parse());
        assert!(Mid::new(b"").is_err() && Mid::new(&[b'a'; 17]).is_err());
    }
}
