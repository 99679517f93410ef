//! Stand-ins for the two base images, since none can be pulled here: see base/. What ships is built on them by nothing but build
//! arguments. `POSTGRES_IMAGE` names another one for PostgreSQL, such as the official one.

use std::sync::LazyLock;
use std::time::Duration;

use operations_lab::checks::{Outcome, Stop, require};
use operations_lab::tools::Major;

use crate::demo::Demo;
use crate::programs::{finish, last_lines};

/// The major version of `PG`. By default it is one unlike the demo's own, as is its Debian, so that a default wired in somewhere is
/// noticed.
static MAJOR: LazyLock<String> =
    LazyLock::new(|| std::env::var("PG").ok().filter(|given| !given.is_empty()).unwrap_or_else(|| "17".to_owned()));

/// What compose.yaml calls the image that it builds.
pub static DEMO_IMAGE: LazyLock<String> = LazyLock::new(|| format!("operations_ext:{}", *MAJOR));

/// The Debian that has it.
fn release() -> Option<&'static str> {
    Major::ALL.into_iter().find(|major| major.to_string() == *MAJOR)?.debian()
}

/// An image that a variable names.
fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|image| !image.is_empty())
}

/// What compose.yaml and base/make.sh are told.
pub fn settings() -> [(&'static str, String); 4] {
    let release = release().unwrap_or("none");
    let stand_in = || format!("operations-test/postgres:{}-{release}", *MAJOR);
    [
        ("PG_MAJOR", MAJOR.clone()),
        (POSTGRES_IMAGE, given(POSTGRES_IMAGE).unwrap_or_else(stand_in)),
        ("RUST_IMAGE", "operations-test/rust:machine".to_owned()),
        ("ROOT_IMAGE", format!("operations-test/root:{release}")),
    ]
}

/// The variable that names the base image.
const POSTGRES_IMAGE: &str = "POSTGRES_IMAGE";

/// The variable that names a base image with Citus, of the major that is tested, such as one of citusdata/citus.
const CITUS_POSTGRES_IMAGE: &str = "CITUS_POSTGRES_IMAGE";

/// The base image with Citus, where one is given: it can neither be pulled here nor be made.
pub fn citus_image() -> Option<String> {
    given(CITUS_POSTGRES_IMAGE)
}

/// Skips what needs it.
pub fn need_citus() -> Outcome {
    citus_image().map(|_| ()).ok_or_else(|| {
        Stop::Skipped(format!("{CITUS_POSTGRES_IMAGE} names no image of PostgreSQL {} with Citus", *MAJOR))
    })
}

/// Makes those that are missing: minutes, the first time.
pub fn need(demo: &Demo) -> Outcome {
    let is_given = given(POSTGRES_IMAGE).is_some();
    require(
        is_given || release().is_some(),
        format!(
            "PG={}: no Debian has it, so there is no base image of it: 17 or 18, or one that POSTGRES_IMAGE names",
            *MAJOR
        ),
    )?;
    require(
        is_given || *MAJOR != "15",
        "PG=15: the demo takes pg_cron 1.5 or newer, and Debian 12 has 1.4: name an image in POSTGRES_IMAGE, as postgres:15-bookworm",
    )?;
    println!("making the base images, where they are missing (all of it: {})", demo.log_file().display());
    let mut make = demo.script("tests/compose/base/make.sh");
    make.arg(&demo.state);
    let made = finish(make, Duration::from_secs(1_800))?;
    demo.note(&made.text());
    require(made.success, format!("the base images could not be made:\n{}", last_lines(&made.text(), 30)))
}
