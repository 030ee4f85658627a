//! Control messages: requests read with the `stun` crate's message type, and responses written with it.

use std::net::{IpAddr, SocketAddr};

use stun::attributes::{
    ATTR_ALTERNATE_SERVER, ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_DONT_FRAGMENT, ATTR_ERROR_CODE,
    ATTR_EVEN_PORT, ATTR_FINGERPRINT, ATTR_LIFETIME, ATTR_MAPPED_ADDRESS, ATTR_MESSAGE_INTEGRITY,
    ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_PASSWORD_ALGORITHM, ATTR_REALM,
    ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN, ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_USER_HASH, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
    AttrType,
};
use stun::fingerprint::FINGERPRINT_XOR_VALUE;
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, MESSAGE_HEADER_SIZE, METHOD_ALLOCATE,
    METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Message, MessageClass,
    MessageType, Method as StunMethod, TRANSACTION_ID_SIZE,
};

use crate::error::ErrorCode;
use crate::integrity::{Integrity, Signer};
use crate::types::{Family, Method};
use crate::wire::{self, MAX_ADDRESS};

/// Longest control message; a longer one is discarded. (Send, Data and ChannelData are not control messages.)
pub(crate) const MAX_CONTROL_MESSAGE: usize = 4096;

/// Attributes that a 420 names: strangers send Binding requests too, and a message has room for a thousand.
const MAX_UNKNOWN: usize = 32;

/// ADDRESS-ERROR-CODE and ADDITIONAL-ADDRESS-FAMILY (RFC 8656, section 18), which the `stun` crate does not
/// name.
pub(crate) const ATTR_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);
pub(crate) const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);

/// ALTERNATE-DOMAIN (RFC 8489, section 14.16).
pub(crate) const ATTR_ALTERNATE_DOMAIN: AttrType = AttrType(0x8003);

/// Comprehension-required attributes that are understood here.
const KNOWN: [AttrType; 21] = [
    ATTR_DONT_FRAGMENT,
    ATTR_MAPPED_ADDRESS,
    ATTR_USERNAME,
    ATTR_MESSAGE_INTEGRITY,
    ATTR_ERROR_CODE,
    ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_CHANNEL_NUMBER,
    ATTR_LIFETIME,
    ATTR_XOR_PEER_ADDRESS,
    ATTR_DATA,
    ATTR_REALM,
    ATTR_NONCE,
    ATTR_XOR_RELAYED_ADDRESS,
    ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_EVEN_PORT,
    ATTR_REQUESTED_TRANSPORT,
    ATTR_MESSAGE_INTEGRITY_SHA256,
    ATTR_PASSWORD_ALGORITHM,
    ATTR_USER_HASH,
    ATTR_XORMAPPED_ADDRESS,
    ATTR_RESERVATION_TOKEN,
];

/// The request that a method of the wire is, if it is served.
fn method_of(method: StunMethod) -> Option<Method> {
    match method {
        METHOD_BINDING => Some(Method::Binding),
        METHOD_ALLOCATE => Some(Method::Allocate),
        METHOD_REFRESH => Some(Method::Refresh),
        METHOD_CREATE_PERMISSION => Some(Method::CreatePermission),
        METHOD_CHANNEL_BIND => Some(Method::ChannelBind),
        _ => None,
    }
}

fn wire_method(method: Method) -> StunMethod {
    match method {
        Method::Binding => METHOD_BINDING,
        Method::Allocate => METHOD_ALLOCATE,
        Method::Refresh => METHOD_REFRESH,
        Method::CreatePermission => METHOD_CREATE_PERMISSION,
        Method::ChannelBind => METHOD_CHANNEL_BIND,
    }
}

/// What a response must repeat of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) method: Method,
    pub(crate) id: [u8; TRANSACTION_ID_SIZE],
    /// The request carried a FINGERPRINT, so the response does.
    pub(crate) fingerprint: bool,
}

