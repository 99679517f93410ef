//! Decimal digits written into place: the formatting machinery of `std` took most of the time of making a row.

/// Writes `value` into all of `target`, with zeros in front. Digits that have no room are left out.
pub fn write_padded(target: &mut [u8], mut value: u64) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// ASCII as text.
pub fn text(ascii: &[u8]) -> &str {
    str::from_utf8(ascii).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_with_zeros() {
        let mut target = *b"xxxxx";
        write_padded(&mut target, 42);
        assert_eq!(text(&target), "00042");
        write_padded(&mut target, 1_234_567);
        assert_eq!(text(&target), "34567");
    }
}
