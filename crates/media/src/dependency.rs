//! The dependency descriptor, a header extension that says what a frame is good for without a look into it (AV1 RTP
//! specification 1.0, appendix A). It fits any codec that has layers.
//!
//! ```text
//! |S|E| template id (6) | frame number (16) |   mandatory
//! |T|A|D|F|C|                                with more than three bytes: what follows
//! | structure |                              with T: offset (6), decode targets - 1 (5), templates ...
//! | active decode targets |                  with A: a bit for each
//! | indications | differences | chains |     with D, F, C: this frame's own instead of its template's
//! ```
//!
//! A structure lists templates; each later frame names one of them. Whoever reads frames therefore keeps the last
//! [`Structure`]. A decode target is what a receiver wants, for instance "all spatial layers, half the frames"; a
//! template says for each of them whether its frames are needed.

use crate::bits::BitReader;

/// Most templates that ids can name.
const MAX_TEMPLATES: usize = 64;
/// Most references of a frame that are kept: AV1 has seven. A structure or frame with more is not read.
pub const MAX_REFERENCES: usize = 8;
/// Spatial layers that can have a resolution.
pub const MAX_SPATIAL: usize = 4;
/// The bytes that every descriptor has.
const MANDATORY: usize = 3;

/// What a frame is to a decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indication {
    /// It is not part of it.
    NotPresent,
    /// No later frame of the target needs it.
    Discardable,
    /// A receiver that decodes it can decode the target from here on.
    Switch,
    /// Needed.
    Required,
}

/// The indications of a frame for up to 32 decode targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    /// The one for a decode target.
    #[must_use]
    pub fn of(self, target: u8) -> Indication {
        match (self.0 >> (u32::from(target & 31) * 2)) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    fn read(reader: &mut BitReader<'_>, targets: u8) -> Option<Self> {
        let mut all = 0;
        for target in 0..u32::from(targets) {
            all |= u64::from(reader.bits(2)?) << (target * 2);
        }
        Some(Self(all))
    }
}

/// How far back the frames are that a frame needs directly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct References {
    differences: [u16; MAX_REFERENCES],
    len: u8,
}

impl References {
    /// Differences of frame numbers, 1 or more each.
    #[must_use]
    pub fn differences(&self) -> &[u16] {
        self.differences.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, difference: u16) -> Option<()> {
        *self.differences.get_mut(usize::from(self.len))? = difference;
        self.len += 1;
        Some(())
    }
}

/// A kind of frame, or one frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its spatial layer.
    pub spatial: u8,
    /// Its temporal layer.
    pub temporal: u8,
    /// What it is to each decode target.
    pub indications: Indications,
    /// What it needs.
    pub references: References,
}

/// The layers of a decode target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetLayers {
    /// The highest spatial layer in it.
    pub spatial: u8,
    /// The highest temporal layer in it.
    pub temporal: u8,
}

/// What the frames of a stream can be, until the next structure.
#[derive(Debug, Clone)]
pub struct Structure {
    offset: u8,
    targets: u8,
    chains: u8,
    templates: [Frame; MAX_TEMPLATES],
    count: u8,
    target_layers: [TargetLayers; 32],
    sizes: [Option<(u16, u16)>; MAX_SPATIAL],
}

impl Structure {
    /// The id of the first template. Ids count on from it, modulo 64.
    #[must_use]
    pub fn template_offset(&self) -> u8 {
        self.offset
    }

    /// The templates.
    #[must_use]
    pub fn templates(&self) -> &[Frame] {
        self.templates.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The decode targets, by what they contain.
    #[must_use]
    pub fn targets(&self) -> &[TargetLayers] {
        self.target_layers.get(..usize::from(self.targets)).unwrap_or_default()
    }

    /// Width and height of a spatial layer, if the structure says so.
    #[must_use]
    pub fn size(&self, spatial: u8) -> Option<(u16, u16)> {
        self.sizes.get(usize::from(spatial)).copied().flatten()
    }

    /// The template with this id.
    fn template(&self, id: u8) -> Option<&Frame> {
        self.templates().get(usize::from((id.wrapping_add(64).wrapping_sub(self.offset)) % 64))
    }

    fn read(reader: &mut BitReader<'_>) -> Option<Self> {
        let mut structure = Self {
            offset: reader.bits(6)? as u8,
            targets: reader.bits(5)? as u8 + 1,
            chains: 0,
            templates: [Frame::default(); MAX_TEMPLATES],
            count: 0,
            target_layers: [TargetLayers::default(); 32],
            sizes: [None; MAX_SPATIAL],
        };
        let highest_spatial = structure.read_layers(reader)?;
        let Self { targets, count, .. } = structure;
        for template in structure.templates.iter_mut().take(usize::from(count)) {
            template.indications = Indications::read(reader, targets)?;
        }
        for template in structure.templates.iter_mut().take(usize::from(count)) {
            while reader.bit()? {
                template.references.push(reader.bits(4)? as u16 + 1)?;
            }
        }
        structure.chains = reader.non_symmetric(u32::from(targets) + 1)? as u8;
        if structure.chains > 0 {
            for _ in 0..targets {
                reader.non_symmetric(u32::from(structure.chains))?;
            }
            reader.skip(u32::from(count) * u32::from(structure.chains) * 4)?;
        }
        for (target, layers) in (0..targets).zip(&mut structure.target_layers) {
            let part = |t: &&Frame| t.indications.of(target) != Indication::NotPresent;
            for template in structure.templates.iter().take(usize::from(count)).filter(part) {
                layers.spatial = layers.spatial.max(template.spatial);
                layers.temporal = layers.temporal.max(template.temporal);
            }
        }
        if reader.bit()? {
            for spatial in 0..=usize::from(highest_spatial) {
                let size = [reader.bits(16)?, reader.bits(16)?];
                let [width, height] = size.map(|less_one| u16::try_from(less_one + 1).unwrap_or(u16::MAX));
                if let Some(slot) = structure.sizes.get_mut(spatial) {
                    *slot = Some((width, height));
                }
            }
        }
        Some(structure)
    }

    /// A.8.4, template_layers: returns the highest spatial layer.
    fn read_layers(&mut self, reader: &mut BitReader<'_>) -> Option<u8> {
        let (mut spatial, mut temporal) = (0u8, 0u8);
        loop {
            let template = self.templates.get_mut(usize::from(self.count))?;
            (template.spatial, template.temporal) = (spatial, temporal);
            self.count += 1;
            match reader.bits(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (temporal, spatial) = (0, spatial + 1),
                _ => return Some(spatial),
            }
        }
    }
}

/// A descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of a frame.
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// The template of the frame.
    pub template_id: u8,
    /// Counts frames in the order of their coding.
    pub frame_number: u16,
    /// Whether a structure came with it.
    pub has_structure: bool,
    /// Which decode targets the sender still produces, a bit each, if it says so. A structure resets it to all.
    pub active_targets: Option<u32>,
    /// The frame; `None` if its template is not known, because the structure was lost or is another one.
    pub frame: Option<Frame>,
}