/// A well-formed request. It shows only attributes that its integrity attribute covers: what comes behind
/// is not there (RFC 8489, sections 14.5 and 14.6).
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) transaction: Transaction,
    message: Message,
    /// Where each integrity attribute begins in the raw bytes.
    integrity: Option<usize>,
    integrity_sha256: Option<usize>,
}

impl Request {
    /// Reads a request; `None` for everything that must be silently discarded: malformed, a wrong
    /// FINGERPRINT, an unknown method, an indication or a response.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_CONTROL_MESSAGE {
            return None;
        }
        let mut message = Message::new();
        message.unmarshal_binary(bytes).ok()?;
        if message.typ.class != CLASS_REQUEST {
            return None;
        }
        let method = method_of(message.typ.method)?;
        let fingerprint = message.contains(ATTR_FINGERPRINT);
        if fingerprint {
            // One, at the end, of four bytes: the last eight of the message.
            let count = message.attributes.0.iter().filter(|a| a.typ == ATTR_FINGERPRINT).count();
            let last = message.attributes.0.last().filter(|a| a.typ == ATTR_FINGERPRINT && a.length == 4)?;
            let covered = bytes.get(..bytes.len().checked_sub(8)?)?;
            if count != 1 || last.value != fingerprint_of(covered) {
                return None;
            }
        }

        let (mut integrity, mut integrity_sha256) = (None, None);
        let mut at = MESSAGE_HEADER_SIZE;
        message.attributes.0.retain(|attribute| {
            let start = at;
            at += 4 + usize::from(attribute.length).next_multiple_of(4);
            match attribute.typ {
                ATTR_MESSAGE_INTEGRITY if integrity.is_none() && integrity_sha256.is_none() => {
                    integrity = Some(start);
                    true
                }
                ATTR_MESSAGE_INTEGRITY_SHA256 if integrity_sha256.is_none() => {
                    integrity_sha256 = Some(start);
                    true
                }
                _ => integrity.is_none() && integrity_sha256.is_none(),
            }
        });
        let transaction = Transaction { method, id: message.transaction_id.0, fingerprint };
        Some(Self { transaction, message, integrity, integrity_sha256 })
    }

    /// The first attribute of this type.
    pub(crate) fn get(&self, typ: AttrType) -> Option<&[u8]> {
        self.all(typ).next()
    }

    /// All attributes of this type, in order.
    pub(crate) fn all(&self, typ: AttrType) -> impl Iterator<Item = &[u8]> {
        self.message.attributes.0.iter().filter(move |a| a.typ == typ).map(|a| a.value.as_slice())
    }

    pub(crate) fn contains(&self, typ: AttrType) -> bool {
        self.get(typ).is_some()
    }

    /// An XOR-…-ADDRESS value of this message.
    pub(crate) fn address(&self, value: &[u8]) -> Option<SocketAddr> {
        wire::xor_address(value, &self.transaction.id)
    }

    /// The value of an attribute of exactly `N` bytes. `Ok(None)` if it is absent, `Err` if its length is
    /// wrong.
    pub(crate) fn fixed<const N: usize>(&self, typ: AttrType) -> Result<Option<[u8; N]>, WrongLength> {
        self.get(typ).map(|value| value.try_into().map_err(|_| WrongLength)).transpose()
    }

    /// The strongest integrity attribute: its kind, its value, and the bytes before it.
    pub(crate) fn integrity(&self) -> Option<(Integrity, &[u8], &[u8])> {
        let (kind, typ, start) = match (self.integrity_sha256, self.integrity) {
            (Some(start), _) => (Integrity::Sha256, ATTR_MESSAGE_INTEGRITY_SHA256, start),
            (None, Some(start)) => (Integrity::Sha1, ATTR_MESSAGE_INTEGRITY, start),
            (None, None) => return None,
        };
        Some((kind, self.get(typ)?, self.message.raw.get(..start)?))
    }

    /// Comprehension-required attributes that are not understood, each once; the first [`MAX_UNKNOWN`] of them.
    pub(crate) fn unknown(&self) -> Vec<AttrType> {
        let mut unknown: Vec<AttrType> = Vec::new();
        for attribute in &self.message.attributes.0 {
            let typ = attribute.typ;
            if typ.required() && !KNOWN.contains(&typ) && !unknown.contains(&typ) {
                unknown.push(typ);
                if unknown.len() == MAX_UNKNOWN {
                    break;
                }
            }
        }
        unknown
    }
}

