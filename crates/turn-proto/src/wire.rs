//! The data path's messages, read and written where they lie: ChannelData, the Send indication and the Data
//! indication. No copy of a payload, no allocation. Control messages are in `message`.
//!
//! ```text
//! ChannelData             Send / Data indication
//!  0       2       4       0      2       4          8               20
//!  +-------+-------+---     +------+-------+----------+---------------+------------------
//!  |channel| length| data   | type | length| 2112A442 | transaction id| attributes (TLV)
//!  +-------+-------+---     +------+-------+----------+---------------+------------------
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use stun::message::{MAGIC_COOKIE, MESSAGE_HEADER_SIZE, TRANSACTION_ID_SIZE};

use crate::types::{Icmp, Transport};

/// Longest header before a payload for a client: a Data indication with an IPv6 address (20 + 4 + 20 + 4).
pub const MAX_HEADER: usize = 48;

/// Longest padding behind it.
pub const MAX_PADDING: usize = 3;

/// Channel numbers of RFC 8656, section 12.
pub const CHANNEL_NUMBERS: RangeInclusive<u16> = 0x4000..=0x4FFF;

/// Channel numbers of RFC 5766, section 11: what is read as ChannelData. Clients of that time, and coturn's
/// load tool today, take numbers from all of it.
pub const LEGACY_CHANNEL_NUMBERS: RangeInclusive<u16> = 0x4000..=0x7FFF;

const SEND_INDICATION: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;

const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const DONT_FRAGMENT: u16 = 0x001A;
const ICMP: u16 = 0x8004;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
const FIRST_OPTIONAL: u16 = 0x8000;

/// What the first bytes of a datagram from a client announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ChannelData with its payload.
    ChannelData { number: u16, payload: Range<usize> },
    /// A Send indication.
    Send,
    /// Another STUN message of plausible shape.
    Control,
    /// Neither: ignored.
    Noise,
}

pub(crate) fn classify(buf: &[u8]) -> Kind {
    let (Some(first), Some(second)) = (u16_at(buf, 0), u16_at(buf, 2)) else { return Kind::Noise };
    let length = usize::from(second);
    if LEGACY_CHANNEL_NUMBERS.contains(&first) {
        let end = 4 + length;
        // Over UDP the padding is optional, and anything else behind the data is ignored (section 12.5).
        return if end <= buf.len() {
            Kind::ChannelData { number: first, payload: 4..end }
        } else {
            Kind::Noise
        };
    }
    let shape = first >> 14 == 0
        && length.is_multiple_of(4)
        && buf.len() == MESSAGE_HEADER_SIZE + length
        && u32_at(buf, 4) == Some(MAGIC_COOKIE);
    match (shape, first) {
        (false, _) => Kind::Noise,
        (true, SEND_INDICATION) => Kind::Send,
        (true, _) => Kind::Control,
    }
}

/// What a Send indication asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Send {
    pub(crate) peer: SocketAddr,
    /// The payload's place in the message.
    pub(crate) payload: Range<usize>,
    pub(crate) dont_fragment: bool,
}

/// Reads a Send indication (RFC 8656, section 11.2); `None` if it must be silently discarded: an attribute is
/// missing or malformed, or a comprehension-required one is not understood.
pub(crate) fn send_indication(buf: &[u8]) -> Option<Send> {
    let id: [u8; TRANSACTION_ID_SIZE] = buf.get(8..MESSAGE_HEADER_SIZE)?.try_into().ok()?;
    let (mut peer, mut data, mut dont_fragment) = (None, None, false);
    let mut at = MESSAGE_HEADER_SIZE;
    while at < buf.len() {
        let typ = u16_at(buf, at)?;
        let length = usize::from(u16_at(buf, at + 2)?);
        let start = at + 4;
        let value = buf.get(start..start + length)?;
        match typ {
            XOR_PEER_ADDRESS if peer.is_none() => peer = Some(xor_address(value, &id)?),
            DATA if data.is_none() => data = Some(start..start + length),
            XOR_PEER_ADDRESS | DATA => {}
            DONT_FRAGMENT => dont_fragment = true,
            // An indication cannot be authenticated; integrity in it says nothing, and what follows it is
            // ignored (RFC 8489, section 14.5).
            MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256 => break,
            unknown if unknown < FIRST_OPTIONAL => return None,
            _ => {}
        }
        at = start + length.next_multiple_of(4);
    }
    Some(Send { peer: peer?, payload: data?, dont_fragment })
}