impl Descriptor {
    /// Reads the value of the header extension. A structure that comes with it takes the place of `known`, and only
    /// a descriptor that is whole replaces it. `None` for anything malformed.
    pub fn parse(value: &[u8], known: &mut Option<Structure>) -> Option<Self> {
        Self::read(value, known.as_ref()).map(|(descriptor, structure)| {
            if structure.is_some() {
                *known = structure;
            }
            descriptor
        })
    }

    /// As [`Descriptor::parse`], with the structure that it brought.
    #[must_use]
    pub fn read(value: &[u8], known: Option<&Structure>) -> Option<(Self, Option<Structure>)> {
        let mut reader = BitReader::new(value);
        let mut descriptor = Self {
            start_of_frame: reader.bit()?,
            end_of_frame: reader.bit()?,
            template_id: reader.bits(6)? as u8,
            frame_number: reader.bits(16)? as u16,
            has_structure: false,
            active_targets: None,
            frame: None,
        };
        let template = |structure: Option<&Structure>| {
            structure.and_then(|structure| structure.template(descriptor.template_id)).copied()
        };
        if value.len() <= MANDATORY {
            descriptor.frame = template(known);
            return Some((descriptor, None));
        }
        let [has_structure, has_active, own_indications, own_references, own_chains] =
            [reader.bit()?, reader.bit()?, reader.bit()?, reader.bit()?, reader.bit()?];
        let new = if has_structure { Some(Structure::read(&mut reader)?) } else { None };
        let structure = new.as_ref().or(known);
        descriptor.has_structure = has_structure;
        let mut frame = template(structure);
        // Without a structure nobody knows how long what follows is.
        if let Some(structure) = structure {
            if has_active {
                descriptor.active_targets = Some(reader.bits(u32::from(structure.targets))?);
            } else if has_structure {
                descriptor.active_targets = Some(u32::MAX >> (32 - u32::from(structure.targets)));
            }
            if let Some(frame) = &mut frame {
                if own_indications {
                    frame.indications = Indications::read(&mut reader, structure.targets)?;
                }
                if own_references {
                    frame.references = read_references(&mut reader)?;
                }
                if own_chains {
                    reader.skip(u32::from(structure.chains) * 8)?;
                }
            }
        }
        descriptor.frame = frame;
        Some((descriptor, new))
    }
}

/// A.8.9, frame_fdiffs: sizes in steps of four bits, ended by a size of none.
fn read_references(reader: &mut BitReader<'_>) -> Option<References> {
    let mut references = References::default();
    loop {
        match reader.bits(2)? {
            0 => return Some(references),
            size => references.push(reader.bits(4 * size)? as u16 + 1)?,
        }
    }
}

/// Moves the frame number and the template ids of the descriptor in `value` on, the offset of a structure in it
/// too. Both are at fixed places, so that nothing else changes. Anything shorter than a descriptor is left alone.
pub fn rewrite(value: &mut [u8], frame_number: u16, template_id: u8) {
    let [first, high, low, rest @ ..] = value else { return };
    *first = (*first & 0xC0) | (*first & 0x3F).wrapping_add(template_id) & 0x3F;
    let number = u16::from_be_bytes([*high, *low]).wrapping_add(frame_number);
    [*high, *low] = number.to_be_bytes();
    // Five flags, then the six bits of the offset.
    if let [flags, next, ..] = rest
        && *flags & 0x80 != 0
    {
        let offset = ((*flags & 0x07) << 3) | (*next >> 5);
        let moved = offset.wrapping_add(template_id) & 0x3F;
        *flags = (*flags & 0xF8) | (moved >> 3);
        *next = (*next & 0x1F) | (moved << 5);
    }
}

#[cfg(test)]
#[path = "dependency_tests.rs"]
mod tests;
