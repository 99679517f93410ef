//! The message that comes with an operation: what a bank would put on the wire.

use serde::Serialize;

use crate::accounts::AccountNumber;
use crate::amount::Amount;
use crate::decimal;
use crate::operation_type::OperationType;

/// The message of an operation, stored as jsonb. Everything in it that also is a column says the same as the column.
///
/// The fields stand in the order in which jsonb keeps keys, shorter before longer, so that PostgreSQL need not sort them.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Merchant category code (ISO 18245) that goes with the purpose.
    pub mcc: u16,
    /// Time of day in UTC, `HH:MM:SS`.
    pub time: TimeOfDay,
    /// The amount as a string of digits, as money travels in JSON; equal to the column of that name.
    pub amount: Amount,
    /// Where the operation was made.
    pub channel: &'static str,
    /// What it was for.
    pub purpose: &'static str,
    /// ISO 4217 code. There is one, so that amounts can be summed.
    pub currency: &'static str,
    /// The client, as in the column of that name.
    pub client_id: i32,
    /// The terminal, for what was made at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_id: Option<u32>,
    /// The other side.
    pub counterparty: Counterparty,
    /// The client's account that the operation is on.
    pub account_number: AccountNumber,
    /// How the operation came in, as in the column of that name.
    pub operation_type: OperationType,
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

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ascii = *b"00:00:00";
        decimal::write_padded(&mut ascii[..2], u64::from(self.seconds / 3600));
        decimal::write_padded(&mut ascii[3..5], u64::from(self.seconds / 60 % 60));
        decimal::write_padded(&mut ascii[6..], u64::from(self.seconds % 60));
        serializer.serialize_str(decimal::text(&ascii))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use crate::calendar::Day;
    use crate::generator;

    /// The keys of an object, in the order in which they are written.
    fn keys(json: &str) -> Vec<&str> {
        json.split(['{', ',']).filter_map(|field| field.split_once("\":")).map(|(key, _)| &key[1..]).collect()
    }

    #[test]
    fn keys_are_written_in_the_order_in_which_jsonb_keeps_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..10 {
            let json = generator::operation(&mut rng, Day::from_postgres(9344).unwrap()).message.to_json();
            let (outer, inner) = json.split_once("\"counterparty\":").unwrap();
            let (inner, rest) = inner.split_once("},").unwrap();
            let outer: Vec<&str> = keys(outer).into_iter().chain(["counterparty"]).chain(keys(rest)).collect();
            for keys in [outer, keys(inner)] {
                assert!(keys.len() > 1 && keys.is_sorted_by_key(|key| (key.len(), *key)), "{keys:?}");
            }
        }
    }
}
