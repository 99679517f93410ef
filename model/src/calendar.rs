//! Dates and months, counted as PostgreSQL counts them.

use std::fmt;

/// The Julian day of PostgreSQL's day zero, 2000-01-01.
const POSTGRES_EPOCH_JULIAN_DAY: i32 = 2_451_545;

/// The years that an operation may be dated in. A date outside them is a typing error sooner than a wish.
pub const YEARS: std::ops::RangeInclusive<i32> = 1970..=2199;

/// A day, as PostgreSQL's `date` stores it: days since 2000-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i32);

impl Day {
    /// The day that many days after 2000-01-01, if it is in one of [`YEARS`].
    #[must_use]
    pub fn from_postgres(days: i32) -> Option<Self> {
        let date = time::Date::from_julian_day(days.checked_add(POSTGRES_EPOCH_JULIAN_DAY)?).ok()?;
        YEARS.contains(&date.year()).then_some(Self(days))
    }

    /// Days since 2000-01-01.
    #[must_use]
    pub fn to_postgres(self) -> i32 {
        self.0
    }

    /// The day `days` later. Saturates at the last day that PostgreSQL and this crate agree on.
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        Self(self.0.saturating_add(days))
    }

    /// How many days the closed interval from this day to `last` has; 0 if it is empty.
    #[must_use]
    pub fn days_to(self, last: Self) -> u32 {
        u32::try_from(i64::from(last.0) - i64::from(self.0) + 1).unwrap_or(0)
    }

    /// The month this day is in.
    #[must_use]
    pub fn month(self) -> Month {
        let (year, month, _) = self.to_ymd();
        Month { ordinal: year * 12 + i32::from(month) - 1 }
    }

    /// Year, month (1 to 12) and day of the month (1 to 31).
    #[must_use]
    pub fn to_ymd(self) -> (i32, u8, u8) {
        let julian_day = self.0.saturating_add(POSTGRES_EPOCH_JULIAN_DAY);
        let date = time::Date::from_julian_day(julian_day).unwrap_or(time::Date::MAX);
        (date.year(), u8::from(date.month()), date.day())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.to_ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A calendar month: the unit of partitioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// Months since January of the year 0.
    ordinal: i32,
}

impl Month {
    /// The month `months` later (earlier, if negative).
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self { ordinal: self.ordinal.saturating_add(months) }
    }

    /// How many months after `earlier` this one is.
    #[must_use]
    pub fn months_since(self, earlier: Self) -> i32 {
        self.ordinal.saturating_sub(earlier.ordinal)
    }

    /// The first day of the month.
    #[must_use]
    pub fn first_day(self) -> Day {
        let month = u8::try_from(self.ordinal.rem_euclid(12) + 1)
            .ok()
            .and_then(|number| time::Month::try_from(number).ok())
            .unwrap_or(time::Month::January);
        let date = time::Date::from_calendar_date(self.ordinal.div_euclid(12), month, 1).unwrap_or(time::Date::MAX);
        Day(date.to_julian_day() - POSTGRES_EPOCH_JULIAN_DAY)
    }

    /// The months of the closed interval, in order.
    pub fn range_inclusive(first: Self, last: Self) -> impl Iterator<Item = Self> {
        (first.ordinal..=last.ordinal).map(|ordinal| Self { ordinal })
    }

    /// The name of the partition that holds this month.
    #[must_use]
    pub fn partition_name(self) -> String {
        let (year, month) = (self.ordinal.div_euclid(12), self.ordinal.rem_euclid(12) + 1);
        format!("operations_{year:04}_{month:02}")
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.ordinal.div_euclid(12), self.ordinal.rem_euclid(12) + 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn day(postgres_days: i32) -> Day {
        Day::from_postgres(postgres_days).unwrap()
    }

    #[test]
    fn days_are_counted_from_the_postgres_epoch() {
        assert_eq!(day(0).to_string(), "2000-01-01");
        assert_eq!(day(9344).to_string(), "2025-08-01");
        assert_eq!(day(-1).to_string(), "1999-12-31");
    }

    #[test]
    fn dates_out_of_the_supported_years_are_refused() {
        assert_eq!(day(-10_957).to_string(), "1970-01-01");
        assert_eq!(Day::from_postgres(-10_958), None);
        assert_eq!(day(73_048).to_string(), "2199-12-31");
        assert_eq!(Day::from_postgres(73_049), None);
        assert_eq!(Day::from_postgres(i32::MAX), None, "infinity");
        assert_eq!(Day::from_postgres(i32::MIN), None, "-infinity");
    }

    #[test]
    fn months_start_on_their_first_day_and_follow_each_other_over_years() {
        let december = day(9496).month();
        assert_eq!(december.to_string(), "2025-12");
        assert_eq!(december.first_day().to_string(), "2025-12-01");
        assert_eq!(december.plus(1).first_day().to_string(), "2026-01-01");
        assert_eq!(december.plus(-12).partition_name(), "operations_2024_12");
        assert_eq!(december.plus(1).months_since(december), 1);
        assert_eq!(Month::range_inclusive(december, december.plus(2)).count(), 3);
    }

    #[test]
    fn every_day_lies_in_the_month_that_its_name_says() {
        for days in -10_957..=73_048 {
            let day = day(days);
            let month = day.month();
            assert!(month.first_day() <= day && day < month.plus(1).first_day(), "{day}");
            assert!(day.to_string().starts_with(&month.to_string()), "{day} {month}");
        }
    }

    #[test]
    fn a_closed_interval_counts_both_ends() {
        assert_eq!(day(0).days_to(day(0)), 1);
        assert_eq!(day(0).days_to(day(30)), 31);
        assert_eq!(day(1).days_to(day(0)), 0);
    }
}
