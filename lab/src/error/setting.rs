//! Why a setting, or the folder that one names, cannot be used.

use std::path::PathBuf;

/// Why a setting, or the folder that one names, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Root lends the servers to a user who cannot run them.
    #[error("the user {name} {why}: name another one in SERVER_USER, or run this as an ordinary user")]
    ServerUser {
        /// The user's name.
        name: String,
        /// What is wrong with the user.
        why: &'static str,
    },

    /// A major version of PostgreSQL that the extension is not for.
    #[error("PG={value} is no PostgreSQL that the extension is for: give 15, 16, 17 or 18")]
    NoMajor {
        /// What was given.
        value: String,
    },

    /// A setting that is no port.
    #[error("{name}={value} is no port: give a number from 1024 to 65535")]
    NoPort {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
    },

    /// A setting that is no number of rows.
    #[error("{name}={value} is no number of rows: give a whole number from 0 to {most}")]
    NoRows {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// The largest number.
        most: u64,
    },

    /// A setting that is no number of operations that a job can insert.
    #[error("{name}={value} is no number of operations: give a whole number from 1 to {most}")]
    NoBatch {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// The largest number.
        most: u32,
    },

    /// A `wal_level` that is none, or with which no replica can follow.
    #[error("WAL_LEVEL={value}: give replica or logical")]
    NoWalLevel {
        /// What was given.
        value: String,
    },

    /// An `EXTENSION` that is none.
    #[error("EXTENSION={given}: give installed, build or nothing")]
    Extension {
        /// What was given.
        given: String,
    },

    /// The extension is to be used as it is installed, and is not.
    #[error(
        "the PostgreSQL of {} does not have operations_ext {version} with the scripts of this checkout: install its package, or \
         let it be built (make demo EXTENSION=build)", config.display()
    )]
    NotInstalled {
        /// The version that is wanted.
        version: &'static str,
        /// The pg_config of the PostgreSQL.
        config: PathBuf,
    },

    /// A `REPLICA_RECLONE` that is none.
    #[error("REPLICA_RECLONE={value}: give 1, promoted, always or nothing")]
    NoReclone {
        /// What was given.
        value: String,
    },

    /// A setting that is on or off, and is neither.
    #[error("{name}={value} is neither on nor off")]
    NoSwitch {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
    },

    /// Both servers would listen on one port.
    #[error("PRIMARY_PORT and REPLICA_PORT are both {port}: make them differ")]
    SamePorts {
        /// The port.
        port: u16,
    },

    /// A setting that is no number of replicas.
    #[error("REPLICAS={value} is no number of replicas: give a whole number from 1 to {most}")]
    NoReplicas {
        /// What was given.
        value: String,
        /// The largest number.
        most: u8,
    },

    /// The ports of the further replicas are beyond the last port that there is.
    #[error(
        "REPLICAS={replicas} takes the ports from REPLICA_PORT={first} on, and the last port is 65535: give a lower one"
    )]
    NoRoomForPorts {
        /// How many replicas.
        replicas: u8,
        /// The port of the first.
        first: u16,
    },

    /// Another port is one of those of the replicas.
    #[error("REPLICAS={replicas} takes the ports {first} to {last}, and {name} is {port}: move it, or REPLICA_PORT")]
    PortOfAReplica {
        /// How many replicas.
        replicas: u8,
        /// The port of the first.
        first: u16,
        /// The port of the last.
        last: u16,
        /// The other setting.
        name: &'static str,
        /// Its port.
        port: u16,
    },

    /// A setting with a line break.
    #[error("{name} must be one line")]
    NotOneLine {
        /// The setting.
        name: &'static str,
    },

    /// A password is given by itself and by a file.
    #[error("both {name} and {name}_FILE are set: leave one of them empty")]
    GivenTwice {
        /// The setting.
        name: &'static str,
    },

    /// The file that should hold a password.
    #[error("{name}_FILE names {}, which cannot be read", file.display())]
    PasswordFile {
        /// The setting.
        name: &'static str,
        /// The file.
        file: PathBuf,
    },

    /// A demo cannot be kept there.
    #[error("DEMO_DIR={} cannot be used: {why}", folder.display())]
    UnusableFolder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The folder holds something else.
    #[error("DEMO_DIR={} holds files but no demo: name a new or an empty folder", folder.display())]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
    },

    /// A folder of the demo that was put there by somebody else.
    #[error("{} does not belong to the user {owner}, who runs the server: remove it, or name another folder",
        folder.display())]
    NotOwned {
        /// The folder.
        folder: PathBuf,
        /// The user who runs the servers.
        owner: String,
    },

    /// A setting that does not fit the data.
    #[error("{name}={given}, but the demo's data were made with {saved}: leave it, or run make clean first")]
    OtherData {
        /// The setting.
        name: &'static str,
        /// What was given.
        given: String,
        /// What the data were made with.
        saved: String,
    },

    /// The servers refuse the password.
    #[error("the demo's data were made with another password: set POSTGRES_PASSWORD to it, or run make clean first")]
    OtherPassword,
}
