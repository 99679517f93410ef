//! An old primary that comes back becomes a replica, in its own container.

use super::{Keeper, Start};
use crate::demo::nodes::Node;
use crate::demo::{Demo, FENCED, Programs};
use crate::error::{Context, Error};
use crate::failover::{KeptRows, Rewind};
use crate::role::Role;
use crate::say::say;

/// KeptRows by the new primary for the server that is to follow.
const MAKE_SLOT: &str = "\
    select pg_catalog.pg_create_physical_replication_slot(SLOT, true) \
    where not exists (select from pg_catalog.pg_replication_slots where slot_name = SLOT)";

/// Keeps aside what only it has, and brings its data to where the new primary's history left them. How it is started then.
pub fn become_replica(keeper: &Keeper, writer: &Node) -> Result<Start, Error> {
    let demo = Demo::in_containers(keeper.layout(writer.clone()))?;
    let programs = Programs::installed()?;
    let mut said = vec![format!("{} is the primary now: making {} its replica", writer.name, keeper.name)];
    // Before anything else: whatever ends this, it takes no writes.
    demo.keep_fenced(Role::Replica)?;
    demo.ask_primary("select 1")?;
    // The note beside data that pg_rewind has not brought back has the script clone them anew, and goes with them.
    if demo.is_half_rewound() {
        said.push("    an earlier pg_rewind was ended before it was done: a new clone is needed".to_owned());
    } else {
        said.extend(KeptRows::keep(&demo, &programs)?.lines(&demo));
        said.push(match demo.rewind(&programs)? {
            Rewind::Rewound(how) => format!("    pg_rewind: {how}"),
            Rewind::Clone(why) => format!("    a new clone is needed: {why}"),
        });
    }
    demo.ask_primary(&MAKE_SLOT.replace("SLOT", &format!("'{}'", keeper.name)))?;
    said.iter().for_each(|line| say(line));
    let state = keeper.beside("state");
    let text: String = said.iter().map(|line| format!("{line}\n")).collect();
    keeper.owner.write(&state, text.as_bytes(), false).context(|| format!("write {}", state.display()))?;
    for ending in ["rejoin", FENCED] {
        let path = keeper.beside(ending);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(Start { primary: Some(writer.host.clone()), follows: true })
}
