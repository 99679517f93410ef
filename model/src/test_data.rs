//! A reproducible set of operations: seed, interval and count determine every row.

use std::ops::Range;

use chacha20::ChaCha8Rng;
use rand::SeedableRng;

use crate::calendar::{Day, Month};
use crate::generator;
use crate::operation::Operation;

/// Rows that share one stream of the generator. A reader can start at any row by drawing at most this many in vain,
/// so that parts of a set can be made independently of each other.
const ROWS_PER_STREAM: u64 = 1024;

/// `rows` operations, dated in ascending order and evenly over the closed interval from `first` to `last`.
#[derive(Clone, Copy, Debug)]
pub struct TestData {
    seed: u64,
    first: Day,
    days: u32,
    rows: u64,
}

impl TestData {
    /// A set of test data. The interval must not be empty.
    #[must_use]
    pub fn new(seed: u64, first: Day, last: Day, rows: u64) -> Self {
        Self { seed, first, days: first.days_to(last).max(1), rows }
    }

    /// How many rows the whole set has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The seed, as PostgreSQL has it: a number with a sign.
    #[must_use]
    pub fn seed(&self) -> i64 {
        self.seed.cast_signed()
    }

    /// The first and the last day.
    #[must_use]
    pub fn interval(&self) -> (Day, Day) {
        (self.first, self.first.plus(self.days - 1))
    }

    /// Where in the set the rows of that month are. They follow each other, as dates ascend.
    #[must_use]
    pub fn rows_of(&self, month: Month) -> Range<u64> {
        self.rows_before(month.first_day())..self.rows_before(month.plus(1).first_day())
    }

    /// How many rows are dated before that day.
    fn rows_before(&self, day: Day) -> u64 {
        let offset = u64::from(self.first.days_to(day).saturating_sub(1)).min(self.days.into());
        let rows = (u128::from(offset) * u128::from(self.rows)).div_ceil(self.days.into());
        u64::try_from(rows).unwrap_or(u64::MAX)
    }

    /// The rows of the set from `start` up to, not including, `end`.
    #[must_use]
    pub fn range(&self, start: u64, end: u64) -> Rows {
        let end = end.min(self.rows);
        let dates = Dates::new(*self, start / ROWS_PER_STREAM * ROWS_PER_STREAM);
        let mut rows = Rows { rng: self.stream_of(start), dates, end };
        while rows.dates.row < start.min(end) {
            rows.next();
        }
        rows
    }

    /// The dates of those rows of the set.
    pub fn dates(&self, rows: Range<u64>) -> impl Iterator<Item = Day> + use<> {
        Dates::new(*self, rows.start).take(usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX))
    }

    fn date_of(&self, row: u64) -> Day {
        let offset = u128::from(row) * u128::from(self.days) / u128::from(self.rows.max(1));
        self.first.plus(u32::try_from(offset).unwrap_or(u32::MAX))
    }

    fn stream_of(&self, row: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(row / ROWS_PER_STREAM);
        rng
    }
}

/// The dates of a row and all after it. A division is due once a day, not once a row.
#[derive(Debug)]
struct Dates {
    data: TestData,
    /// The row whose date is due next.
    row: u64,
    date: Day,
    /// The first row that is not of that date.
    end: u64,
}

impl Dates {
    fn new(data: TestData, row: u64) -> Self {
        let date = data.date_of(row);
        Self { data, row, date, end: data.rows_before(date.plus(1)) }
    }
}

impl Iterator for Dates {
    type Item = Day;

    fn next(&mut self) -> Option<Day> {
        if self.row >= self.end {
            *self = Self::new(self.data, self.row);
        }
        self.row += 1;
        Some(self.date)
    }
}

/// Iterates over operations of a [`TestData`].
#[derive(Debug)]
pub struct Rows {
    rng: ChaCha8Rng,
    dates: Dates,
    end: u64,
}

