//! META.json, as the PostgreSQL Extension Network wants it.

use serde_json::json;

use super::VERSION;
use crate::error::Error;

/// What the package is for, in one line.
pub(super) const ABSTRACT: &str = "A live PostgreSQL operations lab in one extension";

/// Who looks after it.
pub(super) const MAINTAINER: &str = "the operations_ext founders";

/// The oldest PostgreSQL that it is for.
const OLDEST: &str = "15.0.0";

pub(super) fn json() -> Result<Vec<u8>, Error> {
    let meta = json!({
        "name": "operations_ext",
        "abstract": ABSTRACT,
        "description": super::debian::DESCRIPTION.replace('\n', " "),
        "version": VERSION,
        "maintainer": MAINTAINER,
        "license": "postgresql",
        "provides": {
            "operations_ext": {
                "abstract": ABSTRACT,
                "file": format!("sql/operations_ext--{VERSION}.sql"),
                "docfile": "README.md",
                "version": VERSION,
            },
        },
        "prereqs": { "runtime": { "requires": { "PostgreSQL": OLDEST } } },
        "tags": ["replication", "partitions", "test data", "workload", "aggregate"],
        "meta-spec": { "version": "1.0.0", "url": "https://pgxn.org/meta/spec.txt" },
    });
    pretty(&meta)
}

/// With an end of line.
pub(super) fn pretty(value: &serde_json::Value) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| (text + "\n").into_bytes()).map_err(|error| Error::Environment(format!("JSON: {error}")))
}
