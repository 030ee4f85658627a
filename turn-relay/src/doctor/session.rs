//! A TURN client as plain as can be: one request at a time, no timers of its own. The doctor and the benchmarks use
//! it.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use stun::agent::TransactionId;
use stun::attributes::{
    ATTR_ALTERNATE_SERVER, ATTR_NONCE, ATTR_REALM, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS,
    ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS, AttrType,
};
use stun::error_code::ErrorCodeAttribute;
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter as _,
    METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_DATA,
    METHOD_REFRESH, METHOD_SEND, Message, MessageClass, MessageType, Method, Setter,
};
use stun::textattrs::TextAttribute;
use stun::xoraddr::XorMappedAddress;
use turn::proto::PROTO_UDP;
use turn::proto::channum::ChannelNumber;
use turn::proto::data::Data;
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::reqtrans::RequestedTransport;

use super::link::Link;
use super::observation::Failure;

/// The one channel of a session.
const CHANNEL: u16 = 0x4000;

/// Data that came while a response was awaited; more than the doctor sends is dropped.
const MAX_INBOX: usize = 64;

/// First wait for a response over datagrams, doubled for each retransmission (RFC 8489, section 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(250);

type Attributes = Vec<Box<dyn Setter>>;

/// User name and password.
#[derive(Debug, Clone)]
pub struct Credential {
    /// USERNAME.
    pub username: String,
    /// Its password.
    pub password: String,
}

/// One client of one server. Each request waits for its answer.
///
/// # Errors
/// Every method: why the step failed.
pub struct Session {
    link: Link,
    patience: Duration,
    realm: String,
    nonce: String,
    login: Option<(Credential, MessageIntegrity)>,
    inbox: VecDeque<Arrived>,
}

/// Data from a peer.
enum Arrived {
    Indication(SocketAddr, Vec<u8>),
    Channel(Vec<u8>),
}

impl Session {
    /// A client over UDP that knows nothing of the server yet; `patience` is how long an answer may take.
    #[must_use]
    pub fn over_udp(socket: UdpSocket, server: SocketAddr, patience: Duration) -> Self {
        Self::new(Link::datagrams(socket, server), patience)
    }

    pub(super) fn new(link: Link, patience: Duration) -> Self {
        let (realm, nonce) = (String::new(), String::new());
        Self { link, patience, realm, nonce, login: None, inbox: VecDeque::new() }
    }

    /// The address that the server sees.
    pub fn binding(&mut self) -> Result<SocketAddr, Failure> {
        let response = self.transact(METHOD_BINDING, &Vec::new)?;
        address(&response, ATTR_XORMAPPED_ADDRESS, "XOR-MAPPED-ADDRESS")
    }

    /// An Allocate without credentials: the realm that the server names, or nothing when it wants none.
    pub fn challenge(&mut self) -> Result<Option<String>, Failure> {
        match self.transact(METHOD_ALLOCATE, &allocate) {
            Ok(_) => Ok(None),
            Err(Failure::Error { code: 401, .. }) if !self.nonce.is_empty() => Ok(Some(self.realm.clone())),
            Err(Failure::Error { code: 401, .. }) => Err(Failure::Malformed("NONCE or REALM")),
            Err(failure) => Err(failure),
        }
    }

    /// The relayed address.
    pub fn allocate(&mut self, credential: &Credential) -> Result<SocketAddr, Failure> {
        self.log_in(credential.clone());
        let response = self.transact(METHOD_ALLOCATE, &allocate)?;
        address(&response, ATTR_XOR_RELAYED_ADDRESS, "XOR-RELAYED-ADDRESS")
    }

