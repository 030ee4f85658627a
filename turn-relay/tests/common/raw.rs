//! A client that says exactly what it is told to, over UDP, TCP or TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use contract::turn::Credential;
use rustls::pki_types::{CertificateDer, ServerName};
use stun::attributes::*;
use stun::error_code::ErrorCodeAttribute;
use stun::integrity::MessageIntegrity;
use stun::message::*;
use stun::xoraddr::XorMappedAddress;
use turn_proto::{MAX_MESSAGE, message_length};

use super::{PATIENCE, REALM};

pub(crate) type Attributes<'a> = &'a [(AttrType, Vec<u8>)];

/// How bytes travel.
pub(crate) enum Wire {
    Datagrams(UdpSocket),
    Stream(Box<dyn ReadWrite + Send>, Vec<u8>),
}

pub(crate) trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Wire {
    pub(crate) fn udp(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((server.ip(), 0)).expect("a socket");
        socket.connect(server).expect("connects");
        socket.set_read_timeout(Some(PATIENCE)).expect("an option");
        Self::Datagrams(socket)
    }

    pub(crate) fn tcp(server: SocketAddr) -> Self {
        Self::Stream(Box::new(stream(server)), Vec::new())
    }

    pub(crate) fn tls(server: SocketAddr, root: &CertificateDer<'static>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        Self::Stream(Box::new(rustls::StreamOwned::new(tls, stream(server))), Vec::new())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Datagrams(socket) => drop(socket.send(bytes).expect("sends")),
            Self::Stream(stream, _) => stream.write_all(bytes).expect("sends"),
        }
    }

    /// The next message; `None` at the end of a stream.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buf = vec![0; MAX_MESSAGE];
        match self {
            Self::Datagrams(socket) => {
                let length = socket.recv(&mut buf).expect("arrives in time");
                Some(buf[..length].to_vec())
            }
            Self::Stream(stream, rest) => loop {
                if let Some(length) = message_length(rest, MAX_MESSAGE).expect("a message")
                    && length <= rest.len()
                {
                    return Some(rest.drain(..length).collect());
                }
                match stream.read(&mut buf) {
                    Ok(0) => return None,
                    Ok(read) => rest.extend_from_slice(&buf[..read]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came"),
                    // A server that closes with something unread resets; that is an end too.
                    Err(_) => return None,
                }
            },
        }
    }
}

fn stream(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
    stream.set_nodelay(true).expect("an option");
    stream
}

pub(crate) struct Raw {
    pub(crate) wire: Wire,
    credential: Credential,
    nonce: Vec<u8>,
    next_id: u64,
    /// What came while an answer was awaited.
    pub(crate) inbox: Vec<Vec<u8>>,
}

impl Raw {
    pub(crate) fn new(wire: Wire, credential: Credential) -> Self {
        Self { wire, credential, nonce: Vec::new(), next_id: 0, inbox: Vec::new() }
    }

    /// Asks, after a challenge where there was none.
    pub(crate) fn ask(&mut self, method: Method, attributes: Attributes<'_>) -> Message {
        if self.nonce.is_empty() {
            let request = self.message(method, CLASS_REQUEST, attributes);
            let challenge = self.exchange(&request);
            assert_eq!(code(&challenge), 401);
            self.nonce = challenge.get(ATTR_NONCE).expect("a nonce");
        }
        let mut request = self.message(method, CLASS_REQUEST, attributes);
        request.add(ATTR_USERNAME, self.credential.username.as_bytes());
        request.add(ATTR_REALM, REALM.as_bytes());
        request.add(ATTR_NONCE, &self.nonce);
        let (name, password) = (self.credential.username.clone(), self.credential.password.clone());
        MessageIntegrity::new_long_term_integrity(name, REALM.into(), password)
            .add_to(&mut request)
            .expect("signs");
        self.exchange(&request)
    }

