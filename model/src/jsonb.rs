//! PostgreSQL's jsonb as a server keeps it in memory, as far as messages need it: objects of strings, whole numbers and
//! objects. The layout is that of jsonb.h and jsonb_util.c.

use crate::numeric::{Numeric, varlena_header};

const IS_OBJECT: u32 = 0x2000_0000;

/// An entry says what a key or a value is, and where it ends: by its length, or, every so many entries, by its offset.
mod entry {
    pub const LENGTH: usize = 4;
    pub const OFFSET_EVERY: usize = 32;
    pub const HAS_OFFSET: u32 = 0x8000_0000;
    pub const STRING: u32 = 0;
    pub const NUMERIC: u32 = 0x1000_0000;
    pub const CONTAINER: u32 = 0x5000_0000;

    /// The entry with that index, for something that is so long and ends so far from the first.
    pub fn of(kind: u32, index: usize, length: u32, end: u32) -> [u8; LENGTH] {
        let entry = if index.is_multiple_of(OFFSET_EVERY) { kind | end | HAS_OFFSET } else { kind | length };
        entry.to_ne_bytes()
    }
}

/// The keys of an object, and how objects with them begin.
pub struct Keys {
    count: usize,
    /// How long they are together.
    length: u32,
    /// All up to the values, with no entry for a value filled in.
    beginning: Vec<u8>,
}

impl Keys {
    /// The keys must be in the order in which jsonb keeps them: shorter before longer, and those of a length by their bytes.
    #[must_use]
    pub fn new(keys: &[&str]) -> Self {
        let mut beginning = Vec::new();
        beginning.extend_from_slice(&(keys.len() as u32 | IS_OBJECT).to_ne_bytes());
        let mut length = 0;
        for (index, key) in keys.iter().enumerate() {
            length += key.len() as u32;
            beginning.extend_from_slice(&entry::of(entry::STRING, index, key.len() as u32, length));
        }
        beginning.resize(beginning.len() + keys.len() * entry::LENGTH, 0);
        keys.iter().for_each(|key| beginning.extend_from_slice(key.as_bytes()));
        Self { count: keys.len(), length, beginning }
    }
}

/// Appends an object, which `fill` gives its values, as a value of type jsonb. The buffer must end at a multiple of four.
pub fn write(buffer: &mut Vec<u8>, keys: &Keys, fill: impl FnOnce(&mut Object<'_>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    Object::write(buffer, keys, fill);
    let header = varlena_header(buffer.len() - start);
    buffer[start..start + header.len()].copy_from_slice(&header);
}

/// An object that gets its values in the order of their keys.
pub struct Object<'a> {
    buffer: &'a mut Vec<u8>,
    entries_at: usize,
    /// How many entries are written, those of the keys included.
    written: usize,
    /// How long what they stand for is together.
    total: u32,
}

impl<'a> Object<'a> {
    /// Returns how long it got, with the padding before it.
    fn write(buffer: &'a mut Vec<u8>, keys: &Keys, fill: impl FnOnce(&mut Self)) -> u32 {
        let base = buffer.len();
        pad(buffer);
        let entries_at = buffer.len() + 4;
        buffer.extend_from_slice(&keys.beginning);
        let mut object = Object { buffer, entries_at, written: keys.count, total: keys.length };
        fill(&mut object);
        debug_assert_eq!(object.written, 2 * keys.count, "a value for each key");
        (object.buffer.len() - base) as u32
    }

    /// The next value is this text, which must be UTF-8.
    pub fn string(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        self.buffer.extend_from_slice(text);
        self.entry(entry::STRING, text.len() as u32);
    }

    /// The next value is a number.
    pub fn integer(&mut self, value: u32) {
        let base = self.buffer.len();
        pad(self.buffer);
        Numeric::from_integer(value).write_stored(self.buffer);
        self.entry(entry::NUMERIC, (self.buffer.len() - base) as u32);
    }

    /// The next value is an object.
    pub fn object(&mut self, keys: &Keys, fill: impl FnOnce(&mut Object<'_>)) {
        let length = Object::write(self.buffer, keys, fill);
        self.entry(entry::CONTAINER, length);
    }

    fn entry(&mut self, kind: u32, length: u32) {
        self.total += length;
        let at = self.entries_at + self.written * entry::LENGTH;
        let entry = entry::of(kind, self.written, length, self.total);
        self.buffer[at..at + entry::LENGTH].copy_from_slice(&entry);
        self.written += 1;
    }
}

/// Numbers and objects start at a multiple of four.
fn pad(buffer: &mut Vec<u8>) {
    const ZEROS: [u8; 4] = [0; 4];
    let missing = buffer.len().next_multiple_of(4) - buffer.len();
    buffer.extend_from_slice(&ZEROS[..missing]);
}
