//! The type of an operation.

use std::ffi::CStr;

use serde::Serialize;

/// How an operation came in: the labels of `operation_type_enum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationType {
    /// At a branch, a cash machine or a till.
    Offline,
    /// Through the web, an application or a card on file.
    Online,
}

impl OperationType {
    /// The label in SQL.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
        }
    }

    /// The label in SQL, for C.
    #[must_use]
    pub fn c_label(self) -> &'static CStr {
        match self {
            Self::Offline => c"offline",
            Self::Online => c"online",
        }
    }
}