impl Iterator for Rows {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let row = self.dates.row;
        if row >= self.end {
            return None;
        }
        if row.is_multiple_of(ROWS_PER_STREAM) {
            self.rng = self.dates.data.stream_of(row);
        }
        self.dates.next().map(|date| generator::operation(&mut self.rng, date))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::copy_binary;

    fn august(seed: u64, rows: u64) -> TestData {
        let first = Day::from_postgres(9344).unwrap();
        TestData::new(seed, first, first.plus(30), rows)
    }

    fn encoded(rows: Rows) -> Vec<u8> {
        let mut bytes = Vec::new();
        rows.for_each(|operation| copy_binary::row(&operation, &mut bytes));
        bytes
    }

    #[test]
    fn a_seed_gives_the_same_rows_again_and_another_seed_others() {
        assert_eq!(encoded(august(1, 3000).range(0, 3000)), encoded(august(1, 3000).range(0, 3000)));
        assert_ne!(encoded(august(1, 3000).range(0, 3000)), encoded(august(2, 3000).range(0, 3000)));
    }

    #[test]
    fn a_seed_gives_the_same_rows_on_every_machine_and_in_every_release() {
        // FNV-1a over the encoded rows. It may change only with a new major version, and then the changelog says so.
        let hash = encoded(august(42, 2000).range(0, 2000))
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        assert_eq!(format!("{hash:016x}"), "cd9e1e83ab03a10b");
    }

    #[test]
    fn parts_make_up_the_whole_wherever_it_is_cut() {
        let data = august(9, 5000);
        let whole = encoded(data.range(0, 5000));
        for cut in [0, 1, 1023, 1024, 1025, 3333, 5000] {
            let parts = [encoded(data.range(0, cut)), encoded(data.range(cut, 5000))].concat();
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }

    #[test]
    fn dates_ascend_and_spread_over_the_closed_interval() {
        let data = august(3, 3100);
        let dates: Vec<Day> = data.range(0, data.rows()).map(|operation| operation.date).collect();
        assert!(dates.is_sorted());
        for day in 0..31 {
            let date = data.first.plus(day);
            assert_eq!(dates.iter().filter(|d| **d == date).count(), 100, "{date}");
        }
    }

    #[test]
    fn dates_without_rows_are_those_of_the_rows() {
        for rows in [7, 31, 3100, 5001] {
            let data = august(3, rows);
            let all: Vec<Day> = data.range(0, rows).map(|operation| operation.date).collect();
            assert_eq!(all, (0..rows).map(|row| data.date_of(row)).collect::<Vec<_>>());
            for start in [0, 1, rows / 3, rows] {
                assert!(data.dates(start..rows).eq(all[start as usize..].iter().copied()), "{rows} rows from {start}");
            }
        }
    }

    #[test]
    fn the_rows_of_the_months_make_up_the_set_and_are_dated_so() {
        let first = Day::from_postgres(9344 - 100).unwrap();
        for (days, rows) in [(400, 5000), (400, 7), (1, 3), (31, 31), (32, 1), (365, 99_991)] {
            let data = TestData::new(1, first, first.plus(days - 1), rows);
            let mut next = 0;
            for month in Month::range_inclusive(first.month(), first.plus(days - 1).month()) {
                let part = data.rows_of(month);
                assert_eq!(part.start, next, "{days} days, {rows} rows, {month}");
                for row in [part.start, part.end.saturating_sub(1)].into_iter().filter(|row| part.contains(row)) {
                    assert_eq!(data.date_of(row).month(), month, "row {row} of {rows}");
                }
                next = part.end;
            }
            assert_eq!(next, rows);
        }
    }

    #[test]
    fn fewer_rows_than_days_and_one_day_work() {
        assert_eq!(august(3, 2).range(0, 2).count(), 2);
        let first = Day::from_postgres(0).unwrap();
        assert!(TestData::new(3, first, first, 5).range(0, 99).all(|operation| operation.date == first));
    }
}
