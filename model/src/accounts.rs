//! Account numbers in the form of an IBAN (ISO 13616), in the country ZZ, which is no country: none of them exists.

use std::fmt;

use crate::decimal;

/// The number of an account: `ZZ`, two check digits, a bank of four digits, an account of twelve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountNumber {
    bank: u16,
    account: u64,
}

impl AccountNumber {
    /// The bank where every client of the model has its accounts.
    const HOME_BANK: u16 = 4207;

    /// A client's n-th account; the same for all operations of that client.
    #[must_use]
    pub fn of_client(client_id: i32, nth: u32) -> Self {
        let account = 100_000_000_000 + u64::from(client_id.unsigned_abs()) * 100 + u64::from(nth);
        Self { bank: Self::HOME_BANK, account: account % 1_000_000_000_000 }
    }

    /// An account elsewhere, chosen by a random number.
    #[must_use]
    pub fn elsewhere(random: u64) -> Self {
        let bank = u16::try_from(1000 + random % 3000).unwrap_or(Self::HOME_BANK);
        Self { bank, account: (random >> 12) % 1_000_000_000_000 }
    }

    /// The two check digits of ISO 7064 MOD 97-10: with them, the rearranged number leaves 1 when divided by 97.
    fn check_digits(self) -> u64 {
        // "ZZ00" moved to the end, with letters as numbers (Z is 35).
        let number = u64::from(self.bank) * 1_000_000_000_000 + self.account;
        98 - (number % 97 * (1_000_000 % 97) + 353_500) % 97
    }
}

impl AccountNumber {
    pub(crate) fn to_ascii(self) -> [u8; 20] {
        let mut ascii = *b"ZZ000000000000000000";
        decimal::write_padded(&mut ascii[2..4], self.check_digits());
        decimal::write_padded(&mut ascii[4..8], u64::from(self.bank));
        decimal::write_padded(&mut ascii[8..], self.account);
        ascii
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(decimal::text(&self.to_ascii()))
    }
}

impl serde::Serialize for AccountNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(decimal::text(&self.to_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISO 7064: move the first four characters to the end, replace letters by numbers, divide by 97.
    fn remainder(iban: &str) -> u32 {
        let (head, tail) = iban.split_at(4);
        tail.chars().chain(head.chars()).fold(0, |remainder, c| {
            let value = c.to_digit(36).unwrap_or(0);
            (remainder * if value > 9 { 100 } else { 10 } + value) % 97
        })
    }

    #[test]
    fn the_check_is_the_one_of_a_known_iban() {
        assert_eq!(remainder("GB82WEST12345698765432"), 1);
    }

    #[test]
    fn account_numbers_check_out() {
        for n in 0..2000_u32 {
            let ours = AccountNumber::of_client(i32::try_from(n).unwrap_or(0), n % 3).to_string();
            let theirs = AccountNumber::elsewhere(u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_string();
            for iban in [ours, theirs] {
                assert_eq!((iban.len(), remainder(&iban)), (20, 1), "{iban}");
            }
        }
    }
}
