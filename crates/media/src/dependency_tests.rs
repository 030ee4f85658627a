use proptest::prelude::*;

use super::*;

/// Writes bits for tests.
#[derive(Default)]
struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    fn bits(&mut self, value: u32, count: u32) -> &mut Self {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn non_symmetric(&mut self, value: u32, limit: u32) -> &mut Self {
        let width = 32 - limit.leading_zeros();
        let short = (1 << width) - limit;
        if value < short { self.bits(value, width - 1) } else { self.bits(value + short, width) }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bits
            .chunks(8)
            .map(|byte| (0..8).fold(0, |b, i| b << 1 | u8::from(byte.get(i) == Some(&true))))
            .collect()
    }
}

/// A template as the tables of the specification have it: layers, indications ("-DSR"), references, chain.
type Template = (u8, u8, &'static str, &'static [u16], &'static [u32]);

/// L2T2 of the specification's appendix: decode targets S0T0, S0T1, S1T0, S1T1, two chains.
const L2T2: [Template; 6] = [
    (0, 0, "SSRR", &[], &[0, 0]),
    (0, 0, "SSRR", &[4], &[4, 3]),
    (0, 1, "-D-R", &[2], &[2, 1]),
    (1, 0, "--SS", &[1], &[1, 1]),
    (1, 0, "--SS", &[4, 1], &[1, 1]),
    (1, 1, "---D", &[2, 1], &[3, 2]),
];

fn write_structure(writer: &mut BitWriter, offset: u8, templates: &[Template], sizes: &[(u16, u16)]) {
    let targets = templates[0].2.len() as u32;
    let chains = templates[0].4.len() as u32;
    writer.bits(offset.into(), 6).bits(targets - 1, 5);
    for pair in templates.windows(2) {
        let (here, next) = ((pair[0].0, pair[0].1), (pair[1].0, pair[1].1));
        writer.bits(
            if here == next {
                0
            } else if here.0 == next.0 {
                1
            } else {
                2
            },
            2,
        );
    }
    writer.bits(3, 2);
    for template in templates {
        for indication in template.2.chars() {
            writer.bits("-DSR".find(indication).unwrap() as u32, 2);
        }
    }
    for template in templates {
        for &difference in template.3 {
            writer.bits(1, 1).bits(u32::from(difference) - 1, 4);
        }
        writer.bits(0, 1);
    }
    writer.non_symmetric(chains, targets + 1);
    if chains > 0 {
        for target in 0..targets {
            writer.non_symmetric(target * chains / targets, chains);
        }
        for difference in templates.iter().flat_map(|template| template.4) {
            writer.bits(*difference, 4);
        }
    }
    writer.bits(u32::from(!sizes.is_empty()), 1);
    for (width, height) in sizes {
        writer.bits(u32::from(*width) - 1, 16).bits(u32::from(*height) - 1, 16);
    }
}

fn keyframe(offset: u8) -> Vec<u8> {
    let mut writer = BitWriter::default();
    writer.bits(0b10, 2).bits(offset.into(), 6).bits(0x1234, 16).bits(0b10000, 5);
    write_structure(&mut writer, offset, &L2T2, &[(640, 360), (1280, 720)]);
    writer.bytes()
}

#[test]
fn a_structure_is_read_and_names_the_frames_after_it() {
    let mut known = None;
    let first = Descriptor::parse(&keyframe(60), &mut known).unwrap();
    assert!(first.start_of_frame && !first.end_of_frame && first.has_structure);
    assert_eq!((first.frame_number, first.active_targets), (0x1234, Some(0b1111)));
    let structure = known.as_ref().unwrap();
    assert_eq!((structure.template_offset(), structure.templates().len()), (60, 6));
    let layers = |spatial, temporal| TargetLayers { spatial, temporal };
    assert_eq!(structure.targets(), [layers(0, 0), layers(0, 1), layers(1, 0), layers(1, 1)]);
    assert_eq!([0, 1, 2].map(|s| structure.size(s)), [Some((640, 360)), Some((1280, 720)), None]);
    for (index, (spatial, temporal, indications, references, _)) in L2T2.into_iter().enumerate() {
        let id = (60 + index as u8) % 64;
        let frame = Descriptor::parse(&[0xC0 | id, 0, 9], &mut known).unwrap().frame.unwrap();
        assert_eq!((frame.spatial, frame.temporal), (spatial, temporal));
        assert_eq!(frame.references.differences(), references);
        for (target, letter) in indications.chars().enumerate() {
            let expected = match letter {
                '-' => Indication::NotPresent,
                'D' => Indication::Discardable,
                'S' => Indication::Switch,
                _ => Indication::Required,
            };
            assert_eq!(frame.indications.of(target as u8), expected);
        }
    }
    assert_eq!(Descriptor::parse(&[2, 0, 9], &mut known).unwrap().frame, None, "no such template");
    assert_eq!(Descriptor::parse(&[60, 0, 9], &mut None).unwrap().frame, None, "no structure");
}

#[test]
fn a_frame_may_differ_from_its_template() {
    let mut known = None;
    Descriptor::parse(&keyframe(0), &mut known).unwrap();
    let mut writer = BitWriter::default();
    // All four kinds: active targets, indications, references of 4, 8 and 12 bits, chains.
    writer.bits(0b11_000001, 8).bits(7, 16).bits(0b01111, 5).bits(0b0011, 4);
    writer.bits(0b10_11_00_01, 8);
    writer.bits(1, 2).bits(2, 4).bits(2, 2).bits(99, 8).bits(3, 2).bits(4095, 12).bits(0, 2);
    writer.bits(11, 8).bits(12, 8);
    let descriptor = Descriptor::parse(&writer.bytes(), &mut known).unwrap();
    assert_eq!(descriptor.active_targets, Some(0b0011));
    let frame = descriptor.frame.unwrap();
    assert_eq!(frame.references.differences(), [3, 100, 4096]);
    let all = [0, 1, 2, 3].map(|target| frame.indications.of(target));
    use Indication::{Discardable, NotPresent, Required, Switch};
    assert_eq!(all, [Switch, Required, NotPresent, Discardable]);
}

#[test]
fn what_is_cut_short_is_refused_and_changes_nothing() {
    let whole = keyframe(3);
    for cut in 0..whole.len() {
        let mut known = None;
        let parsed = Descriptor::parse(&whole[..cut], &mut known);
        assert!(known.is_none(), "{cut}");
        assert_eq!(parsed.is_some(), cut == MANDATORY, "{cut}");
    }
}

#[test]
fn numbers_and_ids_move_on_in_place() {
    let mut bytes = keyframe(60);
    rewrite(&mut bytes, 0xF000, 10);
    let mut known = None;
    let moved = Descriptor::parse(&bytes, &mut known).unwrap();
    assert_eq!((moved.frame_number, moved.template_id), (0x0234, 6));
    let structure = known.unwrap();
    assert_eq!(structure.template_offset(), 6);
    let mut original = None;
    let unmoved = Descriptor::parse(&keyframe(60), &mut original).unwrap();
    assert_eq!(structure.templates(), original.unwrap().templates());
    assert_eq!((moved.frame, moved.start_of_frame), (unmoved.frame, unmoved.start_of_frame));
    let mut short = [0xFF, 0xFF, 0xFF];
    rewrite(&mut short, 1, 1);
    assert_eq!(short, [0xC0, 0, 0]);
    rewrite(&mut [], 1, 1);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(17),
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes_never_panic(
        first in prop::collection::vec(any::<u8>(), 0..90),
        rest in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..24), 0..6),
        flags in any::<bool>(),
    ) {
        let mut known = None;
        let mut first = first;
        if let (true, Some(byte)) = (flags, first.get_mut(3)) {
            *byte |= 0x80;
        }
        let _ = Descriptor::parse(&first, &mut known);
        for mut bytes in rest {
            let _ = Descriptor::parse(&bytes, &mut known);
            rewrite(&mut bytes, 77, 9);
        }
        if let Some(structure) = known {
            prop_assert!(!structure.templates().is_empty() && !structure.targets().is_empty());
        }
    }

    #[test]
    fn what_is_written_is_read(offset in 0u8..64, at in 0u16.., by in any::<u16>(), ids in 0u8..64) {
        let mut bytes = keyframe(offset);
        bytes[1..3].copy_from_slice(&at.to_be_bytes());
        rewrite(&mut bytes, by, ids);
        let mut known = None;
        let descriptor = Descriptor::parse(&bytes, &mut known).unwrap();
        prop_assert_eq!(descriptor.frame_number, at.wrapping_add(by));
        prop_assert_eq!(descriptor.template_id, (offset + ids) % 64);
        prop_assert_eq!(known.unwrap().template_offset(), (offset + ids) % 64);
        prop_assert!(descriptor.frame.is_some());
    }
}
