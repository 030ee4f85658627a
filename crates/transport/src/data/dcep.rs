//! The Data Channel Establishment Protocol (RFC 8832): OPEN and ACK.
//!
//! ```text
//! OPEN  0x03 | channel type | priority (2) | reliability (4) | label len (2) | protocol len (2) | label | protocol
//! ACK   0x02
//! ```

use super::{ChannelConfig, MAX_LABEL_LEN, Reliability};

const OPEN: u8 = 0x03;
const ACK: u8 = 0x02;
/// The bit of the channel type that says "unordered"; the rest is the reliability.
const UNORDERED: u8 = 0x80;
const OPEN_LEN: usize = 12;

/// A message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Open(ChannelConfig),
    Ack,
}

impl Message {
    /// `None` for what is no message, a channel type that is unknown, text that is not UTF-8 and names beyond
    /// [`MAX_LABEL_LEN`]: the channel is not opened then.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&ACK, _) => Some(Self::Ack),
            (&OPEN, _) => parse_open(bytes).map(Self::Open),
            _ => None,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Self::Open(config) = self else { return vec![ACK] };
        let (kind, value) = match config.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::MaxRetransmits(count) => (1, u32::from(count)),
            Reliability::MaxLifetimeMs(time) => (2, u32::from(time)),
        };
        let len = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = vec![OPEN, kind | if config.ordered { 0 } else { UNORDERED }, 0, 0];
        bytes.extend(value.to_be_bytes());
        bytes.extend(len(&config.label));
        bytes.extend(len(&config.protocol));
        bytes.extend(config.label.as_bytes());
        bytes.extend(config.protocol.as_bytes());
        bytes
    }
}

fn parse_open(bytes: &[u8]) -> Option<ChannelConfig> {
    let (head, names) = bytes.split_first_chunk::<OPEN_LEN>()?;
    let [_, kind, _, _, r0, r1, r2, r3, l0, l1, p0, p1] = *head;
    let value = u32::from_be_bytes([r0, r1, r2, r3]);
    let small = u16::try_from(value).unwrap_or(u16::MAX);
    let reliability = match kind & !UNORDERED {
        0 => Reliability::Reliable,
        1 => Reliability::MaxRetransmits(small),
        2 => Reliability::MaxLifetimeMs(small),
        _ => return None,
    };
    let (label_len, protocol_len) = (u16::from_be_bytes([l0, l1]), u16::from_be_bytes([p0, p1]));
    let (label, rest) = names.split_at_checked(usize::from(label_len))?;
    let protocol = rest.get(..usize::from(protocol_len))?;
    let text = |bytes: &[u8]| {
        let short = bytes.len() <= MAX_LABEL_LEN;
        short.then(|| std::str::from_utf8(bytes).ok().map(str::to_owned)).flatten()
    };
    let (label, protocol) = (text(label)?, text(protocol)?);
    Some(ChannelConfig { label, protocol, ordered: kind & UNORDERED == 0, reliability })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reliability() -> impl Strategy<Value = Reliability> {
        prop_oneof![
            Just(Reliability::Reliable),
            any::<u16>().prop_map(Reliability::MaxRetransmits),
            any::<u16>().prop_map(Reliability::MaxLifetimeMs),
        ]
    }

    #[test]
    fn the_message_of_a_browser() {
        // Chromium: createDataChannel("chat", {ordered: false, maxRetransmits: 3}).
        let bytes = [3, 0x81, 1, 0, 0, 0, 0, 3, 0, 4, 0, 0, b'c', b'h', b'a', b't'];
        let expected = ChannelConfig {
            label: "chat".into(),
            protocol: String::new(),
            ordered: false,
            reliability: Reliability::MaxRetransmits(3),
        };
        assert_eq!(Message::parse(&bytes), Some(Message::Open(expected)));
        assert_eq!(Message::parse(&[2]), Some(Message::Ack));
        for cut in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..cut]), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            label in "[a-z\u{e4}]{0,60}",
            protocol in "[a-z.]{0,20}",
            ordered: bool,
            reliability in reliability(),
        ) {
            let message = Message::Open(ChannelConfig { label, protocol, ordered, reliability });
            prop_assert_eq!(Message::parse(&message.to_bytes()), Some(message));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::parse(&bytes);
        }
    }
}
