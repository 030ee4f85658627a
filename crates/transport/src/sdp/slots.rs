//! The answer to the receive connection of a call: slots, whose SSRCs stay while what they show changes.

use rtp::{Extensions, MediaKind};

use crate::DataParameters;

use super::play::{PlayMedia, agree, extensions_of, usable};
use super::write::{Line, Writer};
use super::{CodecFormat, Direction, Local, MediaSection, Offer, PayloadFormat, Remote, SdpError, Setup};

/// An m-line of the offer that becomes a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its `a=mid` as the offer has it.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What is sent on it.
    pub stream: SlotStream,
}

/// The stream of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStream {
    /// First word of the msid: slots of one name are played in sync.
    pub group: String,
    /// Second word of the msid.
    pub id: String,
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of its retransmissions, used if the client knows RTX.
    pub rtx_ssrc: u32,
}

/// An answer with slots, and what was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotsAnswer {
    /// The SDP to send back.
    pub text: String,
    /// The client's side of the transport.
    pub remote: Remote,
    /// What was agreed for each slot, in the order of the list that was passed in, to which
    /// [`PlayMedia::track`] points.
    pub slots: Vec<PlayMedia>,
    /// Header extension ids that hold on every m-line.
    pub extensions: Extensions,
    /// The client takes RTCP of reduced size on every slot.
    pub reduced_size: bool,
    /// What the client says about data channels, if it offers them.
    pub data: Option<DataParameters>,
}

/// Answers an offer of slots. Each gets every codec that the client decodes on it, one payload type a codec, VP8 first,
/// sound also redundant audio where it is offered:
/// what it shows is sent in one of them. `cname` is that of all: they are of one clock. M-lines that are not named are
/// rejected.
///
/// # Errors
/// [`SdpError::NoSuchMedia`] where a slot names an m-line that does not receive its kind in a codec that we carry, or is
/// named twice; [`SdpError::NoUsableMedia`] for no slots, [`SdpError::BothLite`].
pub fn answer_slots(
    offer: &Offer,
    local: &Local,
    cname: &str,
    slots: &[Slot],
) -> Result<SlotsAnswer, SdpError> {
    offer.require_full_agent()?;
    if slots.is_empty() {
        return Err(SdpError::NoUsableMedia);
    }
    let mut agreed: Vec<PlayMedia> = Vec::with_capacity(slots.len());
    let mut reduced_size = true;
    for (number, slot) in slots.iter().enumerate() {
        let is_it = |section: &MediaSection| {
            let is_named = section.written_mid.as_deref() == Some(&slot.mid);
            is_named && section.kind == Some(slot.kind) && usable(section)
        };
        let found = offer.media.iter().enumerate().find(|(_, section)| is_it(section));
        let found = found.filter(|(index, _)| agreed.iter().all(|other| other.index != *index));
        let Some((index, section)) = found else {
            let (mid, kind) = (slot.mid.clone(), slot.kind.as_str());
            return Err(SdpError::NoSuchMedia { mid, does: "receive", kind });
        };
        reduced_size &= section.reduced_size;
        let format = match slot.kind {
            MediaKind::Audio => CodecFormat::Opus,
            MediaKind::Video => CodecFormat::Vp8,
        };
        let ssrcs = (slot.stream.ssrc, slot.stream.rtx_ssrc);
        let mut media = agree(offer, (index, section), number, format, ssrcs);
        // What it carries may also go out with what was sent before.
        let of = |redundancy: &&PayloadFormat| {
            media.codecs.iter().any(|codec| Some(codec.payload_type) == redundancy.redundant())
        };
        media.codecs.extend(section.redundancy.iter().find(of).cloned());
        agreed.push(media);
    }
    let extensions = extensions_of(&agreed)?;
    let data = offer.data_section();
    let takes = |index| data.is_some_and(|(data, _)| data == index);
    let accepted = offer.bundle(|index| takes(index) || agreed.iter().any(|slot| slot.index == index));
    let remote = offer.remote(&accepted)?;
    let text = write(offer, local, remote.setup.answer(), cname, slots, &agreed, &accepted);
    let data = data.and_then(|(_, section)| section.data);
    Ok(SlotsAnswer { text, remote, slots: agreed, extensions, reduced_size, data })
}

fn write(
    offer: &Offer,
    local: &Local,
    setup: Setup,
    cname: &str,
    slots: &[Slot],
    agreed: &[PlayMedia],
    accepted: &[usize],
) -> String {
    let mut out = Writer::default();
    out.session(local, &offer.bundle_mids(accepted), true);
    out.extmap_mixed(offer);
    for (index, section) in offer.media.iter().enumerate() {
        let line = Line::answer(section);
        let media = agreed.iter().find(|media| media.index == index);
        match media.and_then(|media| Some((media, slots.get(media.track)?))) {
            Some((media, Slot { stream, .. })) => {
                out.media(line, &media.codecs, local, setup);
                out.line(format_args!("a={}", Direction::SendOnly.as_str()));
                out.answer_extensions(&media.extensions, section);
                out.rtcp(section.reduced_size);
                out.codecs(&media.codecs);
                out.sender(&stream.group, &stream.id, cname, media.ssrc, media.rtx_ssrc);
            }
            None if accepted.contains(&index) => out.data_channels(line, local, setup),
            None => out.rejected(section),
        }
        if accepted.first() == Some(&index) {
            out.candidates(local);
        }
    }
    out.finish()
}