    /// Lets this peer's address in (CreatePermission).
    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), Failure> {
        self.transact(METHOD_CREATE_PERMISSION, &|| vec![Box::new(to(peer))]).map(|_| ())
    }

    /// Binds the one channel of this session to a peer.
    pub fn bind_channel(&mut self, peer: SocketAddr) -> Result<(), Failure> {
        let attributes = || -> Attributes { vec![Box::new(ChannelNumber(CHANNEL)), Box::new(to(peer))] };
        self.transact(METHOD_CHANNEL_BIND, &attributes).map(|_| ())
    }

    /// Keeps the allocation.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        self.transact(METHOD_REFRESH, &Vec::new).map(|_| ())
    }

    /// Ends the allocation.
    pub fn delete(&mut self) -> Result<(), Failure> {
        self.transact(METHOD_REFRESH, &|| vec![Box::new(Lifetime(Duration::ZERO))]).map(|_| ())
    }

    /// Sends a Send indication.
    pub fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), Failure> {
        let message = send_indication(peer, data)?;
        self.link.send(&message)
    }

    /// ChannelData on the channel that was bound.
    pub fn send_channel(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.link.send(&channel_data(data))
    }

    /// Waits for this data in a Data indication; its peer.
    pub fn data(&mut self, data: &[u8], wait: Duration) -> Result<SocketAddr, Failure> {
        self.arrived(wait, |arrived| match arrived {
            Arrived::Indication(from, bytes) if bytes == data => Some(*from),
            _ => None,
        })
    }

    /// Waits for this data as ChannelData.
    pub fn channel_data(&mut self, data: &[u8], wait: Duration) -> Result<(), Failure> {
        self.arrived(wait, |arrived| {
            matches!(arrived, Arrived::Channel(bytes) if bytes == data).then_some(())
        })
    }

    fn arrived<T>(&mut self, wait: Duration, wanted: impl Fn(&Arrived) -> Option<T>) -> Result<T, Failure> {
        let until = Instant::now() + wait;
        loop {
            while let Some(arrived) = self.inbox.pop_front() {
                if let Some(value) = wanted(&arrived) {
                    return Ok(value);
                }
            }
            let bytes = self.link.recv(until)?;
            self.sort(&bytes);
        }
    }

    /// Keeps data for later; gives back anything else that is a STUN message.
    fn sort(&mut self, bytes: &[u8]) -> Option<Message> {
        let arrived = match bytes {
            [number_high, number_low, high, low, payload @ ..] if (0x40..0x80).contains(number_high) => {
                let ours = u16::from_be_bytes([*number_high, *number_low]) == CHANNEL;
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                payload.get(..length).filter(|_| ours).map(|payload| Arrived::Channel(payload.to_vec()))
            }
            _ => {
                let mut message = Message::new();
                message.unmarshal_binary(bytes).ok()?;
                if message.typ != MessageType::new(METHOD_DATA, CLASS_INDICATION) {
                    return Some(message);
                }
                let mut data = Data::default();
                let from = address(&message, ATTR_XOR_PEER_ADDRESS, "XOR-PEER-ADDRESS").ok();
                from.filter(|_| data.get_from(&message).is_ok()).map(|from| Arrived::Indication(from, data.0))
            }
        };
        if let Some(arrived) = arrived
            && self.inbox.len() < MAX_INBOX
        {
            self.inbox.push_back(arrived);
        }
        None
    }

    fn log_in(&mut self, credential: Credential) {
        let Credential { username, password } = credential.clone();
        let integrity = MessageIntegrity::new_long_term_integrity(username, self.realm.clone(), password);
        self.login = Some((credential, integrity));
    }

    /// A request and its success response. A stale nonce is replaced once.
    fn transact(&mut self, method: Method, attributes: &dyn Fn() -> Attributes) -> Result<Message, Failure> {
        match self.ask(method, attributes()) {
            Err(Failure::Error { code: 438, .. }) => self.ask(method, attributes()),
            result => result,
        }
    }

    fn ask(&mut self, method: Method, mut attributes: Attributes) -> Result<Message, Failure> {
        let signed = self.login.is_some() && method != METHOD_BINDING;
        if let Some((credential, integrity)) = self.login.as_ref().filter(|_| signed) {
            let text = |attribute, text: &str| Box::new(TextAttribute::new(attribute, text.to_owned()));
            attributes.push(text(ATTR_USERNAME, &credential.username));
            attributes.push(text(ATTR_REALM, &self.realm));
            attributes.push(text(ATTR_NONCE, &self.nonce));
            attributes.push(Box::new(integrity.clone()));
        }
        attributes.push(Box::new(FINGERPRINT));
        let id = TransactionId::new();
        let request = message(method, CLASS_REQUEST, id, attributes)?;
        let end = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        loop {
            self.link.send(&request.raw)?;
            let until = if self.link.is_reliable() { end } else { end.min(Instant::now() + wait) };
            match self.answer(id, until) {
                Err(Failure::Silence) if Instant::now() < end => wait *= 2,
                Err(failure) => return Err(failure),
                Ok(response) => return self.judge(response, method, signed),
            }
        }
    }

    fn answer(&mut self, id: TransactionId, until: Instant) -> Result<Message, Failure> {
        loop {
            let bytes = self.link.recv(until)?;
            if let Some(message) = self.sort(&bytes)
                && message.transaction_id == id
            {
                return Ok(message);
            }
        }
    }

    fn judge(&mut self, mut response: Message, method: Method, signed: bool) -> Result<Message, Failure> {
        if response.typ == MessageType::new(method, CLASS_SUCCESS_RESPONSE) {
            let mut authentic =
                |(_, integrity): &(_, MessageIntegrity)| integrity.check(&mut response).is_ok();
            return match self.login.as_ref().filter(|_| signed) {
                Some(login) if !authentic(login) => Err(Failure::Unsigned),
                _ => Ok(response),
            };
        }
        if response.typ != MessageType::new(method, CLASS_ERROR_RESPONSE) {
            return Err(Failure::Malformed("type that fits the request"));
        }
        let mut error = ErrorCodeAttribute::default();
        error.get_from(&response).map_err(|_| Failure::Malformed("ERROR-CODE"))?;
        if matches!(error.code.0, 401 | 438) {
            let text = |attribute| TextAttribute::get_from_as(&response, attribute).map(|text| text.text);
            if let (Ok(realm), Ok(nonce)) = (text(ATTR_REALM), text(ATTR_NONCE)) {
                (self.realm, self.nonce) = (realm, nonce);
                if let Some((credential, _)) = self.login.take() {
                    self.log_in(credential);
                }
            }
        }
        Err(Failure::Error {
            code: error.code.0,
            reason: String::from_utf8_lossy(&error.reason).into_owned(),
            alternate: alternate(&response),
        })
    }
}

