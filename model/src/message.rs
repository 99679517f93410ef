//! The message that comes with an operation: what a bank would put on the wire.

use serde::Serialize;

use crate::accounts::AccountNumber;
use crate::amount::Amount;
use crate::operation_type::OperationType;

/// The message of an operation, stored as jsonb. Everything in it that also is a column says the same as the column.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// The client's account that the operation is on.
    pub account_number: AccountNumber,
    /// The client, as in the column of that name.
    pub client_id: i32,
    /// How the operation came in, as in the column of that name.
    pub operation_type: OperationType,
    /// The amount as a string of digits, as money travels in JSON; equal to the column of that name.
    pub amount: Amount,
    /// ISO 4217 code. There is one, so that amounts can be summed.
    pub currency: &'static str,
    /// Where the operation was made.
    pub channel: &'static str,
    /// The terminal, for what was made at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_id: Option<u32>,
    /// What it was for, and the merchant category code (ISO 18245) that goes with it.
    pub purpose: &'static str,
    /// See `purpose`.
    pub mcc: u16,
    /// The other side.
    pub counterparty: Counterparty,
    /// Time of day in UTC, `HH:MM:SS`.
    pub time: TimeOfDay,
}

impl Message {
    /// Appends the message as JSON.
    pub fn write_json(&self, buffer: &mut Vec<u8>) {
        let written = serde_json::to_writer(buffer, self);
        // Writing to a Vec cannot fail, and the keys are strings.
        debug_assert!(written.is_ok(), "the message could not be serialised");
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut buffer = Vec::new();
        self.write_json(&mut buffer);
        String::from_utf8_lossy(&buffer).into_owned()
    }
}

/// The other side of an operation.
#[derive(Clone, Debug, Serialize)]
pub struct Counterparty {
    /// Name as on the statement.
    pub name: &'static str,
    /// Its account.
    pub account_number: AccountNumber,
}

/// A second of the day.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay {
    /// Seconds since midnight.
    pub seconds: u32,
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seconds } = self;
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
