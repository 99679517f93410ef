//! PostgreSQL's numeric: digits to the base 10,000, the weight of the first of them, and how many decimals are shown.

/// A number that is not negative, has at most two decimals and at most eight digits before them, or ten and none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numeric {
    /// Without zeros at either end.
    digits: [u16; 3],
    length: usize,
    /// The first digit counts 10,000 to this power.
    weight: i16,
    /// How many decimals are shown.
    decimals: u16,
}

const BASE: u32 = 10_000;

impl Numeric {
    /// A whole number.
    #[must_use]
    pub fn from_integer(value: u32) -> Self {
        Self::from_digits([value / BASE / BASE, value / BASE % BASE, value % BASE], 2, 0)
    }

    /// Money, with two decimals.
    #[must_use]
    pub fn from_cents(cents: u32) -> Self {
        let (units, cents) = (cents / 100, cents % 100);
        Self::from_digits([units / BASE, units % BASE, cents * 100], 1, 2)
    }

    fn from_digits(all: [u32; 3], weight: i16, decimals: u16) -> Self {
        let Some(first) = all.iter().position(|digit| *digit != 0) else {
            return Self { digits: [0; 3], length: 0, weight: 0, decimals };
        };
        let last = all.iter().rposition(|digit| *digit != 0).unwrap_or(first);
        let mut digits = [0; 3];
        for (digit, value) in digits.iter_mut().zip(&all[first..=last]) {
            *digit = *value as u16;
        }
        Self { digits, length: last + 1 - first, weight: weight - first as i16, decimals }
    }

    fn digits(&self) -> &[u16] {
        &self.digits[..self.length]
    }

    /// Appends the external form, that of `numeric_send`, without its length.
    pub fn write_external(&self, buffer: &mut Vec<u8>) {
        const POSITIVE: u16 = 0;
        for word in [self.length as u16, self.weight.cast_unsigned(), POSITIVE, self.decimals] {
            buffer.extend_from_slice(&word.to_be_bytes());
        }
        for digit in self.digits() {
            buffer.extend_from_slice(&digit.to_be_bytes());
        }
    }

    /// How many bytes [`Self::write_stored`] appends.
    #[must_use]
    pub fn stored_length(&self) -> usize {
        size_of::<u32>() + size_of::<u16>() * (1 + self.length)
    }

    /// Appends the form in which a server keeps it in memory: the short one of numeric.c, with a length of four bytes.
    pub fn write_stored(&self, buffer: &mut Vec<u8>) {
        const SHORT: u16 = 0x8000;
        const DECIMALS_SHIFT: u32 = 7;
        /// Six bits and a sign.
        const WEIGHT: u16 = 0x007F;
        let mut stored = [0; 12];
        stored[..4].copy_from_slice(&varlena_header(self.stored_length()));
        let header = SHORT | self.decimals << DECIMALS_SHIFT | self.weight.cast_unsigned() & WEIGHT;
        for (word, value) in stored[4..].chunks_exact_mut(2).zip([header].iter().chain(&self.digits)) {
            word.copy_from_slice(&value.to_ne_bytes());
        }
        buffer.extend_from_slice(&stored[..self.stored_length()]);
    }
}

/// What a value of variable length that is neither compressed nor short starts with: its length, this header included.
#[must_use]
pub fn varlena_header(length: usize) -> [u8; 4] {
    let length = length as u32;
    if cfg!(target_endian = "big") { length.to_ne_bytes() } else { (length << 2).to_ne_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(number: Numeric) -> Vec<i16> {
        let mut buffer = Vec::new();
        number.write_external(&mut buffer);
        buffer.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn numerics_have_the_external_form_that_numeric_send_gives() {
        // select numeric_send(19.99), numeric_send(0.05), numeric_send(120000.00), numeric_send(300.00) ...
        assert_eq!(external(Numeric::from_cents(1999)), [2, 0, 0, 2, 19, 9900]);
        assert_eq!(external(Numeric::from_cents(5)), [1, -1, 0, 2, 500]);
        assert_eq!(external(Numeric::from_cents(12_000_000)), [1, 1, 0, 2, 12]);
        assert_eq!(external(Numeric::from_cents(30_000)), [1, 0, 0, 2, 300]);
        assert_eq!(external(Numeric::from_cents(123_456_789)), [3, 1, 0, 2, 123, 4567, 8900]);
        assert_eq!(external(Numeric::from_cents(0)), [0, 0, 0, 2]);
        assert_eq!(external(Numeric::from_integer(5411)), [1, 0, 0, 0, 5411]);
        assert_eq!(external(Numeric::from_integer(90_000)), [1, 1, 0, 0, 9]);
        assert_eq!(external(Numeric::from_integer(u32::MAX)), [3, 2, 0, 0, 42, 9496, 7295]);
    }
}
