//! Randomness: uids and the suffixes of generated names.
//!
//! Responsible for: the same values from the same seed, so that a simulation can be replayed. Must never: be used for
//! secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// What Kubernetes makes suffixes of: no vowels, and nothing that can be mistaken.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A source of random values (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A source that always gives the same values for the same seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A source that gives other values in every process.
    #[must_use]
    pub fn unpredictable() -> Self {
        Self::from_seed(RandomState::new().build_hasher().finish())
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A uid: a UUID of version 4.
    pub fn uid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let version = (high & 0x0fff) | 0x4000;
        let variant = ((low >> 48) & 0x3fff) | 0x8000;
        let (time, middle, node) = (high >> 32, (high >> 16) & 0xffff, low & 0xffff_ffff_ffff);
        format!("{time:08x}-{middle:04x}-{version:04x}-{variant:04x}-{node:012x}")
    }

    /// The five characters behind a `generateName`.
    pub fn suffix(&mut self) -> String {
        let mut bits = self.bits();
        let length = ALPHABET.len() as u64;
        let mut suffix = String::new();
        for _ in 0..5 {
            let index = usize::try_from(bits % length).unwrap_or_default();
            suffix.push(ALPHABET.get(index).copied().map_or('b', char::from));
            bits /= length;
        }
        suffix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_values_again() {
        let (mut one, mut two) = (Random::from_seed(7), Random::from_seed(7));
        assert_eq!((one.uid(), one.suffix()), (two.uid(), two.suffix()));
        let uid = one.uid();
        assert_eq!((uid.len(), uid.as_bytes()[14], uid.matches('-').count()), (36, b'4', 4), "{uid}");
        assert_eq!(one.suffix().len(), 5);
    }
}
