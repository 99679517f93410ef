//! Why a drill was not begun, or did not go as it should.

use std::path::PathBuf;
use std::time::Duration;

/// Why a drill was not begun, or did not go as it should.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// No drill has that name.
    #[error("there is no drill \"{name}\"{nearest}: make drill, or operations-lab drill --list, names all")]
    NoDrill {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: String,
    },

    /// A drill is at work.
    #[error("another drill is at work on this demo: wait until it is done")]
    AnotherDrill,

    /// A drill was killed before it put back what it had moved aside.
    #[error("{} is left from a drill that was killed, and no other is begun: {todo}", aside.display())]
    LeftAside {
        /// What it moved aside.
        aside: PathBuf,
        /// How to mend it.
        todo: String,
    },

    /// A drill needs a demo that is well.
    #[error("the demo is not well, so no drill is begun; the doctor says:\n{report}")]
    Unwell {
        /// The doctor's report.
        report: String,
    },

    /// A drill's fault was not named in time.
    #[error("the right finding did not come within {within:?}; the doctor said instead:\n{report}")]
    NotSeen {
        /// The limit.
        within: Duration,
        /// The doctor's last report.
        report: String,
    },

    /// A demo was not well again in time.
    #[error("the verdict was not ok within {within:?} of the healing; the doctor said:\n{report}")]
    NotHealed {
        /// The limit.
        within: Duration,
        /// The doctor's last report.
        report: String,
    },

    /// Somebody pressed Ctrl-C.
    #[error("interrupted; what was broken is mended")]
    Interrupted,

    /// Somebody pressed Ctrl-C, and not all of a drill could be undone.
    #[error("interrupted, and not all that was broken is mended:\n{}", left.join("\n"))]
    InterruptedUnmended {
        /// What is left to do.
        left: Vec<String>,
    },
}
