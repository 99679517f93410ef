//! What sums are of, and a map of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pgrx::pg_sys;

/// The functions of `=` of partition, client and type.
pub const BY_PARTITION: [u32; 3] = [pg_sys::F_OIDEQ, pg_sys::F_INT4EQ, pg_sys::F_ENUM_EQ];

/// What a sum is of; in the total, of no partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// An OID.
    pub partition: u32,
    /// The client.
    pub client_id: i32,
    /// An OID.
    pub operation_type: u32,
}

impl Key {
    /// From the columns of a table: with the partition or without. None, if one is null.
    pub fn of(columns: &[Option<pg_sys::Datum>]) -> Option<Self> {
        let (partition, [client_id, operation_type]) = match columns {
            [partition, rest @ ..] if rest.len() == 2 => (oid((*partition)?).to_u32(), [rest[0], rest[1]]),
            [client_id, operation_type] => (0, [*client_id, *operation_type]),
            _ => return None,
        };
        let operation_type = oid(operation_type?).to_u32();
        Some(Self { partition, client_id: client_id?.value() as i32, operation_type })
    }

    /// The values of the columns.
    pub fn datums(self) -> [pg_sys::Datum; 3] {
        [self.partition.into(), self.client_id.into(), self.operation_type.into()]
    }
}

/// An OID that is a value of a row.
pub fn oid(value: pg_sys::Datum) -> pg_sys::Oid {
    pg_sys::Oid::from_u32(value.value() as u32)
}

/// Something for each of many sums.
pub type Sums<T> = HashMap<Key, T, BuildHasherDefault<Mixer>>;

/// Hashes the three numbers of a key in a few nanoseconds. The keys are OIDs and numbers of clients of ours: nobody gains by
/// choosing ones that collide but a writer who wants his own sums to be slow.
#[derive(Debug, Default)]
pub struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, number: u64) {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        self.0 = (self.0 ^ number).wrapping_mul(ODD).rotate_left(29);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_i32(&mut self, number: i32) {
        self.mix(u64::from(number.cast_unsigned()));
    }
}
