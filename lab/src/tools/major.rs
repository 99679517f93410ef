//! Which PostgreSQL is asked for.

use std::fmt;

use crate::error::{Error, SettingError};

/// A major version of PostgreSQL that the extension is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Major(u16);

impl Major {
    /// All of them.
    pub const ALL: [Self; 4] = [Self(15), Self(16), Self(17), Self(18)];

    /// The one that is taken where none is asked for.
    pub const DEFAULT: Self = Self(16);

    /// The setting that asks for one.
    pub(crate) const SETTING: &str = "PG";

    /// What `PG` in the environment asks for.
    pub fn chosen() -> Result<Self, Error> {
        match std::env::var_os(Self::SETTING).filter(|given| !given.is_empty()) {
            None => Ok(Self::DEFAULT),
            Some(given) => Self::parse(&given.to_string_lossy()),
        }
    }

    fn parse(given: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|major| major.0.to_string() == given);
        found.ok_or_else(|| SettingError::NoMajor { value: given.to_owned() }.into())
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// What cargo calls it: the feature of the extension that is compiled for it.
    #[must_use]
    pub fn feature(self) -> String {
        format!("pg{self}")
    }

    /// The Debian whose packages have it. None has 16.
    #[must_use]
    pub fn debian(self) -> Option<&'static str> {
        match self.0 {
            15 => Some("bookworm"),
            17 => Some("trixie"),
            18 => Some("forky"),
            _ => None,
        }
    }

    /// Whether a version as pg_config says it is of this major.
    pub(crate) fn is_of(self, version: &str) -> bool {
        version
            .strip_prefix(&format!("PostgreSQL {self}"))
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    }
}

impl fmt::Display for Major {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_whole_number() {
        for version in ["PostgreSQL 16", "PostgreSQL 16.14", "PostgreSQL 16beta1", "PostgreSQL 16.4 (Debian 16.4-1)"] {
            assert!(Major::DEFAULT.is_of(version), "{version}");
        }
        for version in ["PostgreSQL 160", "PostgreSQL 15.3", "pg_config 16", ""] {
            assert!(!Major::DEFAULT.is_of(version), "{version}");
        }
    }

    #[test]
    fn what_is_no_major_is_refused() {
        for major in Major::ALL {
            assert_eq!(Major::parse(&major.to_string()).ok(), Some(major));
        }
        for given in ["14", "19", "016", "16.4", "pg16", " 16", "sixteen"] {
            let refused = Major::parse(given).map_err(|error| error.to_string());
            let text = format!("PG={given} is no PostgreSQL that the extension is for: give 15, 16, 17 or 18");
            assert_eq!(refused, Err(text));
        }
    }
}
