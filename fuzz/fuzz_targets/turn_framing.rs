//! A TURN client's byte stream, cut into messages: however it arrives, it gives the same messages or the same error.
#![no_main]

use turn_proto::{Framer, MAX_FIRST_MESSAGE, MAX_MESSAGE, message_length};

/// Reads the stream as a server does, `piece` bytes at a time.
fn cut(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::default();
    let mut buf = vec![0; MAX_MESSAGE + 4096];
    let mut messages = Vec::new();
    for part in stream.chunks(piece) {
        let mut end = framer.restore(&mut buf);
        buf[end..end + part.len()].copy_from_slice(part);
        end += part.len();
        let mut start = 0;
        loop {
            match message_length(&buf[start..end], MAX_FIRST_MESSAGE) {
                Err(_) => return (messages, false),
                Ok(Some(length)) if start + length <= end => {
                    messages.push(buf[start..start + length].to_vec());
                    start += length;
                }
                Ok(_) => break,
            }
        }
        framer.keep(&buf[start..end]);
    }
    (messages, true)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&piece, stream)) = data.split_first() else { return };
    assert_eq!(cut(stream, usize::from(piece).max(1)), cut(stream, 4096));
});
