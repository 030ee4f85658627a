//! STUN Binding messages (RFC 8489) with the attributes of ICE (RFC 8445), parsed in place.
//!
//! Only what connectivity checks need: short-term credentials, FINGERPRINT, XOR-MAPPED-ADDRESS,
//! PRIORITY, USE-CANDIDATE, the two roles and error codes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::{constant_time, hmac};

/// Bytes of the STUN header: type, length, magic cookie, transaction id.
const HEADER_LEN: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// What the CRC of FINGERPRINT is exclusive-ored with: "STUN" (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;
/// Attribute header and HMAC-SHA1.
const INTEGRITY_LEN: usize = 4 + 20;
const FINGERPRINT_LEN: usize = 4 + 4;

const MAPPED_ADDRESS: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802A;

/// 96 bits that tie a response to its request.
pub(crate) type TransactionId = [u8; 12];

/// Class of a Binding message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

impl Class {
    /// Message type of the method Binding (0x001) with this class (RFC 8489 section 5).
    const fn message_type(self) -> u16 {
        match self {
            Self::Request => 0x0001,
            Self::Indication => 0x0011,
            Self::Success => 0x0101,
            Self::Error => 0x0111,
        }
    }
}

/// The role that the sender of a check believes it has, with its tie-breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Controlling(u64),
    Controlled(u64),
}

/// Why bytes are not a Binding message; such datagrams are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A Binding message, borrowing its datagram. Nothing in it is authenticated before
/// [`Binding::is_authentic`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding<'a> {
    raw: &'a [u8],
    pub(crate) class: Class,
    pub(crate) transaction: TransactionId,
    pub(crate) username: Option<&'a str>,
    pub(crate) priority: Option<u32>,
    pub(crate) use_candidate: bool,
    pub(crate) role: Option<Role>,
    pub(crate) mapped: Option<SocketAddr>,
    pub(crate) error_code: Option<u16>,
    /// The first attribute that must be understood and is not.
    pub(crate) unknown_required: Option<u16>,
    /// Where MESSAGE-INTEGRITY begins.
    integrity_at: Option<usize>,
}

/// Key of MESSAGE-INTEGRITY: the password of the side that answers (RFC 8489 section 9.1.1).
///
/// Kept as text: the prepared key of the library takes more than a kilobyte, and a check comes every
/// other second.
pub(crate) struct IntegrityKey(Box<str>);

impl IntegrityKey {
    pub(crate) fn new(pwd: &str) -> Self {
        Self(pwd.into())
    }

    fn prepared(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.as_bytes())
    }
}

/// Local and remote ufrag of a Binding request (`USERNAME` is `receiver:sender`), without checking it:
/// to find the transport that a first datagram from an unknown address belongs to.
///
/// Returns `None` for anything but a well-formed Binding request with such a USERNAME.
pub fn peek_binding_username(datagram: &[u8]) -> Option<(&str, &str)> {
    let binding = parse(datagram).ok()?;
    if binding.class == Class::Request { binding.username?.split_once(':') } else { None }
}

/// Parses a Binding message that fills the datagram exactly.
pub(crate) fn parse(datagram: &[u8]) -> Result<Binding<'_>, Malformed> {
    let (header, attributes) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(Malformed)?;
    let class = match u16::from_be_bytes([header[0], header[1]]) {
        0x0001 => Class::Request,
        0x0011 => Class::Indication,
        0x0101 => Class::Success,
        0x0111 => Class::Error,
        _ => return Err(Malformed),
    };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if length != attributes.len() || !length.is_multiple_of(4) || header[4..8] != MAGIC_COOKIE {
        return Err(Malformed);
    }
    let mut transaction = TransactionId::default();
    transaction.copy_from_slice(&header[8..]);
    let mut binding = Binding {
        raw: datagram,
        class,
        transaction,
        username: None,
        priority: None,
        use_candidate: false,
        role: None,
        mapped: None,
        error_code: None,
        unknown_required: None,
        integrity_at: None,
    };
    let mut rest = attributes;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let at = datagram.len() - rest.len();
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..len).ok_or(Malformed)?;
        rest = after.get(len.next_multiple_of(4)..).ok_or(Malformed)?;
        if kind == FINGERPRINT {
            // It is the last attribute, and the cheapest proof that this is STUN at all.
            let value: [u8; 4] = value.try_into().map_err(|_| Malformed)?;
            let covered = datagram.get(..at).ok_or(Malformed)?;
            if !rest.is_empty() || u32::from_be_bytes(value) != crc32(covered) ^ FINGERPRINT_XOR {
                return Err(Malformed);
            }
        } else if binding.integrity_at.is_none() {
            // Attributes after MESSAGE-INTEGRITY are not covered by it and therefore ignored.
            binding.read(kind, value, at)?;
        }
    }
    if rest.is_empty() { Ok(binding) } else { Err(Malformed) }
}

