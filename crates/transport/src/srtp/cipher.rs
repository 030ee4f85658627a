//! Key derivation (RFC 3711 section 4.3) and the two families of ciphers.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};

use super::SrtpError;

/// Tag of the GCM profiles (RFC 7714 section 5).
const GCM_TAG_LEN: usize = 16;
/// Tag of the HMAC-SHA1-80 profile (RFC 3711 section 5.2).
const HMAC_TAG_LEN: usize = 10;
const HMAC_KEY_LEN: usize = 20;
const GCM_SALT_LEN: usize = 12;
const CM_SALT_LEN: usize = 14;

/// The word behind an SRTCP packet: E flag and index.
pub(super) const RTCP_INDEX_LEN: usize = 4;
/// Set when the report is encrypted, which it always is here.
pub(super) const RTCP_ENCRYPTED: u32 = 1 << 31;

/// SRTP protection profile that DTLS chose (RFC 5764, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`: four times the cost per packet of the others.
    AesCm128HmacSha1_80,
}

impl Profile {
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 => 16,
        }
    }

    pub(super) fn salt_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => GCM_SALT_LEN,
            Self::AesCm128HmacSha1_80 => CM_SALT_LEN,
        }
    }
}

/// Master key and salt of one direction.
pub(super) struct MasterKey<'a> {
    pub(super) profile: Profile,
    pub(super) key: &'a [u8],
    pub(super) salt: &'a [u8],
}

/// Labels of the derived keys (RFC 3711 section 4.3.1); those of SRTCP are three higher.
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_AUTHENTICATION: u8 = 1;
const LABEL_SALT: u8 = 2;
const LABEL_RTCP: u8 = 3;

impl MasterKey<'_> {
    /// `length` bytes of session key with a key derivation rate of zero: AES in counter mode over
    /// zeros, its IV the salt with the label in byte 7.
    pub(super) fn derive<const N: usize>(&self, label: u8) -> Option<[u8; N]> {
        let mut iv = [0; 16];
        iv.get_mut(..self.salt.len())?.copy_from_slice(self.salt);
        iv[7] ^= label;
        let mut out = [0; N];
        counter_mode_key(self.key)?
            .less_safe_encrypt(&mut out, EncryptionContext::Iv128(FixedLength::from(iv)))
            .ok()?;
        Some(out)
    }
}

fn counter_mode_key(key: &[u8]) -> Option<EncryptingKey> {
    let algorithm = if key.len() == 32 { &cipher::AES_256 } else { &cipher::AES_128 };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key).ok()?).ok()
}

/// The ciphers of SRTP and SRTCP of one direction.
pub(super) struct SessionCiphers {
    pub(super) rtp: PacketCipher,
    pub(super) rtcp: PacketCipher,
}

impl SessionCiphers {
    pub(super) fn derive(master: &MasterKey<'_>) -> Option<Self> {
        Some(Self { rtp: PacketCipher::derive(master, 0)?, rtcp: PacketCipher::derive(master, LABEL_RTCP)? })
    }
}

/// Session keys of SRTP or of SRTCP. `index` is the 48-bit packet index of a stream, or the 31-bit
/// index of a report.
pub(super) enum PacketCipher {
    Gcm { key: LessSafeKey, salt: [u8; GCM_SALT_LEN] },
    CounterMode { key: Box<EncryptingKey>, salt: [u8; CM_SALT_LEN], mac: Box<hmac::Key> },
}

impl PacketCipher {
    /// The most that a packet grows: a report with a GCM tag.
    pub(super) const MAX_OVERHEAD: usize = GCM_TAG_LEN + RTCP_INDEX_LEN;

