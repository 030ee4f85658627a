//! AV1 dependency descriptors: the first half brings a structure, the second is read with it and rewritten.
#![no_main]

use media::dependency::{Descriptor, rewrite};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (first, second) = data.split_at(data.len() / 2);
    let mut known = None;
    let _ = Descriptor::parse(first, &mut known);
    let _ = Descriptor::parse(second, &mut known);
    let _ = Descriptor::read(data, known.as_ref());
    let mut value = second.to_vec();
    rewrite(&mut value, 0x1234, 5);
    assert_eq!(value.len(), second.len());
});
