//! The SCTP association (RFC 9260, RFC 8831) of one transport: the only file that names `sctp-proto`.
//!
//! The implementation draws verification tags and cookies from the thread's own generator. It bounds what it holds
//! for reassembly by the receive window; [`super::guard`] bounds the rest of what a peer can make it keep.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association as Sctp, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier as Ppid, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use super::{DataParameters, MAX_MESSAGE_LEN, MAX_STREAMS, Reliability, SCTP_PORT};

/// Bytes that a peer may send before they are read: the window that we announce.
const RECEIVE_BUFFER: u32 = 64 * 1024;
/// Payload of a chunk. With the headers of SCTP, DTLS, UDP, IPv6 and a TURN channel it stays within 1,280 bytes.
const MAX_PAYLOAD: u32 = 1_160;
/// RFC 9260 begins at 3 s and never goes under 1 s, which a person waits for; WebRTC stacks use less. The least is what
/// libwebrtc has: peers say what has come 200 ms later, and who takes that for a loss sends one packet at a time from then
/// on, each of which is acknowledged 200 ms later again.
const RTO_INITIAL_MS: u64 = 500;
const RTO_MIN_MS: u64 = 400;
const RTO_MAX_MS: u64 = 10_000;
/// The association has one peer, which DTLS names: addresses mean nothing to it.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), SCTP_PORT);

/// What a message carries (RFC 8831, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dcep,
    Text,
    Binary,
}

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    /// How many chunks it came in.
    pub(crate) chunks: usize,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    Established,
    Readable(u16),
    /// The peer reset the stream.
    Finished(u16),
    Lost,
}

pub(crate) struct Association {
    endpoint: Endpoint,
    handle: AssociationHandle,
    sctp: Sctp,
}

fn transport_config(remote: DataParameters) -> Arc<TransportConfig> {
    Arc::new(
        TransportConfig::default()
            .with_local_port(SCTP_PORT)
            .with_remote_port(remote.port)
            .with_max_receive_buffer_size(RECEIVE_BUFFER)
            .with_max_receive_message_size(MAX_MESSAGE_LEN as u32)
            // What is sent was looked at before.
            .with_max_send_message_size(RECEIVE_BUFFER)
            .with_max_num_inbound_streams(MAX_STREAMS)
            .with_max_num_outbound_streams(MAX_STREAMS)
            // ICE consent says whether the peer is there; a lossy minute must not end the association.
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(RTO_INITIAL_MS)
            .with_rto_min_ms(RTO_MIN_MS)
            .with_rto_max_ms(RTO_MAX_MS),
    )
}

fn endpoint(server: Option<ServerConfig>) -> Endpoint {
    let mut config = EndpointConfig::new();
    config.max_payload_size(MAX_PAYLOAD);
    Endpoint::new(Arc::new(config), server.map(Arc::new))
}

impl Association {
    /// Begins an association.
    pub(crate) fn connect(remote: DataParameters) -> Option<Self> {
        let mut endpoint = endpoint(None);
        let mut config = ClientConfig::new();
        config.transport = transport_config(remote);
        let (handle, sctp) = endpoint.connect(config, PEER).ok()?;
        Some(Self { endpoint, handle, sctp })
    }

    /// The association that the peer begins with `packet`.
    pub(crate) fn accept(remote: DataParameters, packet: &[u8], now: Instant) -> Option<Self> {
        let mut config = ServerConfig::new();
        config.transport = transport_config(remote);
        let mut endpoint = endpoint(Some(config));
        match endpoint.handle(now, PEER, None, None, Bytes::copy_from_slice(packet))? {
            (handle, DatagramEvent::NewAssociation(sctp)) => Some(Self { endpoint, handle, sctp }),
            (_, DatagramEvent::AssociationEvent(_)) => None,
        }
    }

    pub(crate) fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        // A second association of the peer is not taken: one transport has one.
        self.endpoint.reject_new_associations();
        let handled = self.endpoint.handle(now, PEER, None, None, Bytes::copy_from_slice(packet));
        if let Some((handle, DatagramEvent::AssociationEvent(event))) = handled
            && handle == self.handle
        {
            self.sctp.handle_event(event);
        }
    }

    /// Packets to send. Call until `None`.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Vec<Bytes>> {
        match self.sctp.poll_transmit(now)?.payload {
            Payload::RawEncode(packets) => Some(packets),
            Payload::PartialDecode(_) => Some(Vec::new()),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.sctp.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.sctp.handle_timeout(now);
    }

    pub(crate) fn poll(&mut self) -> Option<Happened> {
        while let Some(event) = self.sctp.poll() {
            match event {
                Event::Connected => return Some(Happened::Established),
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => return Some(Happened::Lost),
                Event::Stream(StreamEvent::Readable { id }) => return Some(Happened::Readable(id)),
                Event::Stream(StreamEvent::Finished { id }) => return Some(Happened::Finished(id)),
                _ => {}
            }
        }
        None
    }

    /// The next whole message of a stream.
    pub(crate) fn read(&mut self, id: u16) -> Option<Message> {
        let message = self.sctp.stream(id).ok()?.read_sctp().ok()??;
        let mut bytes = vec![0; message.len()];
        message.read(&mut bytes).ok()?;
        let kind = match message.ppi {
            Ppid::Dcep => Kind::Dcep,
            Ppid::String | Ppid::StringEmpty => Kind::Text,
            Ppid::Binary | Ppid::BinaryEmpty | Ppid::Unknown => Kind::Binary,
        };
        // SCTP has no empty messages: a byte stands for nothing (RFC 8831, section 6.6).
        if matches!(message.ppi, Ppid::StringEmpty | Ppid::BinaryEmpty) {
            bytes.clear();
        }
        Some(Message { kind, bytes, chunks: message.chunks.len() })
    }

    /// Makes sure that a stream exists, and how it is to send.
    pub(crate) fn prepare(&mut self, id: u16, ordered: bool, reliability: Reliability) -> Option<()> {
        if self.sctp.stream(id).is_err() {
            self.sctp.open_stream(id, Ppid::Binary).ok()?;
        }
        let (kind, value) = match reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::MaxRetransmits(count) => (ReliabilityType::Rexmit, u32::from(count)),
            Reliability::MaxLifetimeMs(time) => (ReliabilityType::Timed, u32::from(time)),
        };
        self.sctp.stream(id).ok()?.set_reliability_params(!ordered, kind, value).ok()
    }

    /// Queues a message; the caller has looked at [`Association::buffered`].
    pub(crate) fn write(&mut self, id: u16, bytes: &[u8], kind: Kind) -> Option<()> {
        let (ppid, bytes) = match (kind, bytes) {
            (Kind::Dcep, _) => (Ppid::Dcep, bytes),
            (Kind::Text, []) => (Ppid::StringEmpty, &[0][..]),
            (Kind::Binary, []) => (Ppid::BinaryEmpty, &[0][..]),
            (Kind::Text, _) => (Ppid::String, bytes),
            (Kind::Binary, _) => (Ppid::Binary, bytes),
        };
        self.sctp.stream(id).ok()?.write_with_ppi(bytes, ppid).ok().map(|_| ())
    }

    /// Bytes of a stream that wait to be sent or acknowledged.
    pub(crate) fn buffered(&mut self, id: u16) -> usize {
        self.sctp.stream(id).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    /// Resets our direction of a stream.
    pub(crate) fn close(&mut self, id: u16) {
        if let Ok(mut stream) = self.sctp.stream(id) {
            // It fails when the association has ended, and the stream with it.
            let _ = stream.close();
        }
    }
}
