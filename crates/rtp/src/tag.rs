//! The tags of SDP that packets carry in header extensions.

use std::fmt;
use std::str::FromStr;

/// A tag that is empty, or longer than a one-byte header extension carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mid or rid has 1 to 16 bytes")]
pub struct TagError;

macro_rules! tag {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            bytes: [u8; 16],
            len: u8,
        }

        impl $name {
            /// The tag with these bytes.
            ///
            /// # Errors
            /// [`TagError`] unless there are 1 to 16 of them.
            pub fn new(tag: &[u8]) -> Result<Self, TagError> {
                let mut bytes = [0; 16];
                let place = bytes.get_mut(..tag.len()).filter(|place| !place.is_empty()).ok_or(TagError)?;
                place.copy_from_slice(tag);
                Ok(Self { bytes, len: tag.len() as u8 })
            }

            /// Its bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.bytes.get(..usize::from(self.len)).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = TagError;

            fn from_str(text: &str) -> Result<Self, TagError> {
                Self::new(text.as_bytes())
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
    /// Identification of a media section (RFC 5888, RFC 9143).
    Mid
);
tag!(
    /// Identification of an encoding of a track (RFC 8851, RFC 8852).
    Rid
);
