//! By COPY inside the server: for tables that only PostgreSQL itself knows how to fill.

use std::time::Instant;

use operations_model::calendar::Month;
use operations_model::copy_binary;
use operations_model::operation::Operation;
use operations_model::test_data::TestData;

use super::progress::report;
use crate::load::progress::{Phase, Progress};
use crate::pg::catalog::RelationOid;
use crate::pg::copy;
use crate::pg::wal;

/// Rows encoded at a time, so that COPY does not ask for each alone.
const ROWS_PER_READ: usize = 256;

/// Loads all rows, in their order.
pub fn load(operations: RelationOid, data: &TestData, progress: &Progress) {
    let mut rows = data.range(0, data.rows());
    let mut part = StreamPart::Header;
    let mut months = Months { progress, current: None };
    copy::copy_binary(operations, &copy_binary::COLUMNS, &mut |buffer| {
        if part == StreamPart::Header {
            copy_binary::header(buffer);
            part = StreamPart::Rows;
        }
        let mut count = 0;
        for operation in rows.by_ref().take(ROWS_PER_READ) {
            months.row(&operation);
            copy_binary::row(&operation, buffer);
            count += 1;
        }
        progress.counter().add(count);
        wal::hand_over();
        if count == 0 && part == StreamPart::Rows {
            copy_binary::trailer(buffer);
            part = StreamPart::Trailer;
        }
    });
    months.end();
}

#[derive(PartialEq, Eq)]
enum StreamPart {
    Header,
    Rows,
    Trailer,
}

/// Follows the rows from month to month.
struct Months<'a> {
    progress: &'a Progress,
    current: Option<(Month, u64, Instant)>,
}

impl Months<'_> {
    fn row(&mut self, operation: &Operation) {
        match &mut self.current {
            Some((month, rows, _))
                if month.first_day() <= operation.date && operation.date < month.plus(1).first_day() =>
            {
                *rows += 1;
            }
            _ => {
                self.end();
                let month = operation.date.month();
                self.progress.enter(Phase::Copying, Some(month), 1);
                self.current = Some((month, 1, Instant::now()));
            }
        }
    }

    fn end(&mut self) {
        if let Some((month, rows, began)) = self.current.take() {
            report(month, rows, "by COPY", began.elapsed());
        }
    }
}
