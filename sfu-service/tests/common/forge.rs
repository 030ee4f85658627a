//! What somebody without keys can send.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

/// A STUN Binding request to `user`, signed with nothing that anybody knows.
pub(crate) fn binding_request(rng: &mut StdRng, user: &str) -> Vec<u8> {
    let name = format!("{user}:abcd");
    let mut attributes = vec![0, 6];
    attributes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
    attributes.extend(name.bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    // USE-CANDIDATE, PRIORITY, MESSAGE-INTEGRITY.
    attributes.extend([0, 0x25, 0, 0, 0, 0x24, 0, 4, 1, 2, 3, 4, 0, 8, 0, 20]);
    attributes.extend(rng.random::<[u8; 20]>());
    let len = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    [&[0, 1], &len[..], &[0x21, 0x12, 0xA4, 0x42], &rng.random::<[u8; 12]>(), &attributes].concat()
}

/// A DTLS 1.2 record of `content` with a random sequence number.
pub(crate) fn record(rng: &mut StdRng, kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 0xFE, 0xFD, 0, epoch], &rng.random::<[u8; 6]>()[..], &len, content].concat()
}

/// The handshake message that opens an association, with a body that says nothing.
pub(crate) fn client_hello(rng: &mut StdRng) -> Vec<u8> {
    let body = noise(rng, 200);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &len[1..], &[0, 0], &[0, 0, 0], &len[1..], &body[..]].concat();
    record(rng, 22, 0, &message)
}

pub(crate) fn noise(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..=most)];
    rng.fill_bytes(&mut bytes);
    bytes
}
