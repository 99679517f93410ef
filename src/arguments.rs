//! Checks of what the procedures are given. PostgreSQL refuses STRICT on procedures, so NULL arrives here.

use std::ops::RangeInclusive;

use operations_model::calendar::Day;
use pgrx::datum::Date;

use crate::error::Error;

/// The value, unless it is null.
pub fn required<T>(argument: &'static str, value: Option<T>) -> Result<T, Error> {
    value.ok_or(Error::NullArgument { argument })
}

/// The number, if it is in the range.
pub fn in_range<T>(argument: &'static str, value: T, range: RangeInclusive<T>) -> Result<T, Error>
where
    T: Copy + PartialOrd + Into<i64>,
{
    if range.contains(&value) {
        return Ok(value);
    }
    let (smallest, largest) = ((*range.start()).into(), (*range.end()).into());
    Err(Error::NumberOutOfRange { argument, value: value.into(), smallest, largest })
}

/// The date, if an operation may be dated so.
pub fn day(argument: &'static str, value: Date) -> Result<Day, Error> {
    Day::from_postgres(value.to_pg_epoch_days()).ok_or_else(|| Error::DateOutOfRange { argument, value: shown(value) })
}

/// As PostgreSQL shows it in ISO style; pgrx shows the infinities as dates.
fn shown(date: Date) -> String {
    if date.is_infinity() {
        "infinity".into()
    } else if date.is_neg_infinity() {
        "-infinity".into()
    } else {
        date.to_string()
    }
}
