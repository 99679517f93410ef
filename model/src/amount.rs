//! Amounts of money.

use std::fmt;

use serde::{Serialize, Serializer};

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

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
    }
}
