//! The faults, one file a family.

pub mod clock;
pub mod clone;
pub mod disk;
pub mod failover;
pub mod months;
pub mod network;
pub mod processes;
pub mod reader;
pub mod replica_data;
pub mod servers;
pub mod sessions;
pub mod slot;
pub mod statements;