/// A Send indication with this data for this peer.
///
/// # Errors
/// The data is too long for a message.
pub fn send_indication(peer: SocketAddr, data: &[u8]) -> Result<Vec<u8>, Failure> {
    let attributes: Attributes = vec![Box::new(to(peer)), Box::new(Data(data.to_vec()))];
    Ok(message(METHOD_SEND, CLASS_INDICATION, TransactionId::new(), attributes)?.raw)
}

/// ChannelData for the one channel of a session.
#[must_use]
pub fn channel_data(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut message = [CHANNEL.to_be_bytes(), length.to_be_bytes()].concat();
    message.extend_from_slice(data);
    message
}

fn allocate() -> Attributes {
    vec![Box::new(RequestedTransport { protocol: PROTO_UDP })]
}

fn to(peer: SocketAddr) -> PeerAddress {
    PeerAddress { ip: peer.ip(), port: peer.port() }
}

fn message(
    method: Method,
    class: MessageClass,
    id: TransactionId,
    attributes: Attributes,
) -> Result<Message, Failure> {
    let mut message = Message::new();
    let mut parts: Attributes = vec![Box::new(id), Box::new(MessageType::new(method, class))];
    parts.extend(attributes);
    // Only an attribute that is too long fails: a user name or a realm.
    message.build(&parts).map_err(|error| Failure::Io(format!("the request cannot be written: {error}")))?;
    Ok(message)
}

fn address(message: &Message, attribute: AttrType, name: &'static str) -> Result<SocketAddr, Failure> {
    let mut address = XorMappedAddress::default();
    address.get_from_as(message, attribute).map_err(|_| Failure::Malformed(name))?;
    Ok(SocketAddr::new(address.ip, address.port))
}

/// ALTERNATE-SERVER is an address in the clear (RFC 8489, section 14.15).
fn alternate(message: &Message) -> Option<SocketAddr> {
    match *message.get(ATTR_ALTERNATE_SERVER).ok()?.as_slice() {
        [_, 1, high, low, a, b, c, d] => Some(([a, b, c, d], u16::from_be_bytes([high, low])).into()),
        [_, 2, high, low, ref ip @ ..] => {
            let ip: [u8; 16] = ip.try_into().ok()?;
            Some((ip, u16::from_be_bytes([high, low])).into())
        }
        _ => None,
    }
}