/// An attribute whose length is not the one its type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongLength;

/// Writes one response.
pub(crate) struct Response {
    message: Message,
    fingerprint: bool,
}

impl Response {
    pub(crate) fn success(transaction: Transaction) -> Self {
        Self::new(transaction, CLASS_SUCCESS_RESPONSE)
    }

    pub(crate) fn error(transaction: Transaction, code: ErrorCode) -> Self {
        let mut response = Self::new(transaction, CLASS_ERROR_RESPONSE);
        response.add_code(ATTR_ERROR_CODE, [0, 0], code);
        response
    }

    fn new(transaction: Transaction, class: MessageClass) -> Self {
        let mut message = Message::new();
        message.typ = MessageType::new(wire_method(transaction.method), class);
        message.transaction_id.0 = transaction.id;
        message.write_header();
        Self { message, fingerprint: transaction.fingerprint }
    }

    pub(crate) fn add(&mut self, typ: AttrType, value: &[u8]) {
        self.message.add(typ, value);
    }

    pub(crate) fn add_address(&mut self, typ: AttrType, address: SocketAddr) {
        let mut out = [0; MAX_ADDRESS];
        let value = wire::write_xor_address(&mut out, address, &self.message.transaction_id.0);
        self.message.add(typ, value);
    }

    /// ALTERNATE-SERVER, which has the form of MAPPED-ADDRESS (RFC 8489, section 14.15).
    pub(crate) fn add_alternate(&mut self, address: SocketAddr) {
        let mut value = vec![0, Family::of(address.ip()).to_wire()];
        value.extend(address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets()),
            IpAddr::V6(ip) => value.extend(ip.octets()),
        }
        self.message.add(ATTR_ALTERNATE_SERVER, &value);
    }

    /// ERROR-CODE (`head` is reserved) or ADDRESS-ERROR-CODE (`head` begins with the family).
    pub(crate) fn add_code(&mut self, typ: AttrType, head: [u8; 2], code: ErrorCode) {
        let number = code.code();
        let mut value = vec![head[0], head[1], (number / 100) as u8, (number % 100) as u8];
        value.extend_from_slice(code.phrase().as_bytes());
        self.message.add(typ, &value);
    }

    /// Signs, if the request was authenticated, and returns the bytes.
    pub(crate) fn finish(mut self, signer: Option<&Signer>) -> Vec<u8> {
        if let Some(signer) = signer {
            let (typ, length) = match signer.integrity {
                Integrity::Sha1 => (ATTR_MESSAGE_INTEGRITY, 20),
                Integrity::Sha256 => (ATTR_MESSAGE_INTEGRITY_SHA256, 32),
            };
            let mac = signer.key.sign(signer.integrity, &self.message.raw);
            debug_assert_eq!(mac.len(), length);
            self.message.add(typ, &mac);
        }
        if self.fingerprint {
            // The length that is covered counts the attribute itself, so it is added before its value is known.
            self.message.add(ATTR_FINGERPRINT, &[0; 4]);
            let covered = self.message.raw.len().saturating_sub(8);
            let value = fingerprint_of(self.message.raw.get(..covered).unwrap_or_default());
            if let Some(last) = self.message.raw.last_chunk_mut() {
                *last = value;
            }
        }
        self.message.raw
    }
}

/// The value of a FINGERPRINT (RFC 8489, section 14.7). The one of the `stun` crate makes its table each time anew,
/// which takes longer than everything else that is done with a request.
fn fingerprint_of(covered: &[u8]) -> [u8; 4] {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut crc, mut bit) = (byte as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let crc =
        !covered.iter().fold(!0, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize] ^ (crc >> 8));
    (crc ^ FINGERPRINT_XOR_VALUE).to_be_bytes()
}
