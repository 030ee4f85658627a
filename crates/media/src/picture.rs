//! The picture numbers of VP8 and VP9 payload descriptors. They must go on without a jump when the source of a stream
//! changes, so whoever splices streams rewrites them in place.

/// Where the picture numbers are in a payload, and what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Picture {
    /// Position and value of the picture id, if it has one.
    pub id: Option<(u8, PictureId)>,
    /// Position and value of TL0PICIDX, which counts the pictures of the lowest temporal layer.
    pub tl0: Option<(u8, u8)>,
}

/// A picture id of 7 or 15 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureId {
    /// In one byte.
    Short(u8),
    /// In two bytes.
    Long(u16),
}

impl PictureId {
    /// The number.
    #[must_use]
    pub fn value(self) -> u16 {
        match self {
            Self::Short(id) => u16::from(id),
            Self::Long(id) => id,
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Short(_) => 1,
            Self::Long(_) => 2,
        }
    }
}

impl Picture {
    /// Bytes of the payload that hold the numbers: those before this position may be rewritten.
    #[must_use]
    pub fn len(&self) -> usize {
        let id = self.id.map_or(0, |(at, id)| usize::from(at) + id.len());
        id.max(self.tl0.map_or(0, |(at, _)| usize::from(at) + 1))
    }

    /// Whether there are no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.tl0.is_none()
    }

    /// Writes the numbers moved by `id` and `tl0` into `start`, the first [`Picture::len`] bytes of the payload.
    pub fn rewrite(&self, start: &mut [u8], id: u16, tl0: u8) {
        match self.id {
            Some((at, PictureId::Short(old))) => {
                if let Some(byte) = start.get_mut(usize::from(at)) {
                    *byte = old.wrapping_add(id as u8) & 0x7f;
                }
            }
            Some((at, PictureId::Long(old))) => {
                let at = usize::from(at);
                if let Some(bytes) = start.get_mut(at..at + 2) {
                    bytes.copy_from_slice(&(old.wrapping_add(id) | 0x8000).to_be_bytes());
                }
            }
            None => {}
        }
        if let Some((at, old)) = self.tl0
            && let Some(byte) = start.get_mut(usize::from(at))
        {
            *byte = old.wrapping_add(tl0);
        }
    }
}

/// Reads a descriptor byte by byte and knows where it is.
pub(crate) struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.payload.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.payload.len())?;
        Some(())
    }

    /// What follows.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.payload.get(self.at..).unwrap_or_default()
    }

    /// `|M| PICTURE ID |`: 7 bits, or 15 with M. It is among the first bytes of a descriptor.
    pub(crate) fn picture_id(&mut self) -> Option<(u8, PictureId)> {
        let at = self.at as u8;
        let high = self.byte()?;
        let id = match high & 0x80 {
            0 => PictureId::Short(high),
            _ => PictureId::Long(u16::from_be_bytes([high & 0x7f, self.byte()?])),
        };
        Some((at, id))
    }

    /// `| TL0PICIDX |`, at most two bytes after the picture id.
    pub(crate) fn tl0(&mut self) -> Option<(u8, u8)> {
        let at = self.at as u8;
        Some((at, self.byte()?))
    }
}
