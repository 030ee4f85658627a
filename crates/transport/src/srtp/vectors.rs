//! Known answers: RFC 3711 appendix B, RFC 7714 sections 16 and 17, and a pair of whole packets of
//! AES_CM_128_HMAC_SHA1_80 that the common implementations test themselves with.

use super::RTCP_CLEAR_LEN;
use super::cipher::{MasterKey, PacketCipher, Profile, SessionCiphers};
use super::{SRTP_OVERHEAD, contexts};

pub(super) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Bytes with room for the tag behind them.
fn roomy(packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + SRTP_OVERHEAD, 0);
    buffer
}

/// RFC 3711 B.3: keys derived from a master key.
#[test]
fn key_derivation_of_rfc_3711() {
    let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
    let master = MasterKey { profile: Profile::AesCm128HmacSha1_80, key: &key, salt: &salt };
    assert_eq!(master.derive::<16>(0).unwrap().to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(master.derive::<14>(2).unwrap().to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        master.derive::<96>(1).unwrap().to_vec(),
        hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7\
             2270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB\
             60DBDFB2DC68")
    );
}

/// RFC 3711 B.2: the key stream of AES in counter mode, first blocks and around 2^16.
#[test]
fn key_stream_of_rfc_3711() {
    let (key, salt) = (hex("2B7E151628AED2A6ABF7158809CF4F3C"), hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
    let mut stream = vec![0; 0xFF02 * 16];
    PacketCipher::counter_mode_for_test(&key, &salt, 0, 0, &mut stream);
    for (block, expected) in [
        (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xFEFF, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xFF00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xFF01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ] {
        assert_eq!(stream[block * 16..][..16].to_vec(), hex(expected), "block {block:#x}");
    }
}

const GCM_SALT: &str = "517569642070726f2071756f";
const GCM_RTP: &str =
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
const GCM_RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeef\
    deadbeefdeadbeef";
const GCM_RTCP_INDEX: u32 = 0x5d4;

fn gcm(key_len: u8) -> PacketCipher {
    let key: Vec<u8> = (0..key_len).collect();
    let algorithm = if key_len == 16 { &aws_lc_rs::aead::AES_128_GCM } else { &aws_lc_rs::aead::AES_256_GCM };
    PacketCipher::gcm(algorithm, &key, hex(GCM_SALT).try_into().unwrap()).unwrap()
}

/// RFC 7714 sections 16.1 and 16.2.
#[test]
fn rtp_of_rfc_7714() {
    for (key_len, expected) in [
        (
            16,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de\
             3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba6\
             3799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let (plain, cipher) = (hex(GCM_RTP), gcm(key_len));
        let mut buffer = roomy(&plain);
        let len = cipher.seal_rtp(&mut buffer, 12, plain.len(), 0x5501_a0b2, 0xf17b).unwrap();
        assert_eq!(buffer[..len].to_vec(), hex(expected));
        let len = cipher.open_rtp(&mut buffer[..len], 12, 0x5501_a0b2, 0xf17b).unwrap();
        assert_eq!(buffer[..len].to_vec(), plain);
    }
}

/// RFC 7714 sections 17.1 and 17.2.
#[test]
fn rtcp_of_rfc_7714() {
    for (key_len, expected) in [
        (
            16,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b468630\
             3ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            32,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61d\
             e0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ] {
        let (plain, cipher) = (hex(GCM_RTCP), gcm(key_len));
        let mut buffer = roomy(&plain);
        let len =
            cipher.seal_rtcp(&mut buffer, RTCP_CLEAR_LEN, plain.len(), 0x4d61_7273, GCM_RTCP_INDEX).unwrap();
        assert_eq!(buffer[..len].to_vec(), hex(expected));
        assert_eq!(cipher.rtcp_index(&buffer[..len]), Ok(GCM_RTCP_INDEX));
        let len = cipher.open_rtcp(&mut buffer[..len], RTCP_CLEAR_LEN, 0x4d61_7273, GCM_RTCP_INDEX).unwrap();
        assert_eq!(buffer[..len].to_vec(), plain);
    }
}

/// A report with the tag but in clear (RFC 7714 section 17.3) is not what a WebRTC peer sends.
#[test]
fn a_report_in_clear_is_refused() {
    let tagged = hex(&format!("{GCM_RTCP}841dd9683dd78ec92ae58790125f62b3000005d4"));
    assert!(gcm(16).rtcp_index(&tagged).is_err());
}

/// Whole packets through key derivation, cipher and tag: the reference pair of libsrtp.
#[test]
fn counter_mode_packets() {
    let material = {
        let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
        [key.clone(), key, salt.clone(), salt].concat()
    };
    let (mut sender, mut receiver) = contexts(Profile::AesCm128HmacSha1_80, &material, true).unwrap();

    let plain = [hex("800f1234decafbadcafebabe"), vec![0xab; 16]].concat();
    let mut buffer = roomy(&plain);
    let len = sender.protect_rtp(&mut buffer, plain.len()).unwrap();
    let expected = hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    assert_eq!(buffer[..len].to_vec(), expected);
    assert_eq!(receiver.unprotect_rtp(&mut buffer[..len]).unwrap().to_vec(), plain);

    let plain = [hex("81c8000bcafebabe"), vec![0xab; 16]].concat();
    let mut buffer = roomy(&plain);
    let len = sender.protect_rtcp(&mut buffer, plain.len()).unwrap();
    let expected = hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798");
    assert_eq!(buffer[..len].to_vec(), expected);
    assert_eq!(receiver.unprotect_rtcp(&mut buffer[..len]).unwrap().to_vec(), plain);
}

/// RFC 7714 says nothing of derivation beyond RFC 3711: the same function with a salt of 12 bytes.
#[test]
fn session_keys_of_the_gcm_profiles_differ_by_use() {
    let key = [7; 32];
    let master = MasterKey { profile: Profile::AeadAes256Gcm, key: &key, salt: &[9; 12] };
    let labels: std::collections::BTreeSet<[u8; 32]> =
        [0, 2, 3, 5].into_iter().map(|label| master.derive::<32>(label).unwrap()).collect();
    assert_eq!(labels.len(), 4);
    assert!(SessionCiphers::derive(&master).is_some());
}
