//! Whole messages to and from a server, over whichever transport. Blocking, with a deadline for each read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::observation::{Failure, TlsFault};
use super::target::Via;

/// Longest message over UDP, and longest piece of a stream that is read at once.
const MAX_DATAGRAM: usize = 65_535;

/// Shortest read timeout: zero would mean none at all.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// A path to a server.
pub(super) enum Link {
    /// One datagram is one message.
    Datagrams { socket: UdpSocket, server: SocketAddr },
    /// Messages are found by their own length.
    Stream { stream: Box<dyn Stream>, tcp: TcpStream, unread: Vec<u8> },
    /// One record is one message.
    Dtls(Box<Dtls>),
}

/// A byte stream.
pub(super) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Connects, with a handshake where there is one. A certificate that a browser would refuse is told and used.
pub(super) fn dial(
    via: Via,
    server: SocketAddr,
    host: &str,
    tls: &Tls,
    patience: Duration,
) -> Result<(Link, Option<TlsFault>), Failure> {
    match via {
        Via::Udp => Ok((Link::datagrams(socket(server)?, server), None)),
        Via::Tcp => {
            let tcp = connect(server, patience)?;
            let stream = Box::new(tcp.try_clone().map_err(|error| failure(&error))?);
            Ok((Link::Stream { stream, tcp, unread: Vec::new() }, None))
        }
        Via::Tls => {
            let tcp = connect(server, patience)?;
            let handshake = |error: String| Failure::Handshake(error);
            let verifier = Arc::new(Recorder { tls: tls.clone(), fault: Mutex::new(None) });
            let config = ClientConfig::builder_with_provider(tls.provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(|error| handshake(error.to_string()))?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_no_client_auth();
            let name = ServerName::try_from(host.to_owned()).map_err(|error| handshake(error.to_string()))?;
            let connection = ClientConnection::new(Arc::new(config), name)
                .map_err(|error| handshake(error.to_string()))?;
            tcp.set_read_timeout(Some(patience.max(MIN_WAIT))).map_err(|error| failure(&error))?;
            let mut stream = StreamOwned::new(connection, tcp.try_clone().map_err(|error| failure(&error))?);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).map_err(|error| match failure(&error) {
                    Failure::Io(text) => Failure::Handshake(text),
                    other => other,
                })?;
            }
            let fault = verifier.take();
            Ok((Link::Stream { stream: Box::new(stream), tcp, unread: Vec::new() }, fault))
        }
        Via::Dtls => {
            let mut dtls = Dtls::new(socket(server)?, server)?;
            dtls.handshake(Instant::now() + patience)?;
            let fault = dtls.fault(host, tls);
            Ok((Link::Dtls(Box::new(dtls)), fault))
        }
    }
}

fn socket(server: SocketAddr) -> Result<UdpSocket, Failure> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).map_err(|error| failure(&error))?;
    // Connected, so that a closed port is told by the system.
    socket.connect(server).map_err(|error| failure(&error))?;
    Ok(socket)
}

fn connect(server: SocketAddr, patience: Duration) -> Result<TcpStream, Failure> {
    let tcp = TcpStream::connect_timeout(&server, patience).map_err(|error| failure(&error))?;
    tcp.set_nodelay(true).map_err(|error| failure(&error))?;
    Ok(tcp)
}

