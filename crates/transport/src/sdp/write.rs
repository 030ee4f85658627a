//! The lines that every description of ours has: one place for their order and spelling.

use std::fmt::{self, Display, Write as _};

use rtp::{Extensions, MediaKind, Mid};

use crate::{MAX_MESSAGE_LEN, SCTP_PORT};

use super::types::media_word;
use super::{Candidate, Direction, Local, MediaSection, Offer, PayloadFormat, Setup, Source};

/// How an m-line begins, and its name if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    kind: &'a str,
    protocol: &'a str,
    mid: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// An m-line of an offer of ours.
    pub(super) fn offer(kind: Option<MediaKind>, mid: &'a Mid) -> Self {
        let protocol = match kind {
            None => "UDP/DTLS/SCTP",
            Some(_) => "UDP/TLS/RTP/SAVPF",
        };
        Self { kind: media_word(kind), protocol, mid: Some(mid.as_str()) }
    }

    /// The answer to an m-line, which repeats what was offered (RFC 3264, 6; RFC 8829, 5.1.2).
    pub(super) fn answer(section: &'a MediaSection) -> Self {
        Self {
            kind: media_word(section.kind),
            protocol: &section.protocol,
            mid: section.written_mid.as_deref(),
        }
    }
}

/// A text that grows by lines.
#[derive(Debug, Default)]
pub(super) struct Writer(String);

