//! Encoders with layers, and a decoder that knows what each frame needs.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::{cell::RefCell, time::Instant};

use media::PictureId;
use media::dependency::{Descriptor, Structure};
use rtp::rtcp::{Compound, RtcpPacket};
use rtp::{Codec, Extension, Extensions, Header, HeaderWriter, RtpPacket};
use sfu_core::Format;

use crate::common::{self, RTX_PT, VIDEO_PT};

/// How a stream is layered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pub codec: Codec,
    pub spatial: u8,
    pub temporal: u8,
    /// Spatial layers need each other at keyframes only.
    pub key: bool,
    /// With the dependency descriptor; VP8 then says nothing of layers in its payload, as Chromium does it.
    pub described: bool,
}

/// What a frame (of one spatial layer) really is.
#[derive(Debug, Clone)]
pub struct Truth {
    pub encoding: u8,
    pub picture: u64,
    pub spatial: u8,
    pub temporal: u8,
    pub keyframe: bool,
    pub packets: u8,
    pub needs: Vec<u32>,
}

/// All frames that were made, by id.
pub type Truths = Rc<RefCell<Vec<Truth>>>;

pub fn publisher_ids() -> Extensions {
    common::publisher_extensions().with(Extension::DependencyDescriptor, 12)
}

pub fn viewer_ids() -> Extensions {
    common::viewer_extensions().with(Extension::DependencyDescriptor, 7)
}

pub fn format(codec: Codec, payload_type: u8, rtx: u8) -> Format {
    Format { codec, ..common::video_format(payload_type, rtx) }
}

/// One encoder with its packetizer.
pub struct Encoder {
    pub mode: Mode,
    pub ssrc: u32,
    pub rid: Option<&'static str>,
    pub encoding: u8,
    pub packets_per_frame: u8,
    pub keyframe_wanted: bool,
    pub height: u16,
    truths: Truths,
    sequence: u16,
    picture: u64,
    picture_id: u16,
    tl0: u8,
    number: u16,
    template_offset: u8,
    start: Option<Instant>,
    /// The last frame of each layer, with its frame number.
    last: HashMap<(u8, u8), (u32, u16)>,
    /// Pictures since the last cycle of temporal layers began.
    phase: usize,
    rtx_sequence: u16,
    history: BTreeMap<u16, Vec<u8>>,
}

impl Encoder {
    pub fn new(mode: Mode, encoding: u8, truths: &Truths) -> Self {
        let seed = u32::from(encoding) * 7919 + 13;
        Self {
            mode,
            ssrc: 1000 + u32::from(encoding),
            rid: None,
            encoding,
            packets_per_frame: 2,
            keyframe_wanted: true,
            height: 720,
            truths: truths.clone(),
            sequence: (seed as u16).wrapping_mul(9973),
            picture: 0,
            picture_id: 0x7ff0 + u16::from(encoding),
            tl0: 250 + encoding,
            number: 0xfff0 + u16::from(encoding),
            template_offset: 50 + encoding * 3,
            start: None,
            last: HashMap::new(),
            phase: 0,
            rtx_sequence: 5,
            history: BTreeMap::new(),
        }
    }