impl Link {
    /// Datagrams to one address from a socket that others may send to as well.
    pub(super) fn datagrams(socket: UdpSocket, server: SocketAddr) -> Self {
        Self::Datagrams { socket, server }
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Datagrams { socket, .. } => socket.local_addr().ok(),
            Self::Stream { tcp, .. } => tcp.local_addr().ok(),
            Self::Dtls(dtls) => dtls.socket.local_addr().ok(),
        }
    }

    /// Nothing is lost on the way.
    pub(super) fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }

    /// Sends one message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Datagrams { socket, server } => match socket.peer_addr() {
                Ok(_) => sent(socket.send(message)),
                Err(_) => sent(socket.send_to(message, *server)),
            },
            Self::Stream { stream, .. } => {
                // ChannelData is padded over a stream (RFC 8656, section 12.5); STUN is by itself.
                let padding = message.len().next_multiple_of(4) - message.len();
                let padded = [message, &[0; 3][..padding]].concat();
                stream.write_all(&padded).and_then(|()| stream.flush()).map_err(|error| failure(&error))
            }
            Self::Dtls(dtls) => dtls.send(message),
        }
    }

    /// The next message, if one comes in time.
    pub(super) fn recv(&mut self, until: Instant) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Datagrams { socket, server } => loop {
                let (bytes, from) = receive(socket, until)?;
                if from == *server {
                    return Ok(bytes);
                }
            },
            Self::Stream { stream, tcp, unread } => loop {
                if let Some(message) = cut(unread) {
                    return Ok(message);
                }
                let wait = remaining(until)?;
                tcp.set_read_timeout(Some(wait)).map_err(|error| failure(&error))?;
                let mut piece = [0; 4096];
                match stream.read(&mut piece) {
                    Ok(0) => return Err(Failure::Closed),
                    Ok(length) => unread.extend_from_slice(piece.get(..length).unwrap_or_default()),
                    Err(error) => return Err(failure(&error)),
                }
            },
            Self::Dtls(dtls) => dtls.recv(until),
        }
    }

    /// Waits for exactly these bytes; anything else is passed over.
    pub(super) fn expect(&mut self, bytes: &[u8], wait: Duration) -> Result<(), Failure> {
        let until = Instant::now() + wait;
        while self.recv(until)? != bytes {}
        Ok(())
    }
}

/// The outcome of sending a datagram.
pub(super) fn sent(result: io::Result<usize>) -> Result<(), Failure> {
    result.map(|_| ()).map_err(|error| failure(&error))
}

/// Takes the first message from the bytes of a stream, if it is whole.
fn cut(unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let [first, _, high, low, ..] = *unread.as_slice() else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (whole, padded) = match first {
        0x40..=0x7F => (4 + length, (4 + length).next_multiple_of(4)),
        _ => (20 + length, 20 + length),
    };
    if unread.len() < padded {
        return None;
    }
    let mut message: Vec<u8> = unread.drain(..padded).collect();
    message.truncate(whole);
    Some(message)
}

fn receive(socket: &UdpSocket, until: Instant) -> Result<(Vec<u8>, SocketAddr), Failure> {
    socket.set_read_timeout(Some(remaining(until)?)).map_err(|error| failure(&error))?;
    let mut bytes = vec![0; MAX_DATAGRAM];
    let (length, from) = socket.recv_from(&mut bytes).map_err(|error| failure(&error))?;
    bytes.truncate(length);
    Ok((bytes, from))
}

fn remaining(until: Instant) -> Result<Duration, Failure> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failure::Silence) } else { Ok(left.max(MIN_WAIT)) }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::Silence,
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Failure::Closed,
        _ => Failure::Io(error.to_string()),
    }
}

/// How certificates are judged.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    /// `None` when this machine has no root certificates: then nothing is trusted.
    roots: Option<Arc<WebPkiServerVerifier>>,
}

/// The system's root certificates, and those of a PEM file.
pub(super) fn tls_config(extra: Option<&Path>) -> io::Result<Tls> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra {
        let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
            store.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build().ok();
    Ok(Tls { provider, roots })
}

impl Tls {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<TlsFault> {
        let Some(roots) = &self.roots else { return Some(TlsFault::UnknownIssuer) };
        match roots.verify_server_cert(leaf, chain, name, &[], now) {
            Ok(_) => None,
            Err(rustls::Error::InvalidCertificate(error)) => Some(match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    TlsFault::NotYet
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsFault::WrongName
                }
                CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
                other => TlsFault::Other(other.to_string()),
            }),
            Err(error) => Some(TlsFault::Other(error.to_string())),
        }
    }
}

/// Judges the certificate, remembers what is wrong, and goes on: what lies behind is to be examined too. The doctor
/// sends nothing that is secret.
#[derive(Debug)]
struct Recorder {
    tls: Tls,
    fault: Mutex<Option<TlsFault>>,
}