    fn derive(master: &MasterKey<'_>, base: u8) -> Option<Self> {
        let salt_label = base + LABEL_SALT;
        match master.profile {
            Profile::AeadAes256Gcm => {
                let key: [u8; 32] = master.derive(base + LABEL_ENCRYPTION)?;
                Self::gcm(&aead::AES_256_GCM, &key, master.derive(salt_label)?)
            }
            Profile::AeadAes128Gcm => {
                let key: [u8; 16] = master.derive(base + LABEL_ENCRYPTION)?;
                Self::gcm(&aead::AES_128_GCM, &key, master.derive(salt_label)?)
            }
            Profile::AesCm128HmacSha1_80 => {
                let key: [u8; 16] = master.derive(base + LABEL_ENCRYPTION)?;
                let mac: [u8; HMAC_KEY_LEN] = master.derive(base + LABEL_AUTHENTICATION)?;
                Some(Self::CounterMode {
                    key: Box::new(counter_mode_key(&key)?),
                    salt: master.derive(salt_label)?,
                    mac: Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &mac)),
                })
            }
        }
    }

    pub(super) fn gcm(
        algorithm: &'static aead::Algorithm,
        key: &[u8],
        salt: [u8; GCM_SALT_LEN],
    ) -> Option<Self> {
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(Self::Gcm { key: LessSafeKey::new(key), salt })
    }

    #[cfg(test)]
    pub(super) fn counter_mode_for_test(key: &[u8], salt: &[u8], ssrc: u32, index: u64, payload: &mut [u8]) {
        let salt = salt.try_into().expect("14 bytes");
        counter_mode(&counter_mode_key(key).expect("16 bytes"), salt, ssrc, index, payload)
            .expect("one packet");
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG_LEN,
            Self::CounterMode { .. } => HMAC_TAG_LEN,
        }
    }

    /// Protects `packet[..len]`, whose first `clear` bytes stay readable; returns the new length.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        clear: usize,
        len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let end = len + self.tag_len();
        let packet = packet.get_mut(..end).ok_or(SrtpError::BufferTooSmall)?;
        let (message, tag) = packet.split_at_mut_checked(len).ok_or(SrtpError::Malformed)?;
        let (header, payload) = message.split_at_mut_checked(clear).ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, index);
                let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload);
                tag.copy_from_slice(sealed.map_err(|_| SrtpError::KeysUsedUp)?.as_ref());
            }
            Self::CounterMode { key, salt, mac } => {
                counter_mode(key, salt, ssrc, index, payload)?;
                // The tag also covers the rollover counter, which is not sent (section 4.2).
                let full = hmac_of(mac, message, ((index >> 16) as u32).to_be_bytes());
                tag.copy_from_slice(full.as_ref().get(..HMAC_TAG_LEN).ok_or(SrtpError::Malformed)?);
            }
        }
        Ok(end)
    }

    /// Unprotects a whole packet; returns the length that is left.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let len = packet.len().checked_sub(self.tag_len()).ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut_checked(clear).ok_or(SrtpError::Malformed)?;
                if sealed.len() < GCM_TAG_LEN {
                    return Err(SrtpError::Malformed);
                }
                let nonce = gcm_nonce(salt, ssrc, index);
                key.open_in_place(nonce, Aad::from(&*header), sealed)
                    .map_err(|_| SrtpError::Authentication)?;
            }
            Self::CounterMode { key, salt, mac } => {
                let (message, tag) = packet.split_at_mut_checked(len).ok_or(SrtpError::Malformed)?;
                verify(mac, message, ((index >> 16) as u32).to_be_bytes(), tag)?;
                let payload = message.get_mut(clear..).ok_or(SrtpError::Malformed)?;
                counter_mode(key, salt, ssrc, index, payload)?;
            }
        }
        Ok(len)
    }

    /// Protects the report `packet[..len]`; returns the new length.
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut [u8],
        clear: usize,
        len: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let end = len + self.tag_len() + RTCP_INDEX_LEN;
        let packet = packet.get_mut(..end).ok_or(SrtpError::BufferTooSmall)?;
        let word = (index | RTCP_ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                let (header, rest) = packet.split_at_mut_checked(clear).ok_or(SrtpError::Malformed)?;
                let (payload, rest) =
                    rest.split_at_mut_checked(len.saturating_sub(clear)).ok_or(SrtpError::Malformed)?;
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                let sealed =
                    key.seal_in_place_separate_tag(nonce, Aad::from(rtcp_aad(header, word)?), payload);
                let (tag, trailer) = rest.split_at_mut_checked(GCM_TAG_LEN).ok_or(SrtpError::Malformed)?;
                tag.copy_from_slice(sealed.map_err(|_| SrtpError::KeysUsedUp)?.as_ref());
                trailer.copy_from_slice(&word);
            }
            Self::CounterMode { key, salt, mac } => {
                let (message, tag) =
                    packet.split_at_mut_checked(len + RTCP_INDEX_LEN).ok_or(SrtpError::Malformed)?;
                let payload = message.get_mut(clear..len).ok_or(SrtpError::Malformed)?;
                counter_mode(key, salt, ssrc, u64::from(index), payload)?;
                message.get_mut(len..).ok_or(SrtpError::Malformed)?.copy_from_slice(&word);
                let full = hmac::sign(mac, message);
                tag.copy_from_slice(full.as_ref().get(..HMAC_TAG_LEN).ok_or(SrtpError::Malformed)?);
            }
        }
        Ok(end)
    }

    /// The index of a protected report, before it is authenticated.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::CounterMode { .. } => HMAC_TAG_LEN,
        };
        let front = packet.len().checked_sub(behind).and_then(|end| packet.get(..end));
        let word =
            front.and_then(|front| front.last_chunk::<RTCP_INDEX_LEN>()).ok_or(SrtpError::Malformed)?;
        let word = u32::from_be_bytes(*word);
        // A report in clear is never sent by a WebRTC peer.
        if word & RTCP_ENCRYPTED == 0 { Err(SrtpError::Malformed) } else { Ok(word & !RTCP_ENCRYPTED) }
    }

    /// Unprotects a whole report; returns the length that is left.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let len = packet
            .len()
            .checked_sub(self.tag_len() + RTCP_INDEX_LEN)
            .filter(|len| *len >= clear)
            .ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, rest) = packet.split_at_mut_checked(clear).ok_or(SrtpError::Malformed)?;
                let sealed = rest.get_mut(..len - clear + GCM_TAG_LEN).ok_or(SrtpError::Malformed)?;
                let aad = rtcp_aad(header, (index | RTCP_ENCRYPTED).to_be_bytes())?;
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                key.open_in_place(nonce, Aad::from(aad), sealed).map_err(|_| SrtpError::Authentication)?;
            }
            Self::CounterMode { key, salt, mac } => {
                let (message, tag) =
                    packet.split_at_mut_checked(len + RTCP_INDEX_LEN).ok_or(SrtpError::Malformed)?;
                verify(mac, message, [], tag)?;
                let payload = message.get_mut(clear..len).ok_or(SrtpError::Malformed)?;
                counter_mode(key, salt, ssrc, u64::from(index), payload)?;
            }
        }
        Ok(len)
    }
}

