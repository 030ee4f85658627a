//! Which session the datagrams of an address belong to.

use std::collections::HashMap;
use std::net::SocketAddr;

/// The owner of each address, a session by its slot. At most [`transport`]'s validated pairs for each session.
///
/// A check proves whose it is, not where it comes from: with a session of one's own one can send checks that bear the
/// address of somebody else. So an address that a session holds (it was authenticated there and is checked) stays with
/// it; any other goes to whoever validated it last. Sessions claim again with each check, so an address whose owner has
/// gone, or is silent, is soon with the one that lives there now.
#[derive(Debug, Default)]
pub(super) struct AddressOwners(HashMap<SocketAddr, usize>);

impl AddressOwners {
    /// Whose the datagrams of `address` are.
    pub(super) fn owner(&self, address: &SocketAddr) -> Option<&usize> {
        self.0.get(address)
    }

    /// A check of session `slot` came from `address`. `holds` says of another session whether it holds the address.
    pub(super) fn claim(&mut self, address: SocketAddr, slot: usize, holds: impl FnOnce(usize) -> bool) {
        match self.0.get(&address) {
            Some(owner) if *owner == slot || holds(*owner) => {}
            Some(_) | None => {
                self.0.insert(address, slot);
            }
        }
    }

    /// Session `slot` is not at `address` any more, or not at all.
    pub(super) fn release(&mut self, address: SocketAddr, slot: usize) {
        if self.0.get(&address) == Some(&slot) {
            self.0.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn an_address_that_is_held_is_not_taken() {
        let mut owners = AddressOwners::default();
        owners.claim(address(1), 7, |_| panic!("nobody is there"));
        owners.claim(address(1), 8, |owner| owner == 7);
        assert_eq!(owners.owner(&address(1)), Some(&7));
        // Whoever claims in vain does not take it away by leaving.
        owners.release(address(1), 8);
        assert_eq!(owners.owner(&address(1)), Some(&7));
        owners.release(address(1), 7);
        assert_eq!(owners.owner(&address(1)), None);
        owners.claim(address(1), 8, |_| panic!("nobody is there"));
        assert_eq!(owners.owner(&address(1)), Some(&8));
    }

    #[test]
    fn an_owner_that_is_silent_gives_way() {
        let mut owners = AddressOwners::default();
        owners.claim(address(1), 7, |_| true);
        owners.claim(address(1), 8, |_| false);
        assert_eq!(owners.owner(&address(1)), Some(&8));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

        /// Session `n` lives at address `n`, session 9 at none and claims them all, in any order. Who lives somewhere and
        /// has checked from there after the last that came in between owns the address, and keeps it once it is held.
        #[test]
        fn whoever_lives_at_an_address_owns_it(
            steps in prop::collection::vec((0usize..4, 0u8..4), 1..100),
        ) {
            let mut owners = AddressOwners::default();
            let mut held = [false; 4];
            for (home, step) in steps {
                let place = address(home as u16);
                match step {
                    0 => owners.claim(place, 9, |owner| owner < 4 && held[owner]),
                    1 => owners.claim(place, home, |owner| owner < 4 && held[owner]),
                    // Its handshake ends, which takes its datagrams.
                    2 => held[home] |= owners.owner(&place) == Some(&home),
                    _ => {
                        held[home] = false;
                        owners.release(place, home);
                    }
                }
                if held[home] || step == 1 {
                    prop_assert_eq!(owners.owner(&place), Some(&home));
                }
            }
        }
    }
}
