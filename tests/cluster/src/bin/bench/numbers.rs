//! Timing and medians.

use std::process::Command;
use std::time::Instant;

use operations_cluster::Error;
use postgres::Client;

/// How many seconds a statement takes.
pub fn seconds(session: &mut Client, statement: &str) -> Result<f64, Error> {
    let start = Instant::now();
    session.batch_execute(statement)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Runs pgbench, and returns the transactions per second that it tells of.
pub fn transactions_per_second(pgbench: Command) -> Result<f64, Error> {
    transactions(pgbench).map(|(per_second, _)| per_second)
}

/// Runs pgbench, and returns the transactions that it tells of: per second, and all.
pub fn transactions(pgbench: Command) -> Result<(f64, f64), Error> {
    let output = operations_cluster::finish(pgbench)?.success()?;
    let number = |label: &str| {
        output
            .lines()
            .find_map(|line| line.strip_prefix(label)?.split([' ', '/']).next()?.parse().ok())
            .ok_or_else(|| Error::Environment(format!("pgbench printed no \"{label}\":\n{output}")))
    };
    Ok((number("tps = ")?, number("number of transactions actually processed: ")?))
}

/// The middle value; 0 of no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (_, None) => 0.0,
        (1, Some(value)) => *value,
        (_, Some(value)) => (sorted[middle - 1] + value) / 2.0,
    }
}

/// A number with one digit after the point.
pub fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

/// A number with its digits in groups of three: 1 234 567.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{grouped, median};

    #[test]
    fn finds_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn groups_digits() {
        let numbers = [0.0, 12.4, 123.0, 1_234.0, 1_234_567.0];
        assert_eq!(numbers.map(grouped), ["0", "12", "123", "1 234", "1 234 567"]);
    }
}
