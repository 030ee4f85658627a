//! Bits of a byte string, most significant first.

/// Reads bits; `None` at the end, and from then on.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
    /// H.264: the third byte of 00 00 03 is not part of the content.
    escaped: bool,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, escaped: false }
    }

    /// A reader that leaves out the emulation prevention bytes of H.264 (ITU-T H.264, 7.4.1).
    pub(crate) fn escaped(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, escaped: true }
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let mut index = self.at / 8;
        if self.escaped
            && self.at.is_multiple_of(8)
            && let Some([0, 0, 3]) = index.checked_sub(2).and_then(|start| self.bytes.get(start..=index))
        {
            index += 1;
            self.at += 8;
        }
        let byte = self.bytes.get(index)?;
        let bit = byte & (0x80 >> (self.at % 8)) != 0;
        self.at += 1;
        Some(bit)
    }

    /// An unsigned number of up to 32 bits: f(n).
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count.min(32) {
            value = (value << 1) | u32::from(self.bit()?);
        }
        Some(value)
    }

    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        for _ in 0..count {
            self.bit()?;
        }
        Some(())
    }

    /// A number below `limit` (at least 1), in as few bits as its value needs: ns(n).
    pub(crate) fn non_symmetric(&mut self, limit: u32) -> Option<u32> {
        let width = 32 - limit.leading_zeros();
        let short = (1u32 << width) - limit;
        let value = self.bits(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + u32::from(self.bit()?))
    }

    /// An Exp-Golomb number: ue(v). Also AV1's uvlc() as far as 32 bits go.
    pub(crate) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.bits(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_specifications_say() {
        let mut reader = BitReader::new(&[0b1010_0011, 0b0000_0100]);
        assert_eq!(reader.exp_golomb(), Some(0));
        assert_eq!(reader.exp_golomb(), Some(1));
        assert_eq!(reader.exp_golomb(), Some(5));
        assert_eq!(reader.bits(5), Some(0b00001));
        // ns(5): 3 bits wide, the values 0 to 2 in two bits, 3 and 4 in three.
        let mut reader = BitReader::new(&[0b0001_1011, 0b1000_0000]);
        let values: Vec<_> = (0..4).map(|_| reader.non_symmetric(5)).collect();
        assert_eq!(values, [Some(0), Some(1), Some(2), Some(4)]);
        assert_eq!(BitReader::new(&[]).non_symmetric(1), Some(0));
        assert_eq!(BitReader::new(&[0; 8]).exp_golomb(), None);
    }

    #[test]
    fn emulation_prevention_is_left_out() {
        let mut reader = BitReader::escaped(&[0, 0, 3, 1, 3]);
        assert_eq!(reader.bits(32), Some(0x0000_0103));
        assert_eq!(reader.bit(), None);
    }
}
