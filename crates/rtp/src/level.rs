//! The audio level of a packet, as its sender measured it (RFC 6464, section 3).
//!
//! ```text
//! | V, 1 bit | level, 7 bits |
//! ```

/// The value of the header extension [`crate::Extension::AudioLevel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender takes the sound for voice. Some senders set it in every packet.
    pub voice: bool,
    /// Decibels below the loudest that there is (-dBov): 0 is the loudest, 127 is silence.
    pub level: u8,
}

impl AudioLevel {
    /// Reads the value of the extension; `None` if it is empty.
    #[must_use]
    #[inline]
    pub fn read(value: &[u8]) -> Option<Self> {
        value.first().map(|byte| Self { voice: byte & 0x80 != 0, level: byte & 0x7f })
    }

    /// The value of the extension. A level above 127 is written as 127.
    #[must_use]
    #[inline]
    pub fn to_byte(self) -> u8 {
        (u8::from(self.voice) << 7) | self.level.min(127)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_level_and_comes_back() {
        for byte in 0..=u8::MAX {
            let level = AudioLevel::read(&[byte, 0xff]).expect("one byte is enough");
            assert_eq!((level.to_byte(), level.voice, level.level), (byte, byte >= 128, byte % 128));
        }
        assert_eq!(AudioLevel::read(&[]), None);
        assert_eq!(AudioLevel { voice: true, level: 200 }.to_byte(), 0xff);
    }
}