impl Writer {
    /// One line.
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        self.0.write_fmt(line).and_then(|()| self.0.write_str("\r\n")).expect("a String takes every write");
    }

    /// `v=` to the BUNDLE group, if there is one.
    pub(super) fn session(&mut self, local: &Local, bundle: &[&str], lite: bool) {
        self.line(format_args!("v=0"));
        // The address says nothing in WebRTC (RFC 8829, 5.2.1).
        self.line(format_args!("o=- {} {} IN IP4 127.0.0.1", local.session_id, local.version));
        self.line(format_args!("s=-"));
        self.line(format_args!("t=0 0"));
        if !bundle.is_empty() {
            self.line(format_args!("a=group:BUNDLE {}", bundle.join(" ")));
        }
        self.line(format_args!("a=msid-semantic: WMS *"));
        if lite {
            self.line(format_args!("a=ice-lite"));
        }
    }

    /// Both forms of header extensions may be mixed (RFC 8285, 4.1.2), if the offer says so: a dependency descriptor is
    /// longer than the one-byte form takes.
    pub(super) fn extmap_mixed(&mut self, offer: &Offer) {
        if offer.extmap_mixed {
            self.line(format_args!("a=extmap-allow-mixed"));
        }
    }

    /// The m-line of RTP media and its transport. `payload_types` as [`payload_types`] gives them.
    pub(super) fn media(&mut self, line: Line<'_>, codecs: &[PayloadFormat], local: &Local, setup: Setup) {
        let Line { kind, protocol, mid } = line;
        let formats = payload_types(codecs).fold(String::new(), |list, number| format!("{list} {number}"));
        self.line(format_args!("m={kind} 9 {protocol}{formats}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
        self.transport(mid, local, setup);
    }

    /// The m-line of data channels (RFC 8841).
    pub(super) fn data_channels(&mut self, line: Line<'_>, local: &Local, setup: Setup) {
        let Line { kind, protocol, mid } = line;
        self.line(format_args!("m={kind} 9 {protocol} webrtc-datachannel"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.transport(mid, local, setup);
        self.line(format_args!("a=sctp-port:{SCTP_PORT}"));
        self.line(format_args!("a=max-message-size:{MAX_MESSAGE_LEN}"));
    }

    fn transport(&mut self, mid: Option<&str>, local: &Local, setup: Setup) {
        self.line(format_args!("a=ice-ufrag:{}", local.ice.ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.ice.pwd));
        self.line(format_args!("a=fingerprint:{}", local.fingerprint));
        self.line(format_args!("a=setup:{}", setup.as_str()));
        self.mid(mid);
    }

    fn mid(&mut self, mid: Option<&str>) {
        if let Some(mid) = mid {
            self.line(format_args!("a=mid:{mid}"));
        }
    }

    /// RTCP on the port of RTP, and of reduced size if both sides take that.
    pub(super) fn rtcp(&mut self, reduced_size: bool) {
        self.line(format_args!("a=rtcp-mux"));
        if reduced_size {
            self.line(format_args!("a=rtcp-rsize"));
        }
    }

    /// All our addresses; there will be no more.
    pub(super) fn candidates(&mut self, local: &Local) {
        for (index, address) in local.addresses.iter().enumerate() {
            self.line(format_args!("a=candidate:{}", Candidate::host(*address, index)));
        }
        for (index, address) in local.tcp_addresses.iter().enumerate() {
            self.line(format_args!("a=candidate:{}", Candidate::tcp_host(*address, index)));
        }
        self.line(format_args!("a=end-of-candidates"));
    }

    /// An m-line that is not used: port 0, the formats repeated (RFC 8829, 5.3.1).
    pub(super) fn rejected(&mut self, section: &MediaSection) {
        let formats = section.formats.iter().fold(String::new(), |list, format| format!("{list} {format}"));
        self.line(format_args!("m={} 0 {}{formats}", section.media_word, section.protocol));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.mid(section.written_mid.as_deref());
        self.line(format_args!("a=inactive"));
    }

    /// Header extensions, without direction.
    pub(super) fn extensions(&mut self, map: &Extensions) {
        for (extension, id) in map.iter() {
            self.line(format_args!("a=extmap:{id} {}", extension.uri()));
        }
    }

    /// Header extensions as the answer to `section`, which wrote the directions.
    pub(super) fn answer_extensions(&mut self, map: &Extensions, section: &MediaSection) {
        for (extension, id) in map.iter() {
            let offered = section.extensions.iter().find(|(other, _, _)| *other == extension);
            let direction = match offered.map(|(_, _, direction)| *direction) {
                Some(Direction::SendOnly) => "/recvonly",
                Some(Direction::RecvOnly) => "/sendonly",
                _ => "",
            };
            self.line(format_args!("a=extmap:{id}{direction} {}", extension.uri()));
        }
    }

    /// `a=rtpmap`, `a=rtcp-fb`, `a=fmtp` of each codec and its retransmission.
    pub(super) fn codecs(&mut self, codecs: &[PayloadFormat]) {
        for codec in codecs {
            let PayloadFormat { payload_type, format, fmtp, feedback, rtx } = codec;
            let channels = if format.clock_rate() == 48_000 { "/2" } else { "" };
            self.line(format_args!(
                "a=rtpmap:{payload_type} {}/{}{channels}",
                format.name(),
                format.clock_rate()
            ));
            for value in feedback.values() {
                self.line(format_args!("a=rtcp-fb:{payload_type} {value}"));
            }
            if !fmtp.is_empty() {
                self.line(format_args!("a=fmtp:{payload_type} {fmtp}"));
            }
            if let Some(rtx) = rtx {
                self.line(format_args!("a=rtpmap:{rtx} rtx/{}", format.clock_rate()));
                self.line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
            }
        }
    }

    /// `a=content` of a source (RFC 4796).
    pub(super) fn content(&mut self, source: Source) {
        let content = match source {
            Source::Camera | Source::Microphone => "main",
            Source::Screen | Source::ScreenAudio => "slides",
        };
        self.line(format_args!("a=content:{content}"));
    }

    /// What is sent on an m-line: stream, track and SSRCs.
    pub(super) fn sender(
        &mut self,
        stream: &dyn Display,
        track: &str,
        cname: &str,
        ssrc: u32,
        rtx: Option<u32>,
    ) {
        self.line(format_args!("a=msid:{stream} {track}"));
        if let Some(rtx) = rtx {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
        for ssrc in std::iter::once(ssrc).chain(rtx) {
            self.line(format_args!("a=ssrc:{ssrc} cname:{cname}"));
            // Older clients (libwebrtc before unified plan, and players built on it) read stream and track here.
            self.line(format_args!("a=ssrc:{ssrc} msid:{stream} {track}"));
        }
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The payload types of a codec list in the order of the m-line: each codec, then its retransmission.
fn payload_types(codecs: &[PayloadFormat]) -> impl Iterator<Item = u8> + '_ {
    codecs.iter().flat_map(|codec| std::iter::once(codec.payload_type).chain(codec.rtx))
}