    /// The packets of the next picture.
    pub fn picture(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let start = *self.start.get_or_insert(now);
        let ticks = now.duration_since(start).as_micros() * 90_000 / 1_000_000;
        let timestamp = (ticks as u32).wrapping_add(self.ssrc.wrapping_mul(2_654_435_761));
        let keyframe = std::mem::take(&mut self.keyframe_wanted);
        self.picture += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        if keyframe {
            self.phase = 0;
        }
        let pattern: &[u8] = match self.mode.temporal {
            1 => &[0],
            2 => &[0, 1],
            _ => &[0, 2, 1, 2],
        };
        let temporal = pattern[self.phase % pattern.len()];
        // The second of the highest layer builds on the middle one.
        let on = if self.phase % pattern.len() == 3 { 1 } else { 0 };
        self.phase += 1;
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let mut packets = Vec::new();
        let mut below = None;
        for spatial in 0..self.mode.spatial {
            self.number = self.number.wrapping_add(1);
            let mut needs = Vec::new();
            if !keyframe {
                needs.push(self.last[&(spatial, on)]);
            }
            if spatial > 0 && (keyframe || !self.mode.key) {
                needs.extend(below);
            }
            let count = self.packets_per_frame * if keyframe { 2 } else { 1 };
            let id = self.truths.borrow().len() as u32;
            self.truths.borrow_mut().push(Truth {
                encoding: self.encoding,
                picture: (u64::from(self.encoding) << 40) | self.picture,
                spatial,
                temporal,
                keyframe: keyframe && spatial == 0,
                packets: count,
                needs: needs.iter().map(|(id, _)| *id).collect(),
            });
            for index in 0..count {
                let frame = Frame { id, index, count, spatial, temporal, keyframe, on };
                let differences: Vec<u16> =
                    needs.iter().map(|(_, number)| self.number.wrapping_sub(*number)).collect();
                packets.push(self.packet(&frame, timestamp, &differences));
            }
            below = Some((id, self.number));
            self.last.insert((spatial, temporal), (id, self.number));
        }
        packets
    }

    fn packet(&mut self, frame: &Frame, timestamp: u32, differences: &[u16]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let last = frame.index + 1 == frame.count;
        let mut payload = self.descriptor(frame, last);
        payload.push(match self.mode.codec {
            Codec::Vp8 => u8::from(!frame.keyframe),
            _ => 0x88,
        });
        payload.extend(frame.id.to_be_bytes());
        payload.extend([frame.index, frame.count]);
        let room = 100 * (1 + usize::from(frame.spatial)) * (1 + usize::from(self.encoding));
        payload.resize(payload.len() + room, 0xee);
        let marker = last && frame.spatial + 1 == self.mode.spatial;
        let packet = self.wrap(VIDEO_PT, self.sequence, timestamp, self.ssrc, marker, false, &payload, |e| {
            e.mode.described.then(|| e.dependency(frame, last, differences))
        });
        self.history.insert(self.sequence, packet.clone());
        if self.history.len() > 2000 {
            let oldest = *self.history.keys().max_by_key(|&&s| self.sequence.wrapping_sub(s)).unwrap();
            self.history.remove(&oldest);
        }
        packet
    }

    /// The payload descriptor of the codec.
    fn descriptor(&self, frame: &Frame, last: bool) -> Vec<u8> {
        let first = frame.index == 0;
        let [p0, p1] = (self.picture_id | 0x8000).to_be_bytes();
        match self.mode.codec {
            Codec::Vp8 if self.mode.described => vec![if first { 0x10 } else { 0 }],
            Codec::Vp8 => {
                let sync = frame.temporal > 0 && frame.on == 0;
                let layer = (frame.temporal << 6) | (u8::from(sync) << 5);
                vec![if first { 0x90 } else { 0x80 }, 0xe0, p0, p1, self.tl0, layer]
            }
            Codec::Vp9 => {
                let top = frame.spatial + 1 == self.mode.spatial;
                let alone = top || (self.mode.key && !frame.keyframe);
                let sized = first && frame.keyframe && frame.spatial == 0;
                let bit = |set: bool, bit: u8| if set { bit } else { 0 };
                let flags = 0xa0
                    | bit(!frame.keyframe, 0x40)
                    | bit(first, 0x08)
                    | bit(last, 0x04)
                    | bit(sized, 0x02)
                    | bit(alone, 0x01);
                let needs_lower = frame.spatial > 0 && (frame.keyframe || !self.mode.key);
                let layer = (frame.temporal << 5) | 0x10 | (frame.spatial << 1) | u8::from(needs_lower);
                let mut out = vec![flags, p0, p1, layer, self.tl0];
                if sized {
                    out.push(((self.mode.spatial - 1) << 5) | 0x10);
                    for spatial in 0..self.mode.spatial {
                        let height = self.height >> (self.mode.spatial - 1 - spatial);
                        out.extend((height * 16 / 9).to_be_bytes());
                        out.extend(height.to_be_bytes());
                    }
                }
                out
            }
            Codec::H264 => {
                let needed = frame.temporal == 0 || frame.keyframe;
                let kind = if frame.keyframe { 5 } else { 1 };
                let flags = if first { 0x80 } else { 0 } | if last { 0x40 } else { 0 };
                vec![if needed { 0x60 } else { 0 } | 28, flags | kind]
            }
            _ => vec![if frame.keyframe && frame.spatial == 0 && first { 0x08 } else { 0 }],
        }
    }

