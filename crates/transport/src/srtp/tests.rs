//! Sender to receiver: order, loss, repetition, forgery and bytes of any kind.

use proptest::prelude::*;

use super::*;

const PROFILES: [Profile; 3] = [Profile::AeadAes256Gcm, Profile::AeadAes128Gcm, Profile::AesCm128HmacSha1_80];

/// A client's sender and its server's receiver.
fn pair(profile: Profile) -> (Sender, Receiver) {
    let material: Vec<u8> = (0..2 * (profile.key_len() + profile.salt_len()) as u8).collect();
    let (sender, _) = contexts(profile, &material, true).unwrap();
    let (_, receiver) = contexts(profile, &material, false).unwrap();
    (sender, receiver)
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xBE, 0xDE, 0, 1, 0x10, 0xAA, 0, 0]);
    packet.extend(payload);
    packet
}

fn protect(sender: &mut Sender, plain: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + SRTP_OVERHEAD, 0);
    let len = sender.protect_rtp(&mut buffer, plain.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

#[test]
fn a_repeatable_packet_leaves_twice_as_the_same_bytes_and_no_other_packet_under_its_number() {
    let protect = |sender: &mut Sender, plain: &[u8]| {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + SRTP_OVERHEAD, 0);
        let len = sender.protect_rtp_repeatable(&mut buffer, plain.len())?;
        buffer.truncate(len);
        Ok::<_, SrtpError>(buffer)
    };
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        // Over the rollover of the sequence number.
        let numbers: Vec<u16> = (0..300u16).map(|i| i.wrapping_sub(200)).collect();
        let plain: Vec<Vec<u8>> =
            numbers.iter().map(|&number| rtp(7, number, &number.to_be_bytes())).collect();
        let first: Vec<Vec<u8>> = plain.iter().map(|packet| protect(&mut sender, packet).unwrap()).collect();
        for (packet, sent) in plain.iter().zip(&first).skip(300 - MAX_REPEATABLE) {
            assert_eq!(&protect(&mut sender, packet).unwrap(), sent, "{profile:?}");
            assert_eq!(receiver.unprotect_rtp(&mut sent.clone()).unwrap().to_vec(), *packet);
        }
        let too_old = &plain[300 - MAX_REPEATABLE - 1];
        assert_eq!(protect(&mut sender, too_old), Err(SrtpError::Reused));
        assert_eq!(protect(&mut sender, &rtp(7, 99, b"other")), Err(SrtpError::Reused), "{profile:?}");
        let mut other_header = plain[299].clone();
        other_header[4] ^= 1;
        assert_eq!(protect(&mut sender, &other_header), Err(SrtpError::Reused), "{profile:?}");
        assert!(protect(&mut sender, &rtp(7, 100, b"next")).is_ok());
    }
}

fn report(ssrc: u32, body: &[u8]) -> Vec<u8> {
    [&[0x81, 201, 0, 7][..], &ssrc.to_be_bytes(), body].concat()
}

fn protect_report(sender: &mut Sender, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + SRTP_OVERHEAD, 0);
    let len = sender.protect_rtcp(&mut buffer, plain.len()).unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn packets_survive_rollovers_in_every_profile() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        for index in 0..200_000u32 {
            // Most are lost, so rollovers happen without the packets at the edge as well.
            let sequence = (30_000 + index) as u16;
            if !index.is_multiple_of(501) && !sequence.is_multiple_of(8191) {
                continue;
            }
            let plain = rtp(7, sequence, &index.to_be_bytes());
            let mut sealed = protect(&mut sender, &plain).unwrap();
            assert_ne!(sealed[20..24], plain[20..24]);
            assert_eq!(receiver.unprotect_rtp(&mut sealed).unwrap().to_vec(), plain, "{profile:?} {index}");
        }
    }
}

#[test]
fn reordered_packets_pass_once_within_the_window() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let mut sealed: Vec<Vec<u8>> = (0..3000u16)
            .map(|at| protect(&mut sender, &rtp(7, at.wrapping_add(65_000), b"x")).unwrap())
            .collect();
        let mut late = sealed[1000].clone();
        let mut too_late = sealed[2].clone();
        assert!(receiver.unprotect_rtp(&mut sealed[0].clone()).is_ok());
        // Blocks of 1,000 from the back: the first of each is 1,000 behind the newest.
        for block in 0..2 {
            for at in (0..1000).rev() {
                let packet = &mut sealed[1 + block * 1000 + at];
                assert!(receiver.unprotect_rtp(&mut packet.clone()).is_ok(), "{profile:?} {block} {at}");
                let repeated = receiver.unprotect_rtp(packet);
                assert_eq!(repeated.unwrap_err(), SrtpError::Replayed);
            }
        }
        assert_eq!(receiver.unprotect_rtp(&mut late).unwrap_err(), SrtpError::Replayed);
        assert_eq!(receiver.unprotect_rtp(&mut too_late).unwrap_err(), SrtpError::Replayed);
    }
}

