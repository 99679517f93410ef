//! Who is loaded: the server that takes writes now, and the replicas, which share what is read.

use std::path::Path;
use std::time::Duration;

use super::mix::Mix;
use crate::connect::{Refusal, session};
use crate::demo::{Demo, Layout, Programs, SERVERS};
use crate::doctor::{Options, Report, examine};
use crate::error::{Error, LoadError};
use crate::role::Role;
use crate::server::{Owner, text};
use crate::target::Target;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Whether it follows another server, whether it takes writes, the schema of the extension, and whether the session may act as
/// the role. What has a `=` is not asked by name: operators are looked for in `pg_catalog` alone.
const STATE: &str = "\
    SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), \
           (SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace \
            WHERE extname = 'operations_ext'), \
           coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'ROLE'), false), \
           current_setting('is_superuser')";

/// The servers, however they were named.
#[derive(Clone, Copy, Debug)]
pub enum Servers<'a> {
    /// Those of the native demo in a folder.
    Demo(Option<&'a Path>),
    /// Those of these addresses.
    Named(&'a [Target]),
}

/// A server that can be loaded.
#[derive(Clone, Debug)]
pub struct Place {
    /// The server.
    pub target: Target,
    /// The settings of its sessions.
    pub options: String,
}

impl Servers<'_> {
    /// The programs of PostgreSQL, and who runs them.
    pub fn programs(&self) -> Result<(Programs, Owner), Error> {
        let (programs, owner) = match self {
            Self::Demo(folder) => {
                let demo = Demo::as_started(*folder)?;
                demo.warn_of_other_ports();
                (demo.programs(Role::Primary)?, demo.layout.owner)
            }
            Self::Named(_) => {
                let layout = Layout::find(None)?;
                let programs = Programs::found(&layout).map_or_else(|| Programs::make(&layout, false), Ok)?;
                (programs, Owner::current())
            }
        };
        match programs.bindir().join("pgbench").exists() {
            true => Ok((programs, owner)),
            false => Err(LoadError::NoPgbench { folder: programs.bindir().to_owned() }.into()),
        }
    }

    /// The demo, if it is one.
    #[must_use]
    pub fn demo(&self) -> Option<Demo> {
        match self {
            Self::Demo(folder) => Demo::as_started(*folder).ok(),
            Self::Named(_) => None,
        }
    }

    /// The servers by the roles that they have now.
    pub fn targets(&self) -> Result<Vec<Target>, Error> {
        match self {
            Self::Demo(folder) => Ok(Demo::as_started(*folder)?.targets()),
            Self::Named(targets) => Ok(targets.to_vec()),
        }
    }

    /// What the doctor says of them.
    pub fn examine(&self) -> Result<Report, Error> {
        match self {
            Self::Demo(folder) => Ok(Demo::as_started(*folder)?.examine(&Options::default())),
            Self::Named(targets) => Ok(examine(targets, &Options::default())),
        }
    }

    /// Those that a mix is for, or why one cannot be loaded: each must be there, and be what it is taken for.
    pub fn places(&self, mix: &Mix) -> Result<Vec<Result<Place, Error>>, Error> {
        let targets = self.targets()?;
        let mut places = Vec::new();
        for role in SERVERS.into_iter().filter(|role| mix.has(*role)) {
            let before = places.len();
            places.extend(targets.iter().filter(|target| target.role == role).map(place));
            if places.len() == before {
                places.push(Err(not_named(role)));
            }
        }
        Ok(places)
    }
}

fn not_named(role: Role) -> Error {
    let why = match role {
        Role::Primary => "give --primary, or a --mix of balance and dashboard alone",
        Role::Replica => "give --replica, or a --mix without balance and dashboard, which are read there",
    };
    LoadError::NotNamed { server: role, why }.into()
}

fn place(target: &Target) -> Result<Place, Error> {
    let role = target.role;
    let refuse = |server: String, why: &str| Err(LoadError::NotLoadable { server, why: why.to_owned() }.into());
    let acts_as = match role {
        Role::Primary => "operations_load",
        Role::Replica => "operations_reader",
    };
    let state = session(target, LIMIT, LIMIT).and_then(|mut session| {
        text(&mut session, &STATE.replace("ROLE", acts_as)).map_err(|error| match error {
            Error::Statement { source, .. } => Refusal::of(&source),
            other => Refusal::Other(other.to_string()),
        })
    });
    let state = match (state, role) {
        (Ok(state), _) => state,
        (Err(why), Role::Primary) => return refuse(target.name(), &format!("it does not answer: {why}")),
        (Err(why), Role::Replica) => {
            let way = "without it: --mix (MIX=..) without balance and dashboard, which are read there";
            return refuse(target.name(), &format!("it does not answer: {why}; {way}"));
        }
    };
    let fields: Vec<_> = state.split('|').collect();
    let &[in_recovery, read_only, schema, may_act, is_superuser] = fields.as_slice() else {
        return refuse(target.name(), "its answer was not understood");
    };
    match (role, in_recovery, read_only) {
        (Role::Primary, "t", _) => return refuse(target.name(), "it is a replica, and takes no writes"),
        (Role::Primary, _, "on") => return refuse(target.name(), "it is read-only (default_transaction_read_only)"),
        (Role::Replica, "f", _) => return refuse(target.name(), "it is no replica: it follows nobody"),
        _ => {}
    }
    if schema == "NULL" {
        return refuse(target.name(), "its database has no extension operations_ext");
    }
    if may_act != "t" && is_superuser == "on" {
        // Triggers and expressions of the table's owner would run with all rights.
        let why = format!("it has no role {acts_as}, which the load acts as: docker/init_main/06_roles.sql makes it");
        return refuse(target.name(), &why);
    }
    Ok(Place { target: target.clone(), options: options(schema, acts_as, may_act == "t") })
}

/// Of a session that finds what PostgreSQL and the extension's schema have, and has no more rights than it needs.
fn options(schema: &str, role: &str, may_act: bool) -> String {
    let path = format!("pg_catalog,\"{}\"", schema.replace('"', "\"\""));
    // A space would end the option.
    let path: String = path
        .chars()
        .flat_map(|c| (c == ' ' || c == '\\').then_some('\\').into_iter().chain(std::iter::once(c)))
        .collect();
    let role = if may_act { format!(" -c role={role}") } else { String::new() };
    format!("-c search_path={path}{role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_any_name_is_found() {
        assert_eq!(options("public", "r", true), r#"-c search_path=pg_catalog,"public" -c role=r"#);
        assert_eq!(options(r#"my "Lab\"#, "r", false), r#"-c search_path=pg_catalog,"my\ ""Lab\\""#);
    }
}
