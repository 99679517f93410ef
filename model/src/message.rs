//! The message that comes with an operation: what a bank would put on the wire.

use std::sync::LazyLock;

use serde::Serialize;

use crate::accounts::AccountNumber;
use crate::amount::Amount;
use crate::decimal;
use crate::jsonb;
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

/// The names of the fields, for jsonb.
struct MessageKeys {
    with_terminal: jsonb::Keys,
    without_terminal: jsonb::Keys,
    counterparty: jsonb::Keys,
}

static KEYS: LazyLock<MessageKeys> = LazyLock::new(|| {
    let before = ["mcc", "time", "amount", "channel", "purpose", "currency", "client_id"];
    let after = ["counterparty", "account_number", "operation_type"];
    MessageKeys {
        with_terminal: jsonb::Keys::new(&[&before[..], &["terminal_id"], &after[..]].concat()),
        without_terminal: jsonb::Keys::new(&[&before[..], &after[..]].concat()),
        counterparty: jsonb::Keys::new(&["name", "account_number"]),
    }
});

impl Message {
    /// Appends the message as JSON.
    pub fn write_json(&self, buffer: &mut Vec<u8>) {
        let written = serde_json::to_writer(buffer, self);
        // Writing to a Vec cannot fail, and the keys are strings.
        debug_assert!(written.is_ok(), "the message could not be serialised");
    }

    /// Appends the message as a server keeps a jsonb in memory. The buffer must end at a multiple of four.
    pub fn write_jsonb(&self, buffer: &mut Vec<u8>) {
        let MessageKeys { with_terminal, without_terminal, counterparty } = &*KEYS;
        let keys = if self.terminal_id.is_some() { with_terminal } else { without_terminal };
        jsonb::write(buffer, keys, |object| {
            object.integer(self.mcc.into());
            object.string(self.time.to_ascii());
            let (ascii, first) = self.amount.to_ascii();
            object.string(&ascii[first..]);
            object.string(self.channel);
            object.string(self.purpose);
            object.string(self.currency);
            object.integer(self.client_id.unsigned_abs());
            if let Some(terminal_id) = self.terminal_id {
                object.integer(terminal_id);
            }
            object.object(counterparty, |counterparty| {
                counterparty.string(self.counterparty.name);
                counterparty.string(self.counterparty.account_number.to_ascii());
            });
            object.string(self.account_number.to_ascii());
            object.string(self.operation_type.label());
        });
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

impl TimeOfDay {
    fn to_ascii(self) -> [u8; 8] {
        let mut ascii = *b"00:00:00";
        decimal::write_padded(&mut ascii[..2], u64::from(self.seconds / 3600));
        decimal::write_padded(&mut ascii[3..5], u64::from(self.seconds / 60 % 60));
        decimal::write_padded(&mut ascii[6..], u64::from(self.seconds % 60));
        ascii
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(decimal::text(&self.to_ascii()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chacha20::ChaCha8Rng;
    use rand::SeedableRng;

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
