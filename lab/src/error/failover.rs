//! Why a failover, a rejoin or a receipt was refused.

use std::path::PathBuf;

use crate::role::Role;

/// Why a failover, a rejoin or a receipt was refused.
#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    /// Patroni decides who takes writes.
    #[error(
        "{command} is not for servers under Patroni, which decides who takes writes, and would undo it: {} switchover operations hands \
             the writes over, {} failover operations where no leader is left",
        crate::patroni::PATRONICTL,
        crate::patroni::PATRONICTL
    )]
    PatroniDecides {
        /// What was asked for.
        command: &'static str,
    },

    /// The rows are on the workers, which know more than a replica of the coordinator.
    #[error(
        "failover is not for a coordinator of Citus: what its replica has not received, the workers have committed, so that ids might be \
             given out twice; nothing was changed: docker compose up --detach --wait starts the coordinator where it does not run"
    )]
    CoordinatorOfCitus,

    /// It could not be proved that a server is gone.
    #[error("the {server} on port {port} could not be fenced off, so nothing was promoted or changed: {why}")]
    NotFenced {
        /// The server.
        server: Role,
        /// Its port.
        port: u16,
        /// What is still there.
        why: String,
    },

    /// The primary lives, and the replica does not follow it.
    #[error(
        "{replica} does not stream, and the primary lives: what the replica lacks would be lost, so nothing was \
             changed; make demo heals the replica"
    )]
    ReplicaBehind {
        /// The replica.
        replica: String,
    },

    /// A replica that has not followed the primary to its timeline.
    #[error(
        "{server} is on timeline {timeline}, and the primary was on {wanted}: what it lacks would be lost, so nothing was changed"
    )]
    OtherTimeline {
        /// The replica.
        server: String,
        /// The timeline of its WAL.
        timeline: String,
        /// That of the primary's.
        wanted: String,
    },

    /// With SYNC=on any one of several replicas may have acknowledged a commit.
    #[error(
        "with SYNC=on {server} may have commits that no other replica has, and {why}, so nothing was promoted: make demo starts what \
             does not run; then make failover again; SYNC=off make failover goes on without them, and they may be lost"
    )]
    AcknowledgedElsewhere {
        /// The replica.
        server: String,
        /// Why that is not known, or why it is not promoted.
        why: String,
    },

    /// The replica replays later than it receives.
    #[error(
        "{replica} replays {delay} late (recovery_min_apply_delay), so nothing was changed; {session}, \
             alter system reset recovery_min_apply_delay; select pg_reload_conf(); and make failover again"
    )]
    ReplicaDelays {
        /// The replica.
        replica: String,
        /// The command that opens a session there.
        session: String,
        /// The delay.
        delay: String,
    },

    /// The primary lives and cannot be asked, and the replica does not follow it.
    #[error(
        "{replica} does not stream, and the primary lives, though it does not let us in ({why}): what the replica lacks would \
             be lost, so nothing was changed; make doctor says what is wrong"
    )]
    PrimaryNotAsked {
        /// The replica.
        replica: String,
        /// What it said.
        why: String,
    },

    /// Nothing can be told to a container that does not run.
    #[error("the container of {server} does not run: docker compose up --detach starts it, and makes it a replica")]
    NotAttended {
        /// The server.
        server: String,
    },

    /// A container could not make its server a replica.
    #[error("{server} stays closed, and is no replica yet: {why}")]
    NotRejoined {
        /// The server.
        server: String,
        /// What its container said.
        why: String,
    },

    /// pg_rewind was ended on what is to be opened.
    #[error(
        "pg_rewind was at work on the data of {server} and was ended, so they are not opened: they are cloned anew as soon as \
             another server takes writes"
    )]
    HalfRewound {
        /// The server.
        server: String,
    },

    /// The old primary is not opened beside one that may be promoted.
    #[error(
        "{other} may still be promoted ({why}), so {server} stays closed: operations-lab failover goes on with it; or docker \
             compose stop postgres_replica, and operations-lab rejoin opens {server} again"
    )]
    MayBePromoted {
        /// The other server.
        other: String,
        /// What tells so.
        why: String,
        /// The old primary.
        server: String,
    },

    /// A failover broke off before the promotion.
    #[error(
        "a failover broke off: both servers are replicas now, and nobody takes writes; make failover goes on with it"
    )]
    HalfFailedOver,

    /// A promotion did not end.
    #[error(
        "the promotion did not end ({why}), and the old primary is fenced off: see the replica's log; make failover tries \
             again; the old primary is opened again only once the replica is stopped"
    )]
    NotPromoted {
        /// What was seen of it.
        why: String,
    },

    /// It cannot be told which rows only an old primary has.
    #[error("it cannot be told which rows only {} has, so it is left alone: {why}; \
             REPLICA_RECLONE=promoted make demo throws it away and clones anew", data.display())]
    RowsNotTold {
        /// The data directory.
        data: PathBuf,
        /// Why.
        why: String,
    },

    /// No server takes writes, so nothing can be compared.
    #[error("no server takes writes: {why}; make demo starts the demo, make failover promotes the replica")]
    NoWriter {
        /// What each said.
        why: String,
    },

    /// The table of the receipt belongs to another role.
    #[error(
        "operations_lab.receipt on {server} belongs to another role, so it is not read: drop it, and the client makes it anew"
    )]
    ReceiptNotOurs {
        /// The server.
        server: String,
    },

    /// The receipt's client never ran.
    #[error("there is no receipt in {}: make demo starts it", folder.display())]
    NoReceipt {
        /// The demo's folder.
        folder: PathBuf,
    },
}
