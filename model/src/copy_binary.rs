//! Operations in the format of `COPY .. WITH (FORMAT binary)`, as its reference page describes it.

use std::ffi::CStr;

use crate::amount::Amount;
use crate::message::Message;
use crate::numeric::Numeric;
use crate::operation::{Operation, STATUS_NEW};

/// The columns that a row has, in its order.
pub const COLUMNS: [&CStr; 7] =
    [c"operation_date", c"operation_guid", c"client_id", c"operation_type", c"amount", c"status", c"message"];

/// The same, with the id of the row.
pub const COLUMNS_WITH_ID: [&CStr; 8] =
    [c"id", c"operation_date", c"operation_guid", c"client_id", c"operation_type", c"amount", c"status", c"message"];

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
    fields(operation, buffer);
}

/// Appends a row with its id.
pub fn row_with_id(id: i64, operation: &Operation, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(COLUMNS_WITH_ID.len() as i16).to_be_bytes());
    field(buffer, &id.to_be_bytes());
    fields(operation, buffer);
}

fn fields(operation: &Operation, buffer: &mut Vec<u8>) {
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

fn numeric(buffer: &mut Vec<u8>, amount: Amount) {
    with_length(buffer, |buffer| Numeric::from_cents(amount.cents()).write_external(buffer));
}

/// The external form of jsonb: a version, then the text.
fn jsonb(buffer: &mut Vec<u8>, message: &Message) {
    const VERSION: u8 = 1;
    with_length(buffer, |buffer| {
        buffer.push(VERSION);
        message.write_json(buffer);
    });
}

/// Appends what `write` appends, and before that how long it is.
fn with_length(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let length_at = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    write(buffer);
    let length = (buffer.len() - length_at - 4) as i32;
    buffer[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Day;
    use crate::test_data::TestData;

    #[test]
    fn a_row_with_its_id_is_the_row_behind_the_id() {
        let day = Day::from_postgres(9344).unwrap_or_else(|| unreachable!("2025-08-01"));
        for (id, operation) in (7..).zip(TestData::new(1, day, day, 100).range(0, 100)) {
            let (mut without, mut with) = (Vec::new(), Vec::new());
            row(&operation, &mut without);
            row_with_id(id, &operation, &mut with);
            let [_, _, fields @ ..] = without.as_slice() else { unreachable!("it begins with the number of columns") };
            let expected = [&[0, 8, 0, 0, 0, 8][..], &id.to_be_bytes(), fields].concat();
            assert_eq!(with, expected);
        }
    }
}
