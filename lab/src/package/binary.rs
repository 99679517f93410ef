//! The library and the program as they are shipped, and what they need of the system.

use std::path::Path;
use std::process::Command;

use super::run;
use crate::error::{Context, Error};

/// What the smallest Debian with a PostgreSQL has: libc6 and libgcc-s1.
const HAD_EVERYWHERE: [&str; 5] =
    ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];

pub(super) struct Binary {
    pub bytes: Vec<u8>,
    /// The oldest libc that has all functions it calls, such as 2.34.
    pub oldest_libc: String,
}

impl Binary {
    /// Without the names of what only a debugger looks for.
    pub fn read(built: &Path) -> Result<Self, Error> {
        let stripped = tempfile::NamedTempFile::new().context(|| "make a temporary file".to_owned())?;
        let mut strip = Command::new("strip");
        strip.args(["--strip-unneeded", "-o"]).arg(stripped.path()).arg(built);
        run(strip)?;
        let bytes = std::fs::read(stripped.path()).context(|| format!("read {}", stripped.path().display()))?;
        let mut objdump = Command::new("objdump");
        objdump.args(["-p", "-T"]).arg(stripped.path()).env("LC_ALL", "C");
        let text = run(objdump)?;
        if let Some(other) = needed(&text).find(|name| !HAD_EVERYWHERE.contains(name)) {
            let built = built.display();
            return Err(Error::Environment(format!("{built} needs {other}, which not every system has")));
        }
        let oldest_libc = newest(&text).unwrap_or("2.34").to_owned();
        Ok(Self { bytes, oldest_libc })
    }
}

/// The libraries that it is linked with.
fn needed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("NEEDED").map(str::trim))
}

/// The newest version of libc that a symbol is of.
fn newest(text: &str) -> Option<&str> {
    let versions = text.split(|character: char| !(character.is_ascii_alphanumeric() || "._".contains(character)));
    let versions = versions.filter_map(|word| word.strip_prefix("GLIBC_"));
    versions.max_by_key(|version| version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objdump_says_what_is_needed() {
        let text = "Dynamic Section:\n  NEEDED               libgcc_s.so.1\n  NEEDED               libc.so.6\n\
            Version References:\n    0x06969186 0x00 04 GLIBC_2.6\n\
            0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.14) memcpy\n\
            0000000000000000      DF *UND*\t0000000000000000 (GCC_3.0)  _Unwind_Resume\n";
        assert_eq!(needed(text).collect::<Vec<_>>(), ["libgcc_s.so.1", "libc.so.6"]);
        assert_eq!(newest(text), Some("2.14"));
    }
}
