//! An operation: one row of the table `operations`, without the id that the server gives it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::calendar::Day;
use crate::message::Message;

/// A new operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `operation_date`
    pub date: Day,
    /// `operation_guid`, a version 4 UUID
    pub guid: [u8; 16],
    /// `client_id`
    pub client_id: i32,
    /// `operation_type`
    pub operation_type: OperationType,
    /// `amount`
    pub amount: Amount,
    /// `message`
    pub message: Message,
}

/// The `status` of an operation that nobody has worked on yet.
pub const STATUS_NEW: i16 = 0;

/// How an operation came in: the labels of `operation_type_enum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationType {
    /// At a branch, a cash machine or a till.
    Offline,
    /// Through the web, an application or a card on file.
    Online,
}

impl OperationType {
    /// The label in SQL.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
        }
    }
}

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