impl<'a> Binding<'a> {
    fn read(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), Malformed> {
        fn number<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
            value.try_into().map_err(|_| Malformed)
        }
        match kind {
            USERNAME => self.username = Some(std::str::from_utf8(value).map_err(|_| Malformed)?),
            PRIORITY => self.priority = Some(u32::from_be_bytes(number(value)?)),
            USE_CANDIDATE => self.use_candidate = true,
            ICE_CONTROLLING => self.role = Some(Role::Controlling(u64::from_be_bytes(number(value)?))),
            ICE_CONTROLLED => self.role = Some(Role::Controlled(u64::from_be_bytes(number(value)?))),
            XOR_MAPPED_ADDRESS => self.mapped = Some(unxor_address(value, &self.transaction)?),
            ERROR_CODE => {
                let [_, _, class, number, ..] = *value else { return Err(Malformed) };
                self.error_code = Some(u16::from(class & 7) * 100 + u16::from(number));
            }
            MESSAGE_INTEGRITY => {
                number::<20>(value)?;
                self.integrity_at = Some(at);
            }
            MAPPED_ADDRESS | UNKNOWN_ATTRIBUTES | REALM | NONCE | MESSAGE_INTEGRITY_SHA256 => {}
            required if required < 0x8000 => {
                self.unknown_required.get_or_insert(required);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether MESSAGE-INTEGRITY is there at all.
    pub(crate) fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY was made with `key`; compared in constant time.
    pub(crate) fn is_authentic(&self, key: &IntegrityKey) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let (Some(head), Some(body)) = (self.raw.get(..2), self.raw.get(4..at)) else { return false };
        let Some(tag) = self.raw.get(at + 4..at + INTEGRITY_LEN) else { return false };
        // The HMAC covers a header whose length ends with MESSAGE-INTEGRITY.
        let Ok(length) = u16::try_from(at + INTEGRITY_LEN - HEADER_LEN) else { return false };
        let mut mac = hmac::Context::with_key(&key.prepared());
        mac.update(head);
        mac.update(&length.to_be_bytes());
        mac.update(body);
        constant_time::verify_slices_are_equal(mac.sign().as_ref(), tag).is_ok()
    }
}

/// Writes one Binding message.
pub(crate) struct Writer {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl Writer {
    /// Room for every message that this crate writes.
    const CAPACITY: usize = 160;

    pub(crate) fn new(class: Class, transaction: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(Self::CAPACITY);
        bytes.extend_from_slice(&class.message_type().to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(&transaction);
        Self { bytes, transaction }
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        debug_assert!(value.len() <= 763, "no attribute of ICE is longer");
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn username(self, username: &str) -> Self {
        self.attribute(USERNAME, username.as_bytes())
    }

    pub(crate) fn priority(self, priority: u32) -> Self {
        self.attribute(PRIORITY, &priority.to_be_bytes())
    }

    pub(crate) fn use_candidate(self) -> Self {
        self.attribute(USE_CANDIDATE, &[])
    }

    pub(crate) fn role(self, role: Role) -> Self {
        match role {
            Role::Controlling(tie_breaker) => self.attribute(ICE_CONTROLLING, &tie_breaker.to_be_bytes()),
            Role::Controlled(tie_breaker) => self.attribute(ICE_CONTROLLED, &tie_breaker.to_be_bytes()),
        }
    }

    pub(crate) fn mapped(self, address: SocketAddr) -> Self {
        let port = (address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]])).to_be_bytes();
        let mask = address_mask(&self.transaction);
        // A socket for both families reports IPv4 peers as mapped addresses, which the peer never had.
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let mut value = [0, 1, port[0], port[1], 0, 0, 0, 0];
                for (out, (byte, mask)) in value[4..].iter_mut().zip(ip.octets().iter().zip(&mask)) {
                    *out = byte ^ mask;
                }
                self.attribute(XOR_MAPPED_ADDRESS, &value)
            }
            IpAddr::V6(ip) => {
                let mut value = [0; 20];
                value[1..4].copy_from_slice(&[2, port[0], port[1]]);
                for (out, (byte, mask)) in value[4..].iter_mut().zip(ip.octets().iter().zip(&mask)) {
                    *out = byte ^ mask;
                }
                self.attribute(XOR_MAPPED_ADDRESS, &value)
            }
        }
    }

    pub(crate) fn error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        self.attribute(ERROR_CODE, &value)
    }

    pub(crate) fn unknown_attribute(self, kind: u16) -> Self {
        self.attribute(UNKNOWN_ATTRIBUTES, &kind.to_be_bytes())
    }

    /// Adds MESSAGE-INTEGRITY where there is a key, and FINGERPRINT.
    pub(crate) fn finish(mut self, key: Option<&IntegrityKey>) -> Vec<u8> {
        if let Some(key) = key {
            self.write_length(INTEGRITY_LEN);
            let tag = hmac::sign(&key.prepared(), &self.bytes);
            self = self.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        }
        self.write_length(FINGERPRINT_LEN);
        let fingerprint = crc32(&self.bytes) ^ FINGERPRINT_XOR;
        self.attribute(FINGERPRINT, &fingerprint.to_be_bytes()).bytes
    }

    /// Writes the length that the message will have once `coming` more bytes are there.
    fn write_length(&mut self, coming: usize) {
        let length = (self.bytes.len() - HEADER_LEN + coming) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

/// What XOR-MAPPED-ADDRESS is exclusive-ored with: cookie and transaction id.
fn address_mask(transaction: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE);
    mask[4..].copy_from_slice(transaction);
    mask
}

fn unxor_address(value: &[u8], transaction: &TransactionId) -> Result<SocketAddr, Malformed> {
    let ([_, family, port_high, port_low], address) =
        value.split_first_chunk::<4>().ok_or(Malformed).map(|(head, address)| (*head, address))?;
    let port = u16::from_be_bytes([port_high ^ MAGIC_COOKIE[0], port_low ^ MAGIC_COOKIE[1]]);
    let mask = address_mask(transaction);
    match family {
        1 => {
            let mut octets: [u8; 4] = address.try_into().map_err(|_| Malformed)?;
            octets.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
            Ok(SocketAddr::new(Ipv4Addr::from(octets).into(), port))
        }
        2 => {
            let mut octets: [u8; 16] = address.try_into().map_err(|_| Malformed)?;
            octets.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
            Ok(SocketAddr::new(Ipv6Addr::from(octets).into(), port))
        }
        _ => Err(Malformed),
    }
}

/// CRC-32 of ISO 3309, as FINGERPRINT uses it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize] ^ (crc >> 8))
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
