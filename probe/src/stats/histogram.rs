//! A distribution of microseconds in fixed memory.

/// Values below this have a bucket each.
const LINEAR: u64 = 64;
/// Buckets of each further doubling: a value is known to 1/32.
const PER_OCTAVE: usize = 32;
/// Doublings after the linear part: up to 2^40 us, twelve days. Larger values count as that.
const OCTAVES: usize = 34;
const BUCKETS: usize = LINEAR as usize + PER_OCTAVE * OCTAVES;

/// How often which value came, exact to about 3 %. 9 KB, whatever it holds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), count: 0, sum: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
            self.count += 1;
            self.sum = self.sum.saturating_add(value);
        }
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; 0 without values.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// The smallest bucket bound that at least `share` (0 to 1) of the values do not pass; `None` without values.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let wanted = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Some(upper(index));
            }
        }
        None
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// What came since `earlier`, an older state of this same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then));
        Self {
            counts: counts.collect(),
            count: self.count.saturating_sub(earlier.count),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }
}

fn bucket(value: u64) -> usize {
    if value < LINEAR {
        return value as usize;
    }
    // LINEAR is 2^6: the first octave is 64..128, in steps of 2.
    let octave = 63 - value.leading_zeros() as usize - 6;
    let step = (value >> (octave + 1)) as usize - PER_OCTAVE;
    (LINEAR as usize + octave * PER_OCTAVE + step).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let Some(index) = bucket.checked_sub(LINEAR as usize) else { return bucket as u64 };
    let (octave, step) = (index / PER_OCTAVE, index % PER_OCTAVE);
    (((PER_OCTAVE + step + 1) as u64) << (octave + 1)) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_known_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=50).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(0.0), Some(1));
        assert_eq!(histogram.quantile(0.5), Some(25));
        assert_eq!(histogram.quantile(0.99), Some(50));
        assert_eq!(histogram.quantile(1.0), Some(50));
        assert_eq!(histogram.mean(), 25);
    }

    #[test]
    fn the_difference_of_two_states_is_what_came_between() {
        let mut histogram = Histogram::default();
        histogram.record(5);
        let before = histogram.clone();
        histogram.record(1_000);
        let window = histogram.since(&before);
        assert_eq!(window.count(), 1);
        assert!((1_000..1_032).contains(&window.quantile(0.5).unwrap()));
        let mut sum = before.clone();
        sum.merge(&window);
        assert_eq!(sum.quantile(0.5), Some(5));
        assert_eq!(sum.count(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_bucket_holds_its_value_to_three_percent(value in 0u64..1 << 39) {
            let bound = upper(bucket(value));
            prop_assert!(bound >= value && bound - value <= value / 32);
            prop_assert_eq!(bucket(bound), bucket(value));
            prop_assert_eq!(bucket(bound + 1), bucket(value) + 1);
        }

        #[test]
        fn any_value_is_counted(value: u64) {
            let mut histogram = Histogram::default();
            histogram.record(value);
            prop_assert_eq!(histogram.count(), 1);
            prop_assert!(histogram.quantile(1.0).is_some());
        }
    }
}
