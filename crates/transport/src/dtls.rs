//! The DTLS association of one transport: the only place that names `dimpl`'s types of a connection.
//!
//! Created when the first address is validated, so that a session whose ICE never starts costs nothing.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{CertificateError, CryptoError, Dtls, Error, Output, SecurityError, SrtpProfile};

use crate::close::{ALERT, CloseReason, content_type, next_plaintext_sequence};
use crate::identity::{Fingerprint, HANDSHAKE_TIMEOUT, Identity};
use crate::srtp::{self, Profile, Receiver, Sender};

/// Largest record the implementation may hand out; a certificate of a peer is the largest thing in it.
const MAX_OUTPUT: usize = 64 * 1024;

/// Outputs of the implementation that are looked through for an alert when it has failed.
const MAX_LAST_OUTPUTS: usize = 32;

/// What the association wants from its transport.
pub(crate) enum DtlsOutput {
    /// A datagram to send.
    Packet(Vec<u8>),
    /// The peer is who the signaling said, and media has its keys.
    Connected(Box<Sender>, Box<Receiver>),
    /// What a record of the authenticated peer carried: a packet of SCTP.
    Data(Vec<u8>),
    /// The association is no more, and nothing comes over it; media has its keys and goes on.
    Lost,
    /// It is over; nothing more comes.
    Closed(CloseReason),
}

pub(crate) struct DtlsAssociation {
    dtls: Option<Dtls>,
    is_client: bool,
    remote_fingerprint: Fingerprint,
    is_verified: bool,
    is_connected: bool,
    timeout: Option<Instant>,
    /// The first sequence number of epoch 0 that none of our records has had.
    next_sequence: u64,
    /// When the handshake must be done. The implementation's own limit begins with the first message,
    /// which a peer may never send.
    deadline: Instant,
}

