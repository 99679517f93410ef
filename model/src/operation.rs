//! An operation: one row of the table `operations`, without the id that the server gives it.

use crate::amount::Amount;
use crate::calendar::Day;
use crate::message::Message;
use crate::operation_type::OperationType;

/// A new operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `operation_date`
    pub date: Day,
    /// `operation_guid`, a version 4 UUID
    pub guid: [u8; 16],
    /// `client_id`
    pub client_id: i32,
    /// `operation_type`
    pub operation_type: OperationType,
    /// `amount`
    pub amount: Amount,
    /// `message`
    pub message: Message,
}

/// The `status` of an operation that nobody has worked on yet.
pub const STATUS_NEW: i16 = 0;
