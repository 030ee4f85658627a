//! RFC 5769 vectors, the `stun` crate as a second implementation, and bytes of any kind.

use proptest::prelude::*;
use stun::message::{Getter as _, Setter as _};

use super::*;

const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
const RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
const RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41\
    80280004c8fb0b4c";
const PWD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn rfc_5769_request() {
    let bytes = hex(REQUEST);
    let binding = parse(&bytes).unwrap();
    assert_eq!(binding.class, Class::Request);
    assert_eq!(binding.username, Some("evtj:h6vY"));
    assert_eq!(binding.priority, Some(0x6e00_01ff));
    assert_eq!(binding.role, Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!binding.use_candidate && binding.unknown_required.is_none());
    assert!(binding.is_authentic(&IntegrityKey::new(PWD)));
    assert!(!binding.is_authentic(&IntegrityKey::new("VOkJxbRl1RmTxUk/WvJxBu")));
    assert_eq!(peek_binding_username(&bytes), Some(("evtj", "h6vY")));
}

#[test]
fn rfc_5769_responses() {
    for (text, address) in
        [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let bytes = hex(text);
        let binding = parse(&bytes).unwrap();
        assert_eq!(binding.class, Class::Success);
        assert_eq!(binding.mapped, Some(address.parse().unwrap()));
        assert!(binding.is_authentic(&IntegrityKey::new(PWD)));
        assert_eq!(peek_binding_username(&bytes), None);
    }
}

#[test]
fn every_flipped_bit_of_a_vector_is_noticed() {
    let good = hex(REQUEST);
    let key = IntegrityKey::new(PWD);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A flip in the type of FINGERPRINT makes it an attribute nobody knows: integrity still holds
        // then, and covers all that matters. The class is covered as well.
        let is_fingerprint = bit / 8 >= good.len() - 8;
        let accepted = parse(&bytes).is_ok_and(|binding| binding.is_authentic(&key));
        assert!(!accepted || is_fingerprint, "bit {bit}");
    }
}

#[test]
fn the_stun_crate_understands_what_is_written() {
    let key = IntegrityKey::new(PWD);
    let mapped: SocketAddr = "[2001:db8::7]:4242".parse().unwrap();
    let message = Writer::new(Class::Request, [3; 12])
        .username("abcd:efgh")
        .priority(77)
        .role(Role::Controlling(5))
        .use_candidate()
        .mapped(mapped)
        .finish(Some(&key));
    let mut read = stun::message::Message::new();
    read.unmarshal_binary(&message).unwrap();
    assert_eq!(read.typ, stun::message::BINDING_REQUEST);
    stun::fingerprint::FINGERPRINT.check(&read).unwrap();
    stun::integrity::MessageIntegrity::new_short_term_integrity(PWD.into()).check(&mut read).unwrap();
    let mut address = stun::xoraddr::XorMappedAddress::default();
    address.get_from(&read).unwrap();
    assert_eq!(SocketAddr::new(address.ip, address.port), mapped);
    assert_eq!(read.get(stun::attributes::ATTR_USERNAME).unwrap(), b"abcd:efgh");

    let error = Writer::new(Class::Error, [3; 12]).error(487, "Role Conflict").finish(Some(&key));
    read.unmarshal_binary(&error).unwrap();
    let mut code = stun::error_code::ErrorCodeAttribute::default();
    code.get_from(&read).unwrap();
    assert_eq!((code.code.0, code.reason.as_slice()), (487, b"Role Conflict".as_slice()));
}

#[test]
fn what_the_stun_crate_writes_is_understood() {
    let mut message = stun::message::Message::new();
    message.set_type(stun::message::BINDING_REQUEST);
    message.transaction_id = stun::agent::TransactionId([9; 12]);
    message.write_header();
    stun::textattrs::Username::new(stun::attributes::ATTR_USERNAME, "l:r".into())
        .add_to(&mut message)
        .unwrap();
    message.add(stun::attributes::ATTR_USE_CANDIDATE, &[]);
    stun::integrity::MessageIntegrity::new_short_term_integrity(PWD.into()).add_to(&mut message).unwrap();
    stun::fingerprint::FINGERPRINT.add_to(&mut message).unwrap();
    let binding = parse(&message.raw).unwrap();
    assert_eq!((binding.transaction, binding.username), ([9; 12], Some("l:r")));
    assert!(binding.use_candidate && binding.is_authentic(&IntegrityKey::new(PWD)));
}

#[test]
fn attributes_behind_the_integrity_are_ignored() {
    let key = IntegrityKey::new(PWD);
    let mut forged = Writer::new(Class::Request, [3; 12]).username("l:r").finish(Some(&key));
    forged.truncate(forged.len() - FINGERPRINT_LEN);
    let forged = Writer { bytes: forged, transaction: [3; 12] }.use_candidate().finish(None);
    let binding = parse(&forged).unwrap();
    assert!(binding.is_authentic(&key) && !binding.use_candidate);
}

#[test]
fn malformed_messages() {
    let good = Writer::new(Class::Request, [1; 12]).username("a:b").finish(None);
    assert!(parse(&good).is_ok());
    for len in 0..good.len() {
        assert_eq!(parse(&good[..len]), Err(Malformed), "{len}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(parse(&longer), Err(Malformed));
    for (at, byte) in [(0, 0x40), (1, 3), (4, 0), (3, 0xFF)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(parse(&bad), Err(Malformed), "{at}");
    }
    for (kind, value) in [
        (MESSAGE_INTEGRITY, &[0; 19][..]),
        (PRIORITY, &[0; 3]),
        (ICE_CONTROLLING, &[0; 7]),
        (XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 0, 0, 0, 0]),
        (XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 0, 0, 0]),
        (XOR_MAPPED_ADDRESS, &[0, 2, 0, 0, 0, 0, 0, 0]),
        (XOR_MAPPED_ADDRESS, &[]),
        (ERROR_CODE, &[0, 0, 4]),
        (USERNAME, &[0xFF, 0xFE]),
    ] {
        let message = Writer::new(Class::Request, [1; 12]).attribute(kind, value).finish(None);
        assert_eq!(parse(&message), Err(Malformed), "{kind:#x} {value:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = peek_binding_username(&bytes);
        if let Ok(binding) = parse(&bytes) {
            let _ = binding.is_authentic(&IntegrityKey::new(PWD));
        }
    }

    /// Attributes of any kind and length behind a sound header reach the code behind it.
    #[test]
    fn any_attributes_are_harmless(
        attributes in prop::collection::vec(
            (prop_oneof![0u16..0x30, 0x8020u16..0x8030], prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        class in 0usize..4,
    ) {
        let class = [Class::Request, Class::Indication, Class::Success, Class::Error][class];
        let key = IntegrityKey::new(PWD);
        let writer = attributes.iter().fold(Writer::new(class, [1; 12]), |writer, (kind, value)| {
            writer.attribute(*kind, value)
        });
        let message = writer.finish(Some(&key));
        let _ = peek_binding_username(&message);
        if let Ok(binding) = parse(&message) {
            let has_own_integrity = attributes.iter().any(|(kind, _)| *kind == MESSAGE_INTEGRITY);
            prop_assert_eq!(binding.is_authentic(&key), !has_own_integrity);
        }
    }
}
