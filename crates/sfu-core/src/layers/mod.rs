//! Which encoding and layers of a track each subscription gets. Pure: values in, decisions out.
//!
//! [`ladder`] lists what a subscriber may have of a track, worst first, within what it asked for. [`allocate`] shares
//! the bandwidth of one subscriber out over the ladders of its subscriptions. [`decide`] makes a plan for one
//! subscription of its ladder and its allowance.

pub(crate) mod allocate;
pub(crate) mod decide;
pub(crate) mod ladder;

/// Steps of a ladder: what one track can be had in. More layers than that are told apart no further.
pub(crate) const MAX_STEPS: usize = 12;
/// Spatial and temporal layers that are told apart.
pub(crate) const MAX_LAYERS: u8 = 4;

/// Which layers of an encoding are forwarded: spatial ones up to one (0 to 3), temporal ones up to one (0 to 3).
/// Both at their highest are everything there is, however many layers that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Layers(u8);

impl Layers {
    /// How many there are.
    pub(crate) const COUNT: usize = 16;
    /// Everything.
    pub(crate) const ALL: Self = Self(15);

    /// The layers up to these, which are included.
    pub(crate) const fn new(spatial: u8, temporal: u8) -> Self {
        let spatial = if spatial < MAX_LAYERS { spatial } else { MAX_LAYERS - 1 };
        let temporal = if temporal < MAX_LAYERS { temporal } else { MAX_LAYERS - 1 };
        Self((spatial << 2) | temporal)
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    pub(crate) fn spatial(self) -> u8 {
        self.0 >> 2
    }

    pub(crate) fn temporal(self) -> u8 {
        self.0 & 3
    }

    /// Its place among all.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self::ALL
    }
}

/// A set of [`Layers`]: those that a packet is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask(u16);

impl Mask {
    /// Part of every choice of layers.
    pub(crate) const ALL: Self = Self(u16::MAX);
    /// Only part of everything.
    pub(crate) const ONLY_ALL: Self = Self(1 << 15);
    pub(crate) const NONE: Self = Self(0);

    /// A packet of these layers. One that is `not_for_upper` is of no use to higher spatial layers.
    pub(crate) const fn of(spatial: u8, temporal: u8, not_for_upper: bool) -> Self {
        let at = Layers::new(spatial, temporal).0;
        let (spatial, temporal) = (at >> 2, at & 3);
        let mut mask = Self::ONLY_ALL.0;
        let mut layers = 0;
        while layers < Layers::COUNT as u8 {
            let (s, t) = (layers >> 2, layers & 3);
            if temporal <= t && (spatial == s || (spatial < s && !not_for_upper)) {
                mask |= 1 << layers;
            }
            layers += 1;
        }
        Self(mask)
    }

    pub(crate) fn contains(self, layers: Layers) -> bool {
        self.0 & (1 << layers.0) != 0
    }

    pub(crate) fn with(self, layers: Layers) -> Self {
        Self(self.0 | (1 << layers.0))
    }
}

/// A set of encodings of one track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EncodingSet(u8);

impl EncodingSet {
    pub(crate) fn add(&mut self, encoding: u8) {
        self.0 |= 1u8.checked_shl(u32::from(encoding)).unwrap_or(0);
    }

    pub(crate) fn contains(self, encoding: u8) -> bool {
        self.0 & 1u8.checked_shl(u32::from(encoding)).unwrap_or(0) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_follow_the_layers() {
        let base = Mask::of(0, 0, false);
        assert_eq!(base, Mask::ALL);
        let top = Mask::of(2, 1, false);
        assert!(
            top.contains(Layers::new(2, 1)) && top.contains(Layers::ALL) && top.contains(Layers::new(2, 2))
        );
        assert!(!top.contains(Layers::new(1, 1)) && !top.contains(Layers::new(2, 0)));
        let lone = Mask::of(0, 0, true);
        assert!(
            lone.contains(Layers::new(0, 2))
                && !lone.contains(Layers::new(1, 2))
                && lone.contains(Layers::ALL)
        );
    }
}
