//! The file that CREATE EXTENSION runs, and what cargo-pgrx makes of the sources.
//!
//! It is kept in the repository so that the demo, which only builds the library, need not build cargo-pgrx.

use std::path::{Path, PathBuf};

use clap::Args;
use operations_lab::say::{say, warn};
use operations_lab::tools::{SCHEMA, Toolbox};
use operations_lab::{Error, checkout};

/// What ends an item of the file.
const END: &str = "/* </end connected objects> */";

/// Compares the file that CREATE EXTENSION runs with what cargo-pgrx makes of the sources.
#[derive(Args)]
pub struct Schema {
    /// Write the file anew instead
    #[arg(long)]
    write: bool,
}

impl Schema {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        check(&Toolbox::open()?, self.write).map(|same| u8::from(!same))
    }
}

/// Whether the file is what the sources give; says how it differs. With `write` it is made so.
pub fn check(tools: &Toolbox, write: bool) -> Result<bool, Error> {
    let (kept, made) = (checkout().join(SCHEMA), tools.state.of_major().join("schema.sql"));
    let mut cargo = tools.cargo_pgrx("schema");
    cargo.args([
        "--package",
        "operations_ext",
        "--no-default-features",
        "--features",
        &tools.state.major.feature(),
        "--out",
    ]);
    cargo.arg(&made);
    tools.run_step("schema", "Making the SQL of the extension", cargo)?;
    let text = without_places(&read(&made)?);
    if write {
        std::fs::write(&kept, text)
            .map_err(|source| Error::Io { what: format!("write {}", kept.display()), source })?;
        return Ok(true);
    }
    let kept_text = read(&kept)?;
    let (kept_items, made_items) = (items(&kept_text), items(&text));
    if kept_items == made_items {
        return Ok(true);
    }
    for (sign, one, other) in [('-', &kept_items, &made_items), ('+', &made_items, &kept_items)] {
        for line in one.iter().filter(|item| !other.contains(item)).flat_map(|item| item.lines()) {
            say(&format!("{sign} {line}"));
        }
    }
    warn(&format!("error: {SCHEMA} is not what the sources give: run operations-lab dev schema --write"));
    Ok(false)
}

fn read(path: &Path) -> Result<String, Error> {
    let path = PathBuf::from(path);
    std::fs::read_to_string(&path).map_err(|source| Error::Io { what: format!("read {}", path.display()), source })
}

/// Where an item stands in the sources says nothing about it.
fn without_places(text: &str) -> String {
    let is_place = |line: &str| {
        let place = line.strip_prefix("-- src/").and_then(|rest| rest.rsplit_once(':'));
        place.is_some_and(|(file, number)| !file.contains(' ') && number.parse::<u32>().is_ok())
    };
    text.lines().filter(|line| !is_place(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The items in an order of their own: cargo-pgrx has another each time.
fn items(text: &str) -> Vec<&str> {
    let mut items: Vec<_> = text.split_inclusive(END).map(str::trim).filter(|item| !item.is_empty()).collect();
    items.sort_unstable();
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_order_nor_places_matter() {
        let one = format!("-- src/a.rs:1\nselect 1;\n{END}\n-- src/b c:2\nselect 2;\n{END}\n");
        let other = format!("-- src/b c:2\nselect 2;\n{END}\n\n-- src/a.rs:77\nselect 1;\n{END}\n");
        let (one, other) = (without_places(&one), without_places(&other));
        assert_eq!(items(&one), items(&other));
        assert!(!one.contains("src/a.rs") && one.contains("src/b c:2"));
        assert_ne!(items(&one), items(&other.replace("select 2", "select 3")));
    }
}
