//! IVF files: a 32-byte header, then each frame with its length and timestamp.

/// Why a file is not IVF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IvfError {
    /// It does not begin with an IVF header.
    #[error("not an IVF file")]
    NotIvf,
    /// Frame rate or time base of 0.
    #[error("the IVF header has no frame rate")]
    FrameRate,
}

/// Reads an IVF file that is in memory. A frame that is cut short ends it.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    codec: [u8; 4],
    rate: u32,
    scale: u32,
}

/// One frame of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Presentation time in units of [`Reader::time_base`].
    pub timestamp: u64,
    /// The codec's bytes.
    pub data: &'a [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`IvfError`].
    pub fn new(file: &'a [u8]) -> Result<Self, IvfError> {
        let magic = file.starts_with(b"DKIF");
        let header_len =
            file.get(6..8).and_then(|bytes| bytes.first_chunk::<2>()).copied().map(u16::from_le_bytes);
        let codec = file.get(8..).and_then(|bytes| bytes.first_chunk::<4>()).copied();
        let (Some(header_len), Some(codec), true) = (header_len, codec, magic) else {
            return Err(IvfError::NotIvf);
        };
        let rest = file.get(usize::from(header_len.max(32))..).ok_or(IvfError::NotIvf)?;
        match (u32_at(file, 16), u32_at(file, 20)) {
            (Some(rate), Some(scale)) if rate != 0 && scale != 0 => Ok(Self { rest, codec, rate, scale }),
            _ => Err(IvfError::FrameRate),
        }
    }

    /// The codec's four characters, `VP90` for VP9.
    #[must_use]
    pub fn codec(&self) -> [u8; 4] {
        self.codec
    }

    /// (a, b): a timestamp is a/b seconds long.
    #[must_use]
    pub fn time_base(&self) -> (u32, u32) {
        (self.scale, self.rate)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let length = usize::try_from(u32_at(self.rest, 0)?).ok()?;
        let timestamp = u64::from_le_bytes(*self.rest.get(4..)?.first_chunk::<8>()?);
        let (data, rest) = self.rest.get(12..)?.split_at_checked(length)?;
        self.rest = rest;
        Some(Frame { timestamp, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut file = b"DKIF\0\0\x20\0VP90\x00\x05\xD0\x02".to_vec();
        file.extend([25u32, 1, 2, 0].iter().flat_map(|n| n.to_le_bytes()));
        for (time, data) in [(0u64, &b"abc"[..]), (1, b"d")] {
            file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            file.extend(time.to_le_bytes());
            file.extend(data);
        }
        file
    }

    #[test]
    fn frames_are_read_in_order() {
        let file = file();
        let reader = Reader::new(&file).unwrap();
        assert_eq!(&reader.codec(), b"VP90");
        assert_eq!(reader.time_base(), (1, 25));
        let frames: Vec<Frame<'_>> = reader.collect();
        assert_eq!(frames, [Frame { timestamp: 0, data: b"abc" }, Frame { timestamp: 1, data: b"d" }]);
    }

    #[test]
    fn a_cut_file_ends_at_its_last_whole_frame() {
        let file = file();
        assert_eq!(Reader::new(&file[..file.len() - 1]).unwrap().count(), 1);
        assert_eq!(Reader::new(&file[..30]).err(), Some(IvfError::NotIvf));
        assert_eq!(Reader::new(b"RIFF").err(), Some(IvfError::NotIvf));
        let mut no_rate = file.clone();
        no_rate[16] = 0;
        assert_eq!(Reader::new(&no_rate).err(), Some(IvfError::FrameRate));
    }
}