/// What surrounds a payload on its way to a client: `bytes()`, the payload, `padding()` zero bytes. It is
/// apart from the payload, so that the owner of the buffers may write it before the payload, gather both in
/// one call, or copy both into a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: usize,
    padding: usize,
}

impl Header {
    /// The bytes before the payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The number of zero bytes behind it, at most [`MAX_PADDING`].
    #[must_use]
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// Writes header, payload and padding to the start of `out` and returns their length, or `None` if `out`
    /// is too short.
    #[must_use]
    pub fn write_message(&self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut writer = Writer { buf: out };
        writer.put(self.bytes())?;
        writer.put(payload)?;
        writer.put([0; MAX_PADDING].get(..self.padding)?)?;
        Some(self.len + payload.len() + self.padding)
    }

    fn new(padding: usize, fill: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> Option<Self> {
        let mut bytes = [0; MAX_HEADER];
        let mut writer = Writer { buf: &mut bytes };
        fill(&mut writer)?;
        let len = MAX_HEADER - writer.buf.len();
        Some(Self { bytes, len, padding })
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Header({:02x?} .. {} zeros)", self.bytes(), self.padding)
    }
}

/// A ChannelData header. Over a stream the message is padded to four bytes (RFC 8656, section 12.5).
pub(crate) fn channel_data_header(payload: usize, number: u16, transport: Transport) -> Option<Header> {
    let length = u16::try_from(payload).ok()?;
    let padding = if transport.is_stream() { payload.next_multiple_of(4) - payload } else { 0 };
    Header::new(padding, |out| {
        out.put(&number.to_be_bytes())?;
        out.put(&length.to_be_bytes())
    })
}

/// A Data indication's header.
pub(crate) fn data_indication_header(
    payload: usize,
    peer: SocketAddr,
    id: &[u8; TRANSACTION_ID_SIZE],
) -> Option<Header> {
    let data_length = u16::try_from(payload).ok()?;
    let mut address = [0; MAX_ADDRESS];
    let address = write_xor_address(&mut address, peer, id);
    let length = u16::try_from(4 + address.len() + 4 + payload.next_multiple_of(4)).ok()?;
    Header::new(payload.next_multiple_of(4) - payload, |out| {
        out.put(&DATA_INDICATION.to_be_bytes())?;
        out.put(&length.to_be_bytes())?;
        out.put(&MAGIC_COOKIE.to_be_bytes())?;
        out.put(id)?;
        out.put(&XOR_PEER_ADDRESS.to_be_bytes())?;
        out.put(&u16::try_from(address.len()).ok()?.to_be_bytes())?;
        out.put(address)?;
        out.put(&DATA.to_be_bytes())?;
        out.put(&data_length.to_be_bytes())
    })
}

/// A Data indication that carries an ICMP error instead of data (RFC 8656, sections 11.6 and 18.13).
///
/// ```text
///  0               16      23        32
///  +---------------+-------+---------+
///  | 0             | type  | code    |   7 and 9 bits
///  +---------------+-------+---------+
///  | MTU of the next hop, or 0       |
///  +---------------------------------+
/// ```
pub(crate) fn icmp_indication(peer: SocketAddr, icmp: Icmp, id: &[u8; TRANSACTION_ID_SIZE]) -> Vec<u8> {
    let mut address = [0; MAX_ADDRESS];
    let address = write_xor_address(&mut address, peer, id);
    let mut message = Vec::with_capacity(MESSAGE_HEADER_SIZE + 4 + MAX_ADDRESS + 12);
    message.extend(DATA_INDICATION.to_be_bytes());
    message.extend((4 + address.len() as u16 + 12).to_be_bytes());
    message.extend(MAGIC_COOKIE.to_be_bytes());
    message.extend(id);
    message.extend(XOR_PEER_ADDRESS.to_be_bytes());
    message.extend((address.len() as u16).to_be_bytes());
    message.extend(address);
    message.extend(ICMP.to_be_bytes());
    message.extend([0, 8, 0, 0]);
    message.extend(((u16::from(icmp.kind) << 9) | u16::from(icmp.code)).to_be_bytes());
    message.extend(icmp.mtu.to_be_bytes());
    message
}

/// Longest XOR-…-ADDRESS value: family, port, an IPv6 address.
pub(crate) const MAX_ADDRESS: usize = 20;

/// Reads the value of an XOR-…-ADDRESS attribute (RFC 8489, section 14.2). The length must fit the family.
pub(crate) fn xor_address(value: &[u8], id: &[u8; TRANSACTION_ID_SIZE]) -> Option<SocketAddr> {
    let port = u16_at(value, 2)? ^ (MAGIC_COOKIE >> 16) as u16;
    let address = value.get(4..)?;
    let ip: IpAddr = match value.get(1)? {
        1 => Ipv4Addr::from_bits(u32::from_be_bytes(address.try_into().ok()?) ^ MAGIC_COOKIE).into(),
        2 => Ipv6Addr::from_bits(u128::from_be_bytes(address.try_into().ok()?) ^ mask(id)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes the value of an XOR-…-ADDRESS attribute and returns the part of `out` it takes.
pub(crate) fn write_xor_address<'a>(
    out: &'a mut [u8; MAX_ADDRESS],
    address: SocketAddr,
    id: &[u8; TRANSACTION_ID_SIZE],
) -> &'a [u8] {
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    out[2..4].copy_from_slice(&port.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            out[..2].copy_from_slice(&[0, 1]);
            out[4..8].copy_from_slice(&(ip.to_bits() ^ MAGIC_COOKIE).to_be_bytes());
            &out[..8]
        }
        IpAddr::V6(ip) => {
            out[..2].copy_from_slice(&[0, 2]);
            out[4..].copy_from_slice(&(ip.to_bits() ^ mask(id)).to_be_bytes());
            &out[..]
        }
    }
}

/// What an IPv6 address is XORed with: the cookie and the transaction id.
fn mask(id: &[u8; TRANSACTION_ID_SIZE]) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(id);
    u128::from_be_bytes(mask)
}