/// Two zero bytes, SSRC and the 48-bit index (of SRTCP: two zero bytes and the 31-bit index), all over
/// the salt (RFC 7714 sections 8.1 and 9.1).
fn gcm_nonce(salt: &[u8; GCM_SALT_LEN], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = [0; GCM_SALT_LEN];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    nonce.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    Nonce::assume_unique_for_key(nonce)
}

/// Clear header of a report and the word with its index (RFC 7714 section 9.2).
fn rtcp_aad(header: &[u8], word: [u8; RTCP_INDEX_LEN]) -> Result<[u8; 12], SrtpError> {
    let mut aad = [0; 12];
    let (front, back) = aad.split_at_mut(8);
    front.copy_from_slice(header.get(..8).ok_or(SrtpError::Malformed)?);
    back.copy_from_slice(&word);
    Ok(aad)
}

/// AES in counter mode with salt, SSRC and index in the IV (RFC 3711 section 4.1.1).
fn counter_mode(
    key: &EncryptingKey,
    salt: &[u8; CM_SALT_LEN],
    ssrc: u32,
    index: u64,
    payload: &mut [u8],
) -> Result<(), SrtpError> {
    let mut iv = [0; 16];
    iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
    iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    iv.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    key.less_safe_encrypt(payload, EncryptionContext::Iv128(FixedLength::from(iv)))
        .map(|_| ())
        .map_err(|_| SrtpError::KeysUsedUp)
}

fn hmac_of<const N: usize>(mac: &hmac::Key, message: &[u8], trailer: [u8; N]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(mac);
    context.update(message);
    context.update(&trailer);
    context.sign()
}

fn verify<const N: usize>(
    mac: &hmac::Key,
    message: &[u8],
    trailer: [u8; N],
    tag: &[u8],
) -> Result<(), SrtpError> {
    let full = hmac_of(mac, message, trailer);
    let expected = full.as_ref().get(..HMAC_TAG_LEN).ok_or(SrtpError::Malformed)?;
    constant_time::verify_slices_are_equal(expected, tag).map_err(|_| SrtpError::Authentication)
}
