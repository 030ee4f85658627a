//! Which pictures a caller's page shows. Pure.

/// A page of pictures that changes as little as it can: who is on it stays until it goes, who comes takes a free place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    most: usize,
    shown: Vec<u32>,
}

impl Page {
    /// A page with `most` places, of which the first show these.
    pub(crate) fn new(most: usize, shown: &[u32]) -> Self {
        Self { most, shown: shown.iter().copied().take(most).collect() }
    }

    /// The pictures, the longest shown first.
    pub(crate) fn shown(&self) -> &[u32] {
        &self.shown
    }

    /// Follows who is there: the pictures of all others, in the order in which they came. Whether it has changed.
    pub(crate) fn follow(&mut self, others: &[u32]) -> bool {
        let before = self.shown.clone();
        self.shown.retain(|picture| others.contains(picture));
        let free = self.most.saturating_sub(self.shown.len());
        let newest = others.iter().rev().filter(|picture| !self.shown.contains(picture));
        let newest: Vec<u32> = newest.copied().take(free).collect();
        self.shown.extend(newest);
        self.shown != before
    }

    /// Turns to page `number` of `others`, which begin with whoever came after this caller.
    pub(crate) fn turn(&mut self, number: usize, others: &[u32]) {
        let places = self.most.min(others.len());
        let from = number * self.most;
        self.shown = (0..places).filter_map(|n| others.get((from + n) % others.len()).copied()).collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_page_is_full_without_a_picture_twice_and_keeps_who_stays(
            rooms in prop::collection::vec(prop::collection::btree_set(0..20u32, 0..20), 1..8),
        ) {
            let mut page = Page::new(5, &[]);
            for room in rooms {
                let others: Vec<u32> = room.iter().copied().collect();
                let before = page.clone();
                let changed = page.follow(&others);
                prop_assert_eq!(changed, before != page);
                prop_assert_eq!(page.shown().len(), others.len().min(5));
                prop_assert!(page.shown().iter().all(|picture| others.contains(picture)));
                let mut once = page.shown().to_vec();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(once.len(), page.shown().len());
                let stay = before.shown().iter().filter(|picture| room.contains(picture));
                prop_assert!(stay.into_iter().all(|picture| page.shown().contains(picture)));
            }
        }
    }

    #[test]
    fn pages_go_through_everybody() {
        let others = [1, 2, 3, 4, 5];
        let mut page = Page::new(2, &[]);
        let mut seen = Vec::new();
        for number in 0..3 {
            page.turn(number, &others);
            seen.extend_from_slice(page.shown());
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 1]);
        page.turn(1, &[]);
        assert!(page.shown().is_empty());
    }
}