    /// The dependency descriptor: layers by template, everything else by the frame itself.
    fn dependency(&self, frame: &Frame, last: bool, differences: &[u16]) -> Vec<u8> {
        let (spatials, temporals) = (self.mode.spatial, self.mode.temporal);
        let structure = frame.keyframe && frame.spatial == 0 && frame.index == 0;
        let template = frame.spatial * temporals + frame.temporal;
        let mut w = Bits::default();
        w.put(u32::from(frame.index == 0), 1).put(last.into(), 1);
        w.put(u32::from(self.template_offset + template) % 64, 6).put(self.number.into(), 16);
        w.put(structure.into(), 1).put(0b0110, 4);
        if structure {
            w.put(self.template_offset.into(), 6).put(u32::from(spatials * temporals) - 1, 5);
            for template in 0..spatials * temporals {
                let next = template + 1;
                let at_end = next == spatials * temporals;
                w.put(
                    if at_end {
                        3
                    } else if next % temporals == 0 {
                        2
                    } else {
                        1
                    },
                    2,
                );
            }
            for (spatial, temporal) in self.layers() {
                for (to, upto) in self.layers() {
                    w.put(if spatial <= to && temporal <= upto { 2 } else { 0 }, 2);
                }
            }
            w.put(0, u32::from(spatials * temporals));
            // No chains: a number below one more than the targets, zero.
            let limit = u32::from(spatials * temporals) + 1;
            w.put(0, 31 - limit.leading_zeros());
            w.put(1, 1);
            for spatial in 0..spatials {
                let height = u32::from(self.height >> (spatials - 1 - spatial));
                w.put(height * 16 / 9 - 1, 16).put(height - 1, 16);
            }
        }
        for (to, upto) in self.layers() {
            let separate = self.mode.key && !frame.keyframe;
            let part =
                frame.temporal <= upto && if separate { to == frame.spatial } else { frame.spatial <= to };
            let indication = if !part {
                0
            } else if frame.keyframe {
                2
            } else if frame.spatial < to {
                3
            } else if frame.temporal == upto && frame.temporal > 0 {
                1
            } else if frame.temporal == 0 || frame.on == 0 {
                2
            } else {
                3
            };
            w.put(indication, 2);
        }
        for &difference in differences {
            w.put(2, 2).put(u32::from(difference) - 1, 8);
        }
        w.put(0, 2);
        w.bytes()
    }

    fn layers(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let (spatials, temporals) = (self.mode.spatial, self.mode.temporal);
        (0..spatials).flat_map(move |spatial| (0..temporals).map(move |temporal| (spatial, temporal)))
    }

    #[allow(clippy::too_many_arguments)]
    fn wrap(
        &self,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        marker: bool,
        rtx: bool,
        payload: &[u8],
        described: impl FnOnce(&Self) -> Option<Vec<u8>>,
    ) -> Vec<u8> {
        let mut writer = HeaderWriter::new();
        writer.start(&Header { marker, payload_type, sequence, timestamp, ssrc, padded: false }, true);
        let ids = publisher_ids();
        writer.element(ids.id(Extension::Mid).unwrap(), b"0");
        if let Some(rid) = self.rid {
            let extension = if rtx { Extension::RepairedRid } else { Extension::Rid };
            writer.element(ids.id(extension).unwrap(), rid.as_bytes());
        }
        if let Some(value) = described(self) {
            writer.element(ids.id(Extension::DependencyDescriptor).unwrap(), &value);
        }
        writer.finish();
        [writer.bytes(), payload].concat()
    }

