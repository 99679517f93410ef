//! Decimal digits written into place: the formatting machinery of `std` took most of the time of making a row.

/// Writes `value` into all of `target`, with zeros in front. Digits that have no room are left out.
pub fn write_padded(target: &mut [u8], mut value: u64) {
    // Two at a time: each waits for the division before.
    let mut pairs = target.rchunks_exact_mut(2);
    for pair in &mut pairs {
        let two = (value % 100) as u8;
        value /= 100;
        pair[0] = b'0' + two / 10;
        pair[1] = b'0' + two % 10;
    }
    if let [digit] = pairs.into_remainder() {
        *digit = b'0' + (value % 10) as u8;
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
