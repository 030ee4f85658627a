//! The test vectors of RFC 5769 and RFC 8489, appendix B.1 (with its verified erratum), against the code that
//! serves requests.

use std::net::SocketAddr;

use stun::attributes::{ATTR_NONCE, ATTR_PASSWORD_ALGORITHM, ATTR_REALM, ATTR_USER_HASH, ATTR_USERNAME};

use crate::integrity::{Integrity, Key};
use crate::message::Request;
use crate::wire::xor_address;

const USERNAME: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
const ID: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
const SHORT_TERM: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.split_whitespace().collect::<String>()).expect("hex")
}

/// A signed request is good, and no longer so with any bit before its integrity attribute changed.
fn verify(message: &[u8], integrity: Integrity, key: &Key) {
    let request = Request::parse(message).expect("a request");
    let (kind, mac, before) = request.integrity().expect("signed");
    assert_eq!(kind, integrity);
    assert!(key.verify(kind, before, mac));
    assert_eq!(key.sign(kind, before), mac);
    // The length field is not covered as it stands, but as if the message ended with this attribute.
    for at in (0..before.len()).filter(|at| !(2..4).contains(at)) {
        let mut changed = before.to_vec();
        changed[at] ^= 1;
        assert!(!key.verify(kind, &changed, mac), "byte {at}");
    }
    assert!(!key.verify(kind, before, &mac[..mac.len() - 4]), "a cut MAC is no MAC");
}

#[test]
fn rfc_5769_2_1_request() {
    let message = bytes(
        "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74
         00240004 6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020
         00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf",
    );
    verify(&message, Integrity::Sha1, &Key::raw(SHORT_TERM));
    let request = Request::parse(&message).expect("a request");
    assert_eq!(request.get(ATTR_USERNAME), Some(&b"evtj:h6vY"[..]));
    assert!(request.transaction.fingerprint);
    let mut wrong = message;
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    assert!(Request::parse(&wrong).is_none(), "a wrong FINGERPRINT is no STUN message");
}

/// Responses are not parsed by a server, but their parts are written by it.
fn response(message: &[u8], integrity_at: usize, expected: &str) {
    let key = Key::raw(SHORT_TERM);
    let mac = &message[integrity_at + 4..integrity_at + 24];
    assert_eq!(key.sign(Integrity::Sha1, &message[..integrity_at]), mac);
    let address: SocketAddr = expected.parse().expect("an address");
    assert_eq!(xor_address(&message[40..integrity_at], &ID), Some(address));
}

#[test]
fn rfc_5769_2_2_ipv4_response() {
    let message = bytes(
        "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220
         00200008 0001a147 e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
         80280004 c07d4c96",
    );
    response(&message, 48, "192.0.2.1:32853");
}

#[test]
fn rfc_5769_2_3_ipv6_response() {
    let message = bytes(
        "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220
         00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1
         1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c",
    );
    response(&message, 60, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

#[test]
fn rfc_5769_2_4_long_term_request() {
    let message = bytes(
        "00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 e3839ee3 8388e383 aae38383
         e382afe3 82b90000 0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679
         36347341 0014000b 6578616d 706c652e 6f726700 00080014 f6702465 6dd64a3e 02b8e071
         2e85c9a2 8ca89666",
    );
    verify(&message, Integrity::Sha1, &Key::md5(USERNAME, "example.org", "TheMatrIX"));
    let request = Request::parse(&message).expect("a request");
    assert_eq!(request.get(ATTR_USERNAME), Some(USERNAME.as_bytes()));
    assert_eq!(request.get(ATTR_REALM), Some(&b"example.org"[..]));
}

#[test]
fn rfc_8489_b_1_long_term_request_with_sha256() {
    let message = bytes(
        "00010090 2112a442 78ad3433 c6ad72c0 29da412e 001e0020 4a3cf38f ef6992bd a952c678
         0417da0f 24819415 569e60b2 05c46e41 407f1704 00150029 6f624d61 744a6f73 32414141
         43662f2f 3439396b 39353464 364f4c33 346f4c39 46535476 79363473 41000000 0014000b
         6578616d 706c652e 6f726700 001d0004 00020000 001c0020 b5c7bf00 5b6c52a2 1c51c5e8
         92f81924 136296cb 927c4314 9309278c c6518e65",
    );
    verify(&message, Integrity::Sha256, &Key::sha256(USERNAME, "example.org", "TheMatrIX"));
    let request = Request::parse(&message).expect("a request");
    assert_eq!(request.get(ATTR_NONCE), Some(&b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"[..]));
    assert_eq!(request.get(ATTR_PASSWORD_ALGORITHM), Some(&[0, 2, 0, 0][..]));
    assert_eq!(request.get(ATTR_USER_HASH).map(<[u8]>::len), Some(32));
}
