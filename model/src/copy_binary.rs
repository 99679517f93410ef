//! Operations in the format of `COPY .. WITH (FORMAT binary)`, as its reference page describes it.

use std::ffi::CStr;

use crate::amount::Amount;
use crate::message::Message;
use crate::operation::{Operation, STATUS_NEW};

/// The columns that a row has, in its order.
pub const COLUMNS: [&CStr; 7] =
    [c"operation_date", c"operation_guid", c"client_id", c"operation_type", c"amount", c"status", c"message"];

/// Appends what comes before the first row: signature, no flags, no header extension.
pub fn header(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    buffer.extend_from_slice(&[0; 8]);
}

/// Appends what comes after the last row.
pub fn trailer(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(-1_i16).to_be_bytes());
}

/// Appends a row.
pub fn row(operation: &Operation, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(COLUMNS.len() as i16).to_be_bytes());
    field(buffer, &operation.date.to_postgres().to_be_bytes());
    field(buffer, &operation.guid);
    field(buffer, &operation.client_id.to_be_bytes());
    field(buffer, operation.operation_type.label().as_bytes());
    numeric(buffer, operation.amount);
    field(buffer, &STATUS_NEW.to_be_bytes());
    jsonb(buffer, &operation.message);
}

fn field(buffer: &mut Vec<u8>, value: &[u8]) {
    buffer.extend_from_slice(&(value.len() as i32).to_be_bytes());
    buffer.extend_from_slice(value);
}

/// The external form of numeric: digits to the base 10,000, the weight of the first, sign, decimals shown.
fn numeric(buffer: &mut Vec<u8>, amount: Amount) {
    const BASE: u32 = 10_000;
    const DECIMALS: i16 = 2;
    const POSITIVE: i16 = 0;
    let (units, cents) = (amount.cents() / 100, amount.cents() % 100);
    // From the ten-thousands down to the ten-thousandths; u32 cents never need a digit above.
    let digits = [units / BASE, units % BASE, cents * 100];
    let first = digits.iter().position(|digit| *digit != 0).unwrap_or(0);
    let last = digits.iter().rposition(|digit| *digit != 0).unwrap_or(0);
    let digits = &digits[first..=last];
    buffer.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    for word in [digits.len() as i16, 1 - first as i16, POSITIVE, DECIMALS] {
        buffer.extend_from_slice(&word.to_be_bytes());
    }
    for digit in digits {
        buffer.extend_from_slice(&(*digit as i16).to_be_bytes());
    }
}

/// The external form of jsonb: a version, then the text.
fn jsonb(buffer: &mut Vec<u8>, message: &Message) {
    const VERSION: u8 = 1;
    let length_at = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.push(VERSION);
    message.write_json(buffer);
    let length = (buffer.len() - length_at - 4) as i32;
    buffer[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric_words(cents: u32) -> Vec<i16> {
        let mut buffer = Vec::new();
        numeric(&mut buffer, Amount::from_cents(cents));
        buffer[4..].chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn numerics_have_the_external_form_that_numeric_send_gives() {
        // select numeric_send(19.99), numeric_send(0.05), numeric_send(120000.00), numeric_send(300.00) ...
        assert_eq!(numeric_words(1999), [2, 0, 0, 2, 19, 9900]);
        assert_eq!(numeric_words(5), [1, -1, 0, 2, 500]);
        assert_eq!(numeric_words(12_000_000), [1, 1, 0, 2, 12]);
        assert_eq!(numeric_words(30_000), [1, 0, 0, 2, 300]);
        assert_eq!(numeric_words(123_456_789), [3, 1, 0, 2, 123, 4567, 8900]);
    }
}
