//! Of which version the library is, and of which the SQL objects: between the installation of a package and ALTER EXTENSION UPDATE
//! they differ, and so they do where a server has not been restarted since.
#![expect(
    unsafe_code,
    reason = "it reads a row of pg_extension, for which PostgreSQL has no cache, and what libraries share"
)]

use std::ffi::{CStr, c_int};

use pgrx::{FromDatum, pg_sys};

use crate::error::Error;
use crate::pg::session;
use crate::schema::Schema;

/// The version of the library.
const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// The same for PostgreSQL.
static SHARED: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// Fails if the objects are of another version than the library. It takes one look into an index.
///
/// The triggers that count do not ask: writes to the table go on while a new version is brought in. They compare the table that
/// they write to with what they know.
///
/// # Errors
///
/// [`Error::OtherVersion`]
pub fn require_that_of_the_objects() -> Result<(), Error> {
    match installed() {
        Some(objects) if objects != LIBRARY => {
            let schema = Schema::installed().map(|schema| schema.quoted_name()).unwrap_or_default();
            Err(Error::OtherVersion { library: LIBRARY, objects, schema, is_replica: session::is_replica() })
        }
        // None: somebody took the function out of the extension.
        _ => Ok(()),
    }
}

/// Fails if the library was loaded from another file, too: each would have counters and processes of its own. To be called first
/// by `_PG_init`.
///
/// # Errors
///
/// [`Error::LoadedTwice`]
pub fn require_one_library() -> Result<(), Error> {
    // SAFETY: PostgreSQL keeps a pointer for the name, at first NULL, for as long as the process lives. None but a library of
    // this extension uses the name, and puts a C string there that lives as long.
    unsafe {
        let shared = pg_sys::find_rendezvous_variable(c"operations_ext version".as_ptr());
        let first = *shared;
        let own = SHARED.as_ptr().cast_mut().cast();
        // It is there already if a former attempt to load this file has failed.
        if !first.is_null() && first != own {
            let first = CStr::from_ptr(first.cast()).to_string_lossy().into_owned();
            return Err(Error::LoadedTwice { first, second: LIBRARY });
        }
        *shared = own;
    }
    Ok(())
}

/// Whether the library is older than the objects, by the numbers of the versions; a development version comes before its release.
pub fn library_is_older(library: &str, objects: &str) -> bool {
    let parts = |version: &str| {
        let (numbers, development) = version.split_once('-').map_or((version, false), |(numbers, _)| (numbers, true));
        let numbers: Vec<u64> = numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect();
        (numbers, !development)
    };
    parts(library) < parts(objects)
}

/// The version of the objects in this database, as the catalogs are now.
fn installed() -> Option<String> {
    // SAFETY: the name ends in NUL and outlives the scan; pg_extension is opened and closed under the weakest lock; its index by
    // name has this one key; the row is valid until the scan ends, and its value is copied before that.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::ExtensionRelationId, pg_sys::AccessShareLock as c_int);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut key,
            pg_sys::Anum_pg_extension_extname as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::F_NAMEEQ.into(),
            c"operations_ext".as_ptr().into(),
        );
        let index = pg_sys::ExtensionNameIndexId.into();
        let scan = pg_sys::systable_beginscan(relation, index, true, std::ptr::null_mut(), 1, &raw mut key);
        let row = pg_sys::systable_getnext(scan);
        let mut version = None;
        if !row.is_null() {
            let mut is_null = false;
            let column = pg_sys::Anum_pg_extension_extversion as c_int;
            let value = pg_sys::heap_getattr(row, column, (*relation).rd_att, &mut is_null);
            version = String::from_datum(value, is_null);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as c_int);
        version
    }
}

#[cfg(test)]
mod tests {
    use super::library_is_older;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (older, newer) in
            [("0.1.0", "0.2.0-dev"), ("0.2.0-dev", "0.2.0"), ("0.9.0", "0.10.0"), ("1.2.3", "2.0.0-dev")]
        {
            assert!(library_is_older(older, newer), "{older} {newer}");
            assert!(!library_is_older(newer, older), "{older} {newer}");
        }
        assert!(!library_is_older("1.0.0", "1.0.0"));
    }
}
