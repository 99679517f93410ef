//! Positions in the WAL.

use std::fmt;
use std::str::FromStr;

/// A position in the WAL, written as PostgreSQL writes it: `0/16B3748`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lsn(pub u64);

/// The text is no LSN.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no LSN")]
pub struct NoLsn(String);

impl Lsn {
    /// How many bytes of WAL lie between an earlier position and this one; none if that is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl FromStr for Lsn {
    type Err = NoLsn;

    fn from_str(text: &str) -> Result<Self, NoLsn> {
        let number = |part: &str| u32::from_str_radix(part, 16).map_err(|_| NoLsn(text.to_owned()));
        let (high, low) = text.split_once('/').ok_or_else(|| NoLsn(text.to_owned()))?;
        Ok(Self(u64::from(number(high)?) << 32 | u64::from(number(low)?)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// A number of bytes for people.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 10 * 1024 {
        return format!("{count} bytes");
    }
    let (mut value, mut unit) = (count / 1024, 0);
    while value >= 10 * 1024 && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", UNITS[unit])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_postgresql_writes() {
        for text in ["0/0", "0/16B3748", "A/FFFFFFFF", "FFFFFFFF/1"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        assert_eq!("1/0".parse::<Lsn>().unwrap().since("0/FFFFFFFF".parse().unwrap()), 1);
        for text in ["", "1", "1/", "g/1", "1/2/3"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn gives_bytes_in_units() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(16 * 1024 * 1024), "16 MB");
        assert_eq!(bytes(3 << 40), "3072 GB");
    }
}
