//! Stand-ins for the two base images, since none can be pulled here: see base/. What ships is built on them by nothing but build
//! arguments.

use std::time::Duration;

use operations_lab::checks::{Outcome, require};

use crate::demo::Demo;
use crate::programs::{finish, last_lines};

/// What compose.yaml and base/make.sh are told. A major version and a Debian unlike the defaults, so that a default wired in
/// somewhere is noticed.
pub const SETTINGS: [(&str, &str); 4] = [
    ("PG_MAJOR", "17"),
    ("POSTGRES_IMAGE", "operations-test/postgres:17-trixie"),
    ("RUST_IMAGE", "operations-test/rust:machine"),
    ("ROOT_IMAGE", "operations-test/root:trixie"),
];

/// What compose.yaml calls the image that it builds.
pub const DEMO_IMAGE: &str = "operations_ext:17";

/// Makes those that are missing: minutes, the first time.
pub fn need(demo: &Demo) -> Outcome {
    println!("making the base images, where they are missing (all of it: {})", demo.log_file().display());
    let mut make = demo.script("tests/compose/base/make.sh");
    make.arg(&demo.state);
    let made = finish(make, Duration::from_secs(1_800))?;
    demo.note(&made.text());
    require(made.success, format!("the base images could not be made:\n{}", last_lines(&made.text(), 30)))
}
