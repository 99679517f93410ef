//! Amounts of money.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::decimal;

/// Money: a positive number of cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    cents: u32,
}

impl Amount {
    /// That many cents; at least one.
    #[must_use]
    pub fn from_cents(cents: u32) -> Self {
        Self { cents: cents.max(1) }
    }

    /// The amount in cents.
    #[must_use]
    pub fn cents(self) -> u32 {
        self.cents
    }
}

impl Amount {
    /// The digits, right-aligned, and where the first that counts is.
    pub(crate) fn to_ascii(self) -> ([u8; 11], usize) {
        let mut ascii = *b"00000000.00";
        decimal::write_padded(&mut ascii[..8], u64::from(self.cents / 100));
        decimal::write_padded(&mut ascii[9..], u64::from(self.cents % 100));
        let first = ascii[..7].iter().position(|digit| *digit != b'0').unwrap_or(7);
        (ascii, first)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ascii, first) = self.to_ascii();
        f.write_str(decimal::text(&ascii[first..]))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (ascii, first) = self.to_ascii();
        serializer.serialize_str(decimal::text(&ascii[first..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_two_decimals_and_are_positive() {
        assert_eq!(Amount::from_cents(1999).to_string(), "19.99");
        assert_eq!(Amount::from_cents(5).to_string(), "0.05");
        assert_eq!(Amount::from_cents(0).to_string(), "0.01");
        assert_eq!(Amount::from_cents(u32::MAX).to_string(), "42949672.95");
    }
}
