//! A version: three numbers, and whether it is still being worked on.

use std::fmt;
use std::str::FromStr;

/// What a version has at its end before it is released.
const DEVELOPMENT: &str = "-dev";

/// A version, as `0.2.0` or, before it is released, `0.2.0-dev`, which is the lesser of the two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: [u32; 3],
    is_release: bool,
}

impl Version {
    /// That of this program, which is that of the extension.
    #[must_use]
    pub fn current() -> Self {
        env!("CARGO_PKG_VERSION").parse().unwrap_or(Self { numbers: [0; 3], is_release: false })
    }

    /// Whether it is a release.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.is_release
    }

    /// What is worked on once this one is released.
    #[must_use]
    pub fn next_development(&self) -> Self {
        Self { numbers: [self.numbers[0], self.numbers[1] + 1, 0], is_release: false }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (numbers, is_release) = text.strip_suffix(DEVELOPMENT).map_or((text, true), |numbers| (numbers, false));
        let parsed = numbers.split('.').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>();
        let numbers = parsed.ok().and_then(|numbers| <[u32; 3]>::try_from(numbers).ok());
        let version = numbers.map(|numbers| Self { numbers, is_release });
        // So that one version has one name: no 01.2.0 and no +1.2.0.
        version.filter(|version| version.to_string() == text).ok_or_else(|| {
            format!("\"{text}\" is no version: write it as 0.2.0, or 0.2.0{DEVELOPMENT} before its release")
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(formatter, "{major}.{minor}.{patch}{}", if self.is_release { "" } else { DEVELOPMENT })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order_and_one_name() {
        let order = ["0.1.0", "0.2.0-dev", "0.2.0", "0.10.0-dev", "0.10.0", "1.0.0"]
            .map(|text| text.parse::<Version>().unwrap());
        assert!(order.is_sorted());
        assert_eq!(order[1].to_string(), "0.2.0-dev");
        assert_eq!(order[2].next_development().to_string(), "0.3.0-dev");
        for text in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "1.2.-3", "v1.2.3", "1.2.3-dev-dev"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