impl DtlsAssociation {
    pub(crate) fn new(
        identity: &Identity,
        is_client: bool,
        remote_fingerprint: Fingerprint,
        now: Instant,
    ) -> Self {
        let config = Arc::clone(identity.dtls_config());
        // Version 1.2 by name: with 1.3 the implementation follows the client's list of SRTP profiles,
        // which costs four times as much per packet with some browsers.
        let mut dtls = Dtls::new_12(config, identity.certificate().clone(), now);
        dtls.set_active(is_client);
        Self {
            dtls: Some(dtls),
            is_client,
            remote_fingerprint,
            is_verified: false,
            is_connected: false,
            timeout: None,
            next_sequence: 0,
            deadline: now + HANDSHAKE_TIMEOUT,
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        if self.is_connected {
            return self.timeout;
        }
        Some(self.timeout.map_or(self.deadline, |timeout| timeout.min(self.deadline)))
    }

    pub(crate) fn handle_packet(&mut self, packet: &[u8], now: Instant, out: &mut dyn FnMut(DtlsOutput)) {
        let Some(dtls) = &mut self.dtls else { return };
        let result = dtls.handle_timeout(now).and_then(|()| dtls.handle_packet(packet));
        self.finish(result, out);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut dyn FnMut(DtlsOutput)) {
        if !self.is_connected && now >= self.deadline {
            return self.fail(CloseReason::HandshakeTimeout, out);
        }
        let Some(dtls) = &mut self.dtls else { return };
        let result = dtls.handle_timeout(now);
        self.finish(result, out);
    }

    /// Sends a packet of SCTP in a record of its own; before the handshake is done it is dropped.
    pub(crate) fn send(&mut self, data: &[u8], now: Instant, out: &mut dyn FnMut(DtlsOutput)) {
        let Some(dtls) = self.dtls.as_mut().filter(|_| self.is_connected) else { return };
        let result = dtls.handle_timeout(now).and_then(|()| dtls.send_application_data(data));
        self.finish(result.map(|_| ()), out);
    }

    /// Sends close_notify where there is somebody to read it.
    pub(crate) fn close(&mut self, now: Instant, out: &mut dyn FnMut(DtlsOutput)) {
        let Some(dtls) = &mut self.dtls else { return };
        let result = dtls.handle_timeout(now).and_then(|()| dtls.close());
        self.finish(result, out);
        self.dtls = None;
        self.timeout = None;
    }

    fn finish(&mut self, result: Result<(), Error>, out: &mut dyn FnMut(DtlsOutput)) {
        match result {
            Ok(()) => self.drain(out),
            // Every error is final for the association. Once media has its keys, they are all that is needed of it, so
            // nothing but an alert ends the call, which is authenticated by now. Consent still does.
            Err(error) if self.is_connected && !is_fatal_alert(&error) => {
                tracing::debug!(%error, "DTLS association ended by an error; media goes on");
                self.dtls = None;
                self.timeout = None;
                out(DtlsOutput::Lost);
            }
            Err(error) => self.fail(close_reason(&error), out),
        }
    }

    /// The end. Who is not authenticated yet is told with an alert: that of the implementation if it has one.
    fn fail(&mut self, reason: CloseReason, out: &mut dyn FnMut(DtlsOutput)) {
        let is_told = self.is_connected || self.send_alerts(out);
        if let Some(alert) = reason.alert().filter(|_| !is_told) {
            out(DtlsOutput::Packet(alert.record(self.next_sequence)));
        }
        self.dtls = None;
        self.timeout = None;
        out(DtlsOutput::Closed(reason));
    }

    #[cfg(test)]
    pub(crate) fn fail_after_connecting(&mut self, out: &mut dyn FnMut(DtlsOutput)) {
        assert!(self.is_connected);
        self.finish(Err(Error::ReceiveQueueFull), out);
    }

    /// Sends the alerts that the implementation has made on its way out, and nothing else of what it has left. Returns
    /// whether there was one.
    fn send_alerts(&mut self, out: &mut dyn FnMut(DtlsOutput)) -> bool {
        let mut found = false;
        let mut buffer = [0; 2048];
        for _ in 0..MAX_LAST_OUTPUTS {
            let Some(dtls) = &mut self.dtls else { break };
            match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) if content_type(packet) == Some(ALERT) => {
                    found = true;
                    out(DtlsOutput::Packet(packet.to_vec()));
                }
                Output::Packet(packet) => {
                    self.next_sequence = self.next_sequence.max(next_plaintext_sequence(packet));
                }
                Output::Timeout(_) | Output::BufferTooSmall { .. } => break,
                _ => {}
            }
        }
        found
    }

    fn drain(&mut self, out: &mut dyn FnMut(DtlsOutput)) {
        let mut stack = [0; 2048];
        let mut heap = Vec::new();
        let mut is_established = false;
        let mut keys = None;
        while let Some(dtls) = &mut self.dtls {
            let buffer = if heap.is_empty() { &mut stack[..] } else { &mut heap[..] };
            match dtls.poll_output(buffer) {
                Output::Packet(packet) => {
                    if !self.is_connected {
                        self.next_sequence = self.next_sequence.max(next_plaintext_sequence(packet));
                    }
                    out(DtlsOutput::Packet(packet.to_vec()));
                }
                Output::BufferTooSmall { needed } => {
                    if needed <= heap.len() || needed > MAX_OUTPUT {
                        return self
                            .fail(CloseReason::Dtls("a record is larger than any buffer".into()), out);
                    }
                    heap.resize(needed, 0);
                }
                Output::PeerCert(certificate) => {
                    self.is_verified = self.remote_fingerprint.matches(certificate);
                    if !self.is_verified {
                        return self.fail(CloseReason::FingerprintMismatch, out);
                    }
                }
                Output::KeyingMaterial(material, profile) => {
                    keys = profile_of(profile)
                        .and_then(|profile| srtp::contexts(profile, &material, self.is_client));
                }
                Output::Connected => is_established = true,
                Output::CloseNotify => return self.fail(CloseReason::PeerClosed, out),
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    break;
                }
                // Before the certificate is compared nobody says who sends.
                Output::ApplicationData(data) if self.is_connected => out(DtlsOutput::Data(data.to_vec())),
                // An unknown output of a newer version is no reason to end a call.
                _ => {}
            }
        }
        match keys {
            _ if !is_established => {}
            _ if !self.is_verified => self.fail(CloseReason::FingerprintMismatch, out),
            None => {
                // The handshake itself is done, so what tells the peer is encrypted: a goodbye.
                if let Some(dtls) = &mut self.dtls {
                    let _ = dtls.close();
                }
                self.fail(CloseReason::NoSrtp, out)
            }
            Some((sender, receiver)) => {
                self.is_connected = true;
                out(DtlsOutput::Connected(Box::new(sender), Box::new(receiver)));
            }
        }
    }
}

fn is_fatal_alert(error: &Error) -> bool {
    matches!(error, Error::SecurityError(SecurityError::FatalAlert { .. }))
}

fn profile_of(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::AesCm128HmacSha1_80),
        _ => None,
    }
}

fn close_reason(error: &Error) -> CloseReason {
    match error {
        Error::Timeout(_) => CloseReason::HandshakeTimeout,
        Error::SecurityError(SecurityError::FatalAlert { description }) => CloseReason::Alert(*description),
        // The implementation speaks ECDSA only. Browsers make such certificates unless a page asks for
        // another kind.
        Error::CryptoError(
            CryptoError::UnsupportedPublicKeyAlgorithm
            | CryptoError::UnsupportedSignatureAlgorithm(_)
            | CryptoError::UnsupportedSignaturePair { .. }
            | CryptoError::UnsupportedSignatureVerification { .. }
            | CryptoError::SignatureAlgorithmNotOfferedByClient
            | CryptoError::UnsupportedEcCurve
            | CryptoError::MissingEcCurveParameter,
        )
        | Error::CertificateError(
            CertificateError::MissingEcCurveParameter
            | CertificateError::UnsupportedEcCurve
            | CertificateError::UnsupportedHashAlgorithm(_)
            // A peer whose certificate is of a kind that was not asked for sends an empty list (RFC 5246, 7.4.6).
            | CertificateError::NoClientCertificateReceived,
        )
        | Error::SecurityError(SecurityError::NoMutuallyAcceptableCipherSuite) => {
            CloseReason::UnsupportedCertificate
        }
        other => CloseReason::Dtls(other.to_string()),
    }
}