#[test]
fn a_sequence_number_is_protected_once() {
    let (mut sender, _) = pair(Profile::AeadAes128Gcm);
    protect(&mut sender, &rtp(7, 10, b"first")).unwrap();
    protect(&mut sender, &rtp(7, 12, b"third")).unwrap();
    protect(&mut sender, &rtp(7, 11, b"second")).unwrap();
    assert_eq!(protect(&mut sender, &rtp(7, 11, b"another")), Err(SrtpError::Reused));
    assert!(protect(&mut sender, &rtp(8, 11, b"another stream")).is_ok());
}

#[test]
fn a_buffer_without_room_is_refused_unchanged() {
    let (mut sender, _) = pair(Profile::AesCm128HmacSha1_80);
    let plain = rtp(7, 1, b"payload");
    let mut buffer = [plain.clone(), vec![0; SRTP_OVERHEAD - 1]].concat();
    assert_eq!(sender.protect_rtp(&mut buffer, plain.len()), Err(SrtpError::BufferTooSmall));
    assert_eq!(sender.protect_rtp(&mut buffer, usize::MAX), Err(SrtpError::BufferTooSmall));
    assert_eq!(buffer[..plain.len()], plain);
    assert!(protect(&mut sender, &plain).is_ok());
}

#[test]
fn every_flipped_bit_is_noticed() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let sealed = protect(&mut sender, &rtp(7, 300, b"payload")).unwrap();
        let sealed_report = protect_report(&mut sender, &report(7, b"0123456789"));
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver.unprotect_rtp(&mut forged).is_err(), "{profile:?} bit {bit}");
        }
        for bit in 0..sealed_report.len() * 8 {
            let mut forged = sealed_report.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver.unprotect_rtcp(&mut forged).is_err(), "{profile:?} report bit {bit}");
        }
        assert!(receiver.unprotect_rtp(&mut sealed.clone()).is_ok());
        assert!(receiver.unprotect_rtcp(&mut sealed_report.clone()).is_ok());
    }
}

#[test]
fn reports_pass_once_in_any_order() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let plain = report(9, b"receiver report of some size");
        let sealed: Vec<Vec<u8>> = (0..50).map(|_| protect_report(&mut sender, &plain)).collect();
        for packet in sealed.iter().rev() {
            assert_eq!(receiver.unprotect_rtcp(&mut packet.clone()).unwrap().to_vec(), plain);
            assert_eq!(receiver.unprotect_rtcp(&mut packet.clone()).unwrap_err(), SrtpError::Replayed);
        }
    }
}

#[test]
fn keys_of_the_other_direction_do_not_fit() {
    for profile in PROFILES {
        let material: Vec<u8> = (0..2 * (profile.key_len() + profile.salt_len()) as u8).collect();
        let (mut sender, mut receiver) = contexts(profile, &material, true).unwrap();
        let mut sealed = protect(&mut sender, &rtp(7, 1, b"own packet")).unwrap();
        assert_eq!(receiver.unprotect_rtp(&mut sealed).unwrap_err(), SrtpError::Authentication);
        assert!(contexts(profile, &material[1..], true).is_none());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..120), first in 0x80u8..0xC0) {
        for profile in PROFILES {
            let (mut sender, mut receiver) = pair(profile);
            let mut packet = bytes.clone();
            if let Some(byte) = packet.first_mut() {
                *byte = first;
            }
            prop_assert!(receiver.unprotect_rtp(&mut packet.clone()).is_err());
            prop_assert!(receiver.unprotect_rtcp(&mut packet.clone()).is_err());
            let mut buffer = [packet.as_slice(), &[0; SRTP_OVERHEAD]].concat();
            let _ = sender.protect_rtp(&mut buffer.clone(), packet.len());
            let _ = sender.protect_rtcp(&mut buffer, packet.len());
        }
    }

    #[test]
    fn any_payload_round_trips(payload in prop::collection::vec(any::<u8>(), 0..1300), start in 0u16..0x8000) {
        for profile in PROFILES {
            let (mut sender, mut receiver) = pair(profile);
            let plain = rtp(3, start, &payload);
            let mut sealed = protect(&mut sender, &plain).unwrap();
            prop_assert!(sealed.len() <= plain.len() + SRTP_OVERHEAD);
            prop_assert_eq!(receiver.unprotect_rtp(&mut sealed).unwrap().to_vec(), plain);
        }
    }
}
