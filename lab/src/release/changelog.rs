//! What CHANGELOG.md says of a version.

use crate::error::Error;
use crate::release::Version;

/// Where the changes are until they are released.
const UNRELEASED: &str = "## [Unreleased]\n";

/// The changelog once a version is released: what was unreleased is the version's, and nothing is unreleased.
pub fn of_release(text: &str, version: &Version, date: &str) -> Result<String, Error> {
    let missing = |what: &str| Error::Environment(format!("CHANGELOG.md {what}"));
    let (before, after) = text.split_once(UNRELEASED).ok_or_else(|| missing("has no line \"## [Unreleased]\""))?;
    let changes = after.split("\n## [").next().unwrap_or_default();
    if !changes.lines().any(|line| line.starts_with("- ")) {
        return Err(missing("says of no change since the last release: write what is new under \"## [Unreleased]\""));
    }
    if text.contains(&format!("## [{version}]")) {
        return Err(missing(&format!("has version {version} already")));
    }
    Ok(format!("{before}{UNRELEASED}\n## [{version}] - {date}\n{after}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn what_was_unreleased_is_the_versions() {
        let text = "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n";
        let version = "0.2.0".parse().unwrap();
        let released = of_release(text, &version, "2026-02-01").unwrap();
        let expected = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-02-01\n\n- New.\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n";
        assert_eq!(released, expected);
        // Nothing is new now.
        assert!(of_release(&released, &"0.3.0".parse().unwrap(), "2026-03-01").is_err());
        assert!(of_release(text, &"0.1.0".parse().unwrap(), "2026-02-01").is_err());
        assert!(of_release("# Changelog\n", &version, "2026-02-01").is_err());
    }
}
