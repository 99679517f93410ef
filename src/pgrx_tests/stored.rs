//! What the fast load writes past PostgreSQL's input functions, against what these functions make.

#[pgrx::pg_schema]
mod tests {
    use std::ffi::CString;

    use operations_model::calendar::Day;
    use operations_model::jsonb;
    use operations_model::numeric::Numeric;
    use operations_model::test_data::TestData;
    use pgrx::prelude::*;
    use pgrx::{direct_function_call_as_datum, pg_sys};

    #[expect(unsafe_code, reason = "it calls functions of PostgreSQL")]
    /// The bytes of a value of variable length, as the function of that name reads it.
    fn input(function: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum, text: &str, modifier: i32) -> Vec<u8> {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: input functions take a C string, an OID that these do not use, and a type modifier; what they return
        // is a pointer to a value that is not compressed and has a length of four bytes.
        unsafe {
            let arguments = [text.as_c_str().into_datum(), pg_sys::InvalidOid.into_datum(), modifier.into_datum()];
            let value = direct_function_call_as_datum(function, &arguments);
            let value = value.map_or(std::ptr::null(), |value| value.cast_mut_ptr::<pg_sys::varlena>().cast_const());
            std::slice::from_raw_parts(value.cast::<u8>(), pgrx::varsize_any(value)).to_vec()
        }
    }

    #[pg_test]
    fn messages_and_amounts_are_stored_byte_for_byte_as_the_input_functions_store_them() {
        const ROWS: u64 = 50_000;
        /// numeric(12, 2), as numerictypmodin encodes it.
        const AMOUNT: i32 = (12 << 16 | 2) + pg_sys::VARHDRSZ as i32;
        let first = Day::from_postgres(9344).unwrap_or_else(|| unreachable!("2025-08-01"));
        let data = TestData::new(20_261_122, first, first.plus(365), ROWS);
        for operation in data.range(0, ROWS) {
            let (mut message, mut amount) = (Vec::new(), Vec::new());
            operation.message.write_jsonb(&mut message);
            assert_eq!(message, input(pg_sys::jsonb_in, &operation.message.to_json(), -1), "{operation:?}");
            Numeric::from_cents(operation.amount.cents()).write_stored(&mut amount);
            assert_eq!(amount, input(pg_sys::numeric_in, &operation.amount.to_string(), AMOUNT), "{operation:?}");
        }
    }

    #[pg_test]
    fn numbers_of_every_size_are_stored_as_numeric_in_stores_them() {
        let powers = (0..10).map(|power| 10_u32.pow(power));
        let numbers = powers.flat_map(|power| [power - 1, power, power + 1, power.saturating_mul(7)]);
        let random = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761) >> (n % 32));
        for number in numbers.chain(random).chain([u32::MAX]) {
            let (mut integer, mut cents) = (Vec::new(), Vec::new());
            Numeric::from_integer(number).write_stored(&mut integer);
            assert_eq!(integer, input(pg_sys::numeric_in, &number.to_string(), -1));
            Numeric::from_cents(number).write_stored(&mut cents);
            let money = format!("{}.{:02}", number / 100, number % 100);
            assert_eq!(cents, input(pg_sys::numeric_in, &money, -1));
        }
    }

    #[pg_test]
    fn objects_of_any_size_are_stored_as_jsonb_in_stores_them() {
        for count in [0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 100] {
            let names: Vec<String> = (0..count).map(|n| format!("key{n:03}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let keys = jsonb::Keys::new(&names);
            let inner = jsonb::Keys::new(&["n"]);
            let mut json = Vec::new();
            let mut stored = Vec::new();
            jsonb::write(&mut stored, &keys, |object| {
                for (n, name) in (0_u32..).zip(&names) {
                    json.push(match n % 3 {
                        0 => format!("\"{name}\":\"{}\"", "x".repeat(n as usize)),
                        1 => format!("\"{name}\":{}", n * 9999),
                        _ => format!("\"{name}\":{{\"n\":{n}}}"),
                    });
                    match n % 3 {
                        0 => object.string("x".repeat(n as usize)),
                        1 => object.integer(n * 9999),
                        _ => object.object(&inner, |object| object.integer(n)),
                    }
                }
            });
            assert_eq!(stored, input(pg_sys::jsonb_in, &format!("{{{}}}", json.join(",")), -1), "{count} keys");
        }
    }
}