    /// Answers NACKs with retransmissions, PLIs with a keyframe.
    pub fn handle_rtcp(&mut self, rtcp: &[u8]) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        for packet in Compound::new(rtcp) {
            match packet {
                RtcpPacket::Nack { media_ssrc, missing } if media_ssrc == self.ssrc => {
                    answers.extend(missing.iter().filter_map(|sequence| self.retransmit(sequence)));
                }
                RtcpPacket::Pli { media_ssrc } if media_ssrc == self.ssrc => self.keyframe_wanted = true,
                _ => {}
            }
        }
        answers
    }

    fn retransmit(&mut self, sequence: u16) -> Option<Vec<u8>> {
        let original = self.history.get(&sequence)?.clone();
        let packet = RtpPacket::parse(&original).unwrap();
        let payload = [&sequence.to_be_bytes(), packet.payload()].concat();
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let described = packet.extension(&publisher_ids(), Extension::DependencyDescriptor);
        let (timestamp, marker, ssrc) = (packet.timestamp, packet.marker, self.ssrc ^ 0x8000_0000);
        Some(self.wrap(RTX_PT, self.rtx_sequence, timestamp, ssrc, marker, true, &payload, |_| {
            described.map(<[u8]>::to_vec)
        }))
    }
}

struct Frame {
    id: u32,
    index: u8,
    count: u8,
    spatial: u8,
    temporal: u8,
    keyframe: bool,
    on: u8,
}

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u32, count: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.chunks(8).map(|c| (0..8).fold(0, |b, i| b << 1 | u8::from(c.get(i) == Some(&true)))).collect()
    }
}

/// What a viewer decoded.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Ids of the frames, in order.
    pub frames: Vec<u32>,
    /// Pictures that do not end, because the stream was cut there.
    pub cut: usize,
    /// Places that were filled with padding.
    pub fillers: usize,
}