pub(crate) fn u16_at(buf: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(buf.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(buf: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(buf.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

struct Writer<'a> {
    buf: &'a mut [u8],
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let (head, tail) = std::mem::take(&mut self.buf).split_at_mut_checked(bytes.len())?;
        head.copy_from_slice(bytes);
        self.buf = tail;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(header: Header, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0xEE; 2000];
        let length = header.write_message(payload, &mut out).expect("room");
        out.truncate(length);
        out
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
    }

    proptest! {
        #[test]
        fn addresses_survive_the_xor(address in address(), id: [u8; 12]) {
            let mut out = [0; MAX_ADDRESS];
            let value = write_xor_address(&mut out, address, &id);
            prop_assert_eq!(xor_address(value, &id), Some(address));
        }

        #[test]
        fn a_data_indication_reads_back_as_a_send_of_the_same(
            payload in proptest::collection::vec(any::<u8>(), 0..1500), peer in address(), id: [u8; 12],
        ) {
            let header = data_indication_header(payload.len(), peer, &id).expect("fits");
            let mut message = written(header, &payload);
            prop_assert_eq!(u16_at(&message, 0), Some(DATA_INDICATION));
            message[..2].copy_from_slice(&SEND_INDICATION.to_be_bytes());
            prop_assert_eq!(classify(&message), Kind::Send);
            let send = send_indication(&message).expect("well formed");
            prop_assert_eq!((send.peer, &message[send.payload], send.dont_fragment), (peer, &payload[..], false));
        }

        #[test]
        fn channel_data_reads_back(
            payload in proptest::collection::vec(any::<u8>(), 0..1500), number in CHANNEL_NUMBERS, stream: bool,
        ) {
            let transport = if stream { Transport::Tls } else { Transport::Udp };
            let header = channel_data_header(payload.len(), number, transport).expect("fits");
            let message = written(header, &payload);
            prop_assert_eq!(message.len().is_multiple_of(4), stream || payload.len().is_multiple_of(4));
            let Kind::ChannelData { number: read, payload: at } = classify(&message) else { panic!("noise") };
            prop_assert_eq!((read, &message[at]), (number, &payload[..]));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = classify(&bytes);
            let _ = send_indication(&bytes);
            let _ = xor_address(&bytes, &[7; 12]);
        }
    }

    #[test]
    fn channel_data_that_claims_more_than_arrived_is_noise() {
        assert_eq!(classify(&[0x40, 0x00, 0x00, 0x05, 1, 2, 3, 4]), Kind::Noise);
        assert_eq!(classify(&[0x80, 0x00, 0x00, 0x00]), Kind::Noise, "no channel number");
    }

    #[test]
    fn what_does_not_fit_is_refused_not_cut() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 9));
        assert_eq!(data_indication_header(65_536, peer, &[0; 12]), None);
        assert_eq!(channel_data_header(65_536, 0x4000, Transport::Udp), None);
        let header = channel_data_header(5, 0x4000, Transport::Tcp).expect("fits");
        assert_eq!(header.write_message(&[1; 5], &mut [0; 11]), None);
        assert_eq!(header.write_message(&[1; 5], &mut [0; 12]), Some(12));
    }
}
