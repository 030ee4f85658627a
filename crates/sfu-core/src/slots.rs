//! A table with places that are used again, and ids that tell a later owner of a place apart.

/// Index and generation of an entry.
pub(crate) type Key = (u32, u32);

/// Up to so many places are added one by one.
const SMALL: usize = 4;

#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    limit: usize,
}

impl<T> Slots<T> {
    /// An empty table for up to `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), limit }
    }

    /// Adds what `make` makes of its key; `None` if the table is full.
    pub(crate) fn insert(&mut self, make: impl FnOnce(Key) -> T) -> Option<Key> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.limit => {
                if self.slots.len() < SMALL {
                    // Most subscribers have two streams, and a shard has thousands of such tables.
                    self.slots.reserve_exact(1);
                }
                self.slots.push((0, None));
                u32::try_from(self.slots.len() - 1).ok()?
            }
            None => return None,
        };
        let (generation, slot) = self.slots.get_mut(index as usize)?;
        let key = (index, *generation);
        *slot = Some(make(key));
        Some(key)
    }

    pub(crate) fn get(&self, (index, generation): Key) -> Option<&T> {
        self.slots.get(index as usize).filter(|slot| slot.0 == generation)?.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, (index, generation): Key) -> Option<&mut T> {
        self.slots.get_mut(index as usize).filter(|slot| slot.0 == generation)?.1.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, entry)| entry.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|(_, entry)| entry.as_mut())
    }

    pub(crate) fn remove(&mut self, (index, generation): Key) -> Option<T> {
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.0 == generation)?;
        let value = slot.1.take()?;
        slot.0 = slot.0.wrapping_add(1);
        self.free.push(index);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slots = Slots::new(1);
        let first = slots.insert(|_| 'a').expect("room");
        assert_eq!(slots.insert(|_| 'b'), None, "full");
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert(|_| 'b').expect("room again");
        assert_eq!((slots.get(first), slots.get(second)), (None, Some(&'b')));
        assert_eq!(slots.remove(first), None);
    }
}