/// Decodes a stream without gaps, and checks everything that a receiver relies on.
pub fn decode(mode: Mode, packets: &BTreeMap<u64, Vec<u8>>, truths: &Truths) -> Decoded {
    let truths = truths.borrow();
    let mut out = Decoded::default();
    let mut done: HashMap<u32, u16> = HashMap::new();
    let mut structure: Option<Structure> = None;
    let mut frame: Option<(u32, u8, u16)> = None;
    let mut last: Option<Last> = None;
    let mut previous = None;
    // Temporal layers of VP8 seen since the last keyframe.
    let mut temporals = [false; 4];
    // Places filled since the last packet.
    let mut filled = 0;
    for (&seq, bytes) in packets {
        if let Some(previous) = previous.replace(seq) {
            assert_eq!(seq, previous + 1, "a gap in the sequence numbers");
        }
        let packet = RtpPacket::parse(bytes).unwrap();
        if packet.payload().is_empty() {
            out.fillers += 1;
            filled += 1;
            continue;
        }
        let (numbers, id, index, count) = understand(mode.codec, packet.payload());
        let truth = &truths[id as usize];
        let described = packet.extension(&viewer_ids(), Extension::DependencyDescriptor);
        let described =
            described.map(|value| Descriptor::parse(value, &mut structure).expect("a descriptor"));
        assert_eq!(described.is_some(), mode.described);
        if let Some(descriptor) = &described {
            let known = descriptor.frame.expect("a template of the structure that came before");
            assert_eq!((known.spatial, known.temporal), (truth.spatial, truth.temporal));
        }
        // Numbers.
        // After a pause a picture may come once more, from the ring.
        let again = index == 0 && truth.spatial == 0;
        let new_picture = again || last.as_ref().is_none_or(|last| last.picture != truth.picture);
        if let Some(last) = &last {
            assert!(new_picture || !last.marker, "a marker inside a picture before {seq}");
            out.cut += usize::from(new_picture && !last.marker);
            let ahead = packet.timestamp.wrapping_sub(last.timestamp) as i32;
            assert!(if new_picture { ahead > 0 } else { ahead == 0 }, "time at {seq}");
            if let (Some((id, tl0)), Some((last_id, last_tl0))) = (numbers, last.numbers) {
                let step = id.wrapping_sub(last_id) & 0x7fff;
                match mode.codec {
                    _ if !new_picture => assert_eq!(step, 0),
                    // The id of a picture that was lost as a whole, and came late to be left out, stays unused.
                    Codec::Vp8 => assert!((1..=1 + filled).contains(&step), "picture id at {seq}: {step}"),
                    // A picture that was left out keeps its number, at most half of a cycle of layers here.
                    _ => assert!((1..=4).contains(&step), "picture id at {seq}: {step}"),
                }
                let base = u8::from(new_picture && truth.temporal == 0);
                assert_eq!(tl0.wrapping_sub(last_tl0), base, "TL0PICIDX at {seq}");
            }
            if let (Some(descriptor), Some(number)) = (&described, last.number) {
                let step = descriptor.frame_number.wrapping_sub(number);
                assert!(
                    if index == 0 { (1..=40).contains(&step) } else { step == 0 },
                    "frame number at {seq}"
                );
            }
        }
        filled = 0;
        // Frames.
        let number = described.as_ref().map_or(0, |descriptor| descriptor.frame_number);
        if index == 0 {
            if frame.replace((id, 0, number)).is_some() {
                assert!(new_picture, "a frame inside another one at {seq}");
            }
            if out.frames.is_empty() {
                assert!(truth.keyframe, "the first frame is no keyframe");
            }
        }
        let (open, next, _) = frame.as_mut().expect("a frame begins with its first packet");
        assert_eq!((*open, *next), (id, index), "packets of one frame in their order");
        *next += 1;
        if let (Codec::Vp8, Some((descriptor, _))) =
            (mode.codec, media::vp8::Descriptor::parse(packet.payload()))
        {
            // Receivers without the descriptor go by this: layers begin with frames that need the lowest only.
            let (temporal, sync) = descriptor.temporal.unwrap_or((0, true));
            if truth.keyframe {
                temporals = [true, false, false, false];
            }
            let known = temporals[..=usize::from(temporal)].iter().all(|known| *known);
            assert!(sync || known, "temporal layer {temporal} begins in its middle at {seq}");
            temporals[usize::from(temporal)] = true;
        }
        if index + 1 == count {
            frame = None;
            for needed in &truth.needs {
                let got = done.get(needed);
                assert!(got.is_some(), "{truth:?} needs {:?}", truths[*needed as usize]);
            }
            if let Some(info) = described.as_ref().and_then(|descriptor| descriptor.frame) {
                let sent: Vec<_> =
                    truth.needs.iter().map(|needed| number.wrapping_sub(done[needed])).collect();
                assert_eq!(info.references.differences(), sent, "references by number");
            }
            done.insert(id, number);
            out.frames.push(id);
        }
        last = Some(Last {
            picture: truth.picture,
            timestamp: packet.timestamp,
            marker: packet.marker,
            numbers,
            number: described.map(|descriptor| descriptor.frame_number),
        });
    }
    out
}

#[derive(Debug)]
struct Last {
    picture: u64,
    timestamp: u32,
    marker: bool,
    numbers: Option<(u16, u8)>,
    number: Option<u16>,
}

/// The id of the frame that a packet is part of.
pub fn frame_of(codec: Codec, packet: &[u8]) -> u32 {
    understand(codec, RtpPacket::parse(packet).unwrap().payload()).1
}

/// Picture id and TL0PICIDX, and the frame id, index and count of the packet.
fn understand(codec: Codec, payload: &[u8]) -> (Option<(u16, u8)>, u32, u8, u8) {
    let numbers = |picture: media::Picture| {
        let Some((_, PictureId::Long(id))) = picture.id else { panic!("a picture id of 15 bits") };
        Some((id, picture.tl0.unwrap().1))
    };
    let (numbers, rest) = match codec {
        Codec::Vp8 => {
            let (descriptor, rest) = media::vp8::Descriptor::parse(payload).unwrap();
            (descriptor.picture.id.and_then(|_| numbers(descriptor.picture)), rest)
        }
        Codec::Vp9 => {
            let (descriptor, rest) = media::vp9::Descriptor::parse(payload).unwrap();
            (numbers(descriptor.picture), rest)
        }
        Codec::H264 => (None, &payload[2..]),
        _ => (None, &payload[1..]),
    };
    let id = u32::from_be_bytes(rest[1..5].try_into().unwrap());
    (numbers, id, rest[5], rest[6])
}
