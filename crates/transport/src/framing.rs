//! Packets on a stream: a length of two bytes before each (RFC 4571, as RFC 6544 uses it for ICE over TCP).

/// Bytes of the length.
pub const FRAME_HEADER: usize = 2;

/// Longest packet that is taken from a stream. Nothing that ICE, DTLS or media sends is longer than a datagram; the
/// rest is room for stacks that do not split DTLS records.
pub const MAX_FRAME: usize = 16 * 1024;

/// A stream that cannot be understood any more: it has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is longer than is taken")]
pub struct FrameTooLong(pub usize);

/// Cuts a stream into packets. Holds at most one unfinished packet, and nothing between packets.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The beginning of a frame with its length, below [`FRAME_HEADER`] + [`MAX_FRAME`] bytes.
    partial: Vec<u8>,
}

impl Deframer {
    /// Takes bytes of the stream; `each` gets every packet that is complete and may change it in place. Empty frames
    /// are skipped.
    ///
    /// # Errors
    /// [`FrameTooLong`]: nothing after it can be understood.
    pub fn push(
        &mut self,
        mut input: &mut [u8],
        mut each: impl FnMut(&mut [u8]),
    ) -> Result<(), FrameTooLong> {
        while !self.partial.is_empty() {
            let Some(missing) = self.missing()? else { break };
            let here = missing.min(input.len());
            let (taken, rest) = input.split_at_mut(here);
            self.partial.extend_from_slice(taken);
            input = rest;
            if taken.len() < missing {
                return Ok(());
            }
            if self.missing()?.is_none() {
                let mut frame = std::mem::take(&mut self.partial);
                let packet = frame.get_mut(FRAME_HEADER..).unwrap_or_default();
                if !packet.is_empty() {
                    each(packet);
                }
            }
        }
        while !input.is_empty() {
            let frame = match input.first_chunk::<FRAME_HEADER>() {
                Some(head) => FRAME_HEADER + checked(*head)?,
                None => usize::MAX,
            };
            if frame > input.len() {
                self.partial.extend_from_slice(input);
                return Ok(());
            }
            let (frame, rest) = input.split_at_mut(frame);
            if frame.len() > FRAME_HEADER {
                each(frame.get_mut(FRAME_HEADER..).unwrap_or_default());
            }
            input = rest;
        }
        Ok(())
    }

    /// How many bytes `partial` needs: for its length first, then for the packet. `None` when it is complete.
    fn missing(&self) -> Result<Option<usize>, FrameTooLong> {
        let whole = match self.partial.first_chunk::<FRAME_HEADER>() {
            Some(head) => FRAME_HEADER + checked(*head)?,
            None => FRAME_HEADER,
        };
        let missing = whole.saturating_sub(self.partial.len());
        Ok((missing > 0).then_some(missing))
    }
}

fn checked(head: [u8; FRAME_HEADER]) -> Result<usize, FrameTooLong> {
    let len = usize::from(u16::from_be_bytes(head));
    if len > MAX_FRAME { Err(FrameTooLong(len)) } else { Ok(len) }
}

/// The length to write before a packet; `None` if it is longer than a frame can be.
#[must_use]
pub fn frame_header(len: usize) -> Option<[u8; FRAME_HEADER]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
        packets.iter().flat_map(|p| [&frame_header(p.len()).unwrap()[..], p].concat()).collect()
    }

    fn cut(stream: &mut [u8], sizes: &[usize]) -> Result<Vec<Vec<u8>>, FrameTooLong> {
        let mut deframer = Deframer::default();
        let mut packets = Vec::new();
        let mut rest = stream;
        for size in sizes.iter().copied().chain(std::iter::repeat(usize::MAX)) {
            let (part, more) = rest.split_at_mut(size.min(rest.len()));
            deframer.push(part, |packet| packets.push(packet.to_vec()))?;
            assert!(deframer.partial.len() < FRAME_HEADER + MAX_FRAME);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        Ok(packets)
    }

    proptest! {
        #[test]
        fn every_cut_of_a_stream_gives_the_same_packets(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            sizes in proptest::collection::vec(0usize..30, 0..40),
        ) {
            let expected: Vec<Vec<u8>> = packets.iter().filter(|packet| !packet.is_empty()).cloned().collect();
            prop_assert_eq!(cut(&mut framed(&packets), &sizes).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_packets_or_refused(
            mut stream in proptest::collection::vec(any::<u8>(), 0..300),
            sizes in proptest::collection::vec(0usize..30, 0..40),
        ) {
            let _ = cut(&mut stream, &sizes);
        }
    }

    #[test]
    fn the_longest_frame_is_taken_and_no_longer_one() {
        let whole = vec![7; MAX_FRAME];
        assert_eq!(cut(&mut framed(std::slice::from_ref(&whole)), &[1, 1, 1, 5000]), Ok(vec![whole]));
        let mut long = framed(&[vec![7; MAX_FRAME + 1]]);
        assert_eq!(cut(&mut long, &[1]), Err(FrameTooLong(MAX_FRAME + 1)));
        assert_eq!(cut(&mut long, &[]), Err(FrameTooLong(MAX_FRAME + 1)));
    }
}