impl Recorder {
    fn take(&self) -> Option<TlsFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = self.tls.judge(leaf, chain, name, now);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.tls.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.tls.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.tls.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A DTLS association over a socket of its own.
pub(super) struct Dtls {
    socket: UdpSocket,
    server: SocketAddr,
    engine: dimpl::Dtls,
    timeout: Option<Instant>,
    connected: bool,
    certificate: Option<Vec<u8>>,
    arrived: std::collections::VecDeque<Vec<u8>>,
}

impl Dtls {
    fn new(socket: UdpSocket, server: SocketAddr) -> Result<Self, Failure> {
        let fail = |error: &dyn std::fmt::Display| Failure::Handshake(error.to_string());
        let own = dimpl::certificate::generate_self_signed_certificate().map_err(|error| fail(&error))?;
        let config = dimpl::Config::builder().build().map_err(|error| fail(&error))?;
        let mut engine = dimpl::Dtls::new_12(Arc::new(config), own, Instant::now());
        engine.set_active(true);
        let arrived = std::collections::VecDeque::new();
        Ok(Self { socket, server, engine, timeout: None, connected: false, certificate: None, arrived })
    }

    fn handshake(&mut self, until: Instant) -> Result<(), Failure> {
        self.tick()?;
        while !self.connected {
            self.step(until)?;
        }
        Ok(())
    }

    /// The leaf alone is judged: intermediate certificates are not told, so an unknown issuer means nothing.
    fn fault(&self, host: &str, tls: &Tls) -> Option<TlsFault> {
        let name = ServerName::try_from(host).ok()?;
        let leaf = CertificateDer::from(self.certificate.as_deref()?);
        tls.judge(&leaf, &[], &name, UnixTime::now()).filter(|fault| *fault != TlsFault::UnknownIssuer)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.engine.send_application_data(message).map_err(|error| Failure::Io(error.to_string()))?;
        self.drain()
    }

    fn recv(&mut self, until: Instant) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(message) = self.arrived.pop_front() {
                return Ok(message);
            }
            self.step(until)?;
        }
    }

    /// Waits for a datagram or a timer, and lets the engine have it.
    fn step(&mut self, until: Instant) -> Result<(), Failure> {
        let wake = self.timeout.map_or(until, |timeout| timeout.min(until));
        match receive(&self.socket, wake) {
            Ok((bytes, from)) if from == self.server => {
                let now = Instant::now();
                let taken = self.engine.handle_timeout(now).and_then(|()| self.engine.handle_packet(&bytes));
                taken.map_err(|error| Failure::Handshake(error.to_string()))?;
                self.drain()
            }
            Ok(_) => Ok(()),
            Err(Failure::Silence) if Instant::now() < until => self.tick(),
            Err(failure) => Err(failure),
        }
    }

    fn tick(&mut self) -> Result<(), Failure> {
        self.engine.handle_timeout(Instant::now()).map_err(|error| Failure::Handshake(error.to_string()))?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Failure> {
        let mut buffer = vec![0; 4096];
        loop {
            match self.engine.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => sent(self.socket.send(packet))?,
                dimpl::Output::BufferTooSmall { needed } if needed <= 1 << 20 => buffer.resize(needed, 0),
                dimpl::Output::PeerCert(certificate) => self.certificate = Some(certificate.to_vec()),
                dimpl::Output::Connected => self.connected = true,
                dimpl::Output::ApplicationData(data) => self.arrived.push_back(data.to_vec()),
                dimpl::Output::CloseNotify => return Err(Failure::Closed),
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_from_a_stream_at_their_own_length() {
        let binding = [&[0, 1, 0, 4][..], &[0; 20]].concat();
        let channel = [0x40, 0, 0, 5, 1, 2, 3, 4, 5];
        let mut stream: Vec<u8> = [&binding[..], &channel, &[0; 3], &binding[..10]].concat();
        assert_eq!(cut(&mut stream), Some(binding));
        assert_eq!(cut(&mut stream), Some(channel.to_vec()));
        assert_eq!(cut(&mut stream), None);
        assert_eq!(stream.len(), 10);
    }
}