    pub(crate) fn message(&mut self, method: Method, class: MessageClass, list: Attributes<'_>) -> Message {
        self.next_id += 1;
        let mut message = Message::new();
        message.typ = MessageType::new(method, class);
        message.transaction_id.0[4..].copy_from_slice(&self.next_id.to_be_bytes());
        message.write_header();
        for (typ, value) in list {
            if *typ == ATTR_XOR_PEER_ADDRESS {
                let text = std::str::from_utf8(value).expect("an address as text");
                let at: SocketAddr = text.parse().expect("an address");
                let peer = XorMappedAddress { ip: at.ip(), port: at.port() };
                peer.add_to_as(&mut message, *typ).expect("fits");
            } else {
                message.add(*typ, value);
            }
        }
        message
    }

    fn exchange(&mut self, request: &Message) -> Message {
        self.wire.send(&request.raw);
        loop {
            let bytes = self.wire.receive().expect("an answer");
            let mut message = Message::new();
            let is_stun = bytes.first().is_some_and(|first| first >> 6 == 0);
            if is_stun
                && message.unmarshal_binary(&bytes).is_ok()
                && message.transaction_id == request.transaction_id
            {
                return message;
            }
            self.inbox.push(bytes);
        }
    }

    /// The relayed address.
    pub(crate) fn allocate(&mut self) -> SocketAddr {
        let answer = self.ask(METHOD_ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0])]);
        assert_eq!(code(&answer), 0);
        let mut address = XorMappedAddress::default();
        address.get_from_as(&answer, ATTR_XOR_RELAYED_ADDRESS).expect("an address");
        SocketAddr::new(address.ip, address.port)
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) -> u16 {
        code(&self.ask(METHOD_CREATE_PERMISSION, &[peer_attribute(peer)]))
    }

    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let [a, b] = number.to_be_bytes();
        let number = (ATTR_CHANNEL_NUMBER, vec![a, b, 0, 0]);
        code(&self.ask(METHOD_CHANNEL_BIND, &[number, peer_attribute(peer)]))
    }

    /// A Send indication.
    pub(crate) fn send_to(&mut self, peer: SocketAddr, data: &[u8], more: Attributes<'_>) {
        let mut list = vec![peer_attribute(peer)];
        list.extend_from_slice(more);
        list.push((ATTR_DATA, data.to_vec()));
        let message = self.message(METHOD_SEND, CLASS_INDICATION, &list);
        self.wire.send(&message.raw);
    }

    /// ChannelData, padded over a stream.
    pub(crate) fn channel(&mut self, number: u16, data: &[u8]) {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        if matches!(self.wire, Wire::Stream(..)) {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        self.wire.send(&bytes);
    }

    /// The next message that answers no request.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        if self.inbox.is_empty() { self.wire.receive().expect("a message") } else { self.inbox.remove(0) }
    }

    /// The next Data indication: peer, DATA, ICMP.
    pub(crate) fn data(&mut self) -> (SocketAddr, Option<Vec<u8>>, Option<Vec<u8>>) {
        let mut message = Message::new();
        message.unmarshal_binary(&self.receive()).expect("a STUN message");
        assert_eq!(message.typ, MessageType::new(METHOD_DATA, CLASS_INDICATION));
        let mut peer = XorMappedAddress::default();
        peer.get_from_as(&message, ATTR_XOR_PEER_ADDRESS).expect("a peer");
        let icmp = message.get(AttrType(0x8004)).ok();
        (SocketAddr::new(peer.ip, peer.port), message.get(ATTR_DATA).ok(), icmp)
    }
}

pub(crate) fn peer_attribute(peer: SocketAddr) -> (AttrType, Vec<u8>) {
    (ATTR_XOR_PEER_ADDRESS, peer.to_string().into_bytes())
}

/// The error code; 0 for a success.
pub(crate) fn code(message: &Message) -> u16 {
    if message.typ.class == CLASS_SUCCESS_RESPONSE {
        return 0;
    }
    let mut error = ErrorCodeAttribute::default();
    error.get_from(message).expect("ERROR-CODE");
    error.code.0
}

/// A socket on loopback with a time limit.
pub(crate) fn socket(at: &str) -> UdpSocket {
    let socket = UdpSocket::bind(at).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
    socket
}
