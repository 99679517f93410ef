//! Draws operations from a random number generator.
//!
//! Everything is drawn with integers: floating-point logarithms and powers differ in the last bit between C libraries,
//! and the same seed must give the same rows on every machine.

use rand::{Rng, RngExt};

use crate::accounts::AccountNumber;
use crate::amount::Amount;
use crate::calendar::Day;
use crate::message::{Counterparty, Message, TimeOfDay};
use crate::operation::Operation;
use crate::operation_type::OperationType;

/// How many clients there are; their ids are 1 to this.
pub const CLIENTS: u32 = 5000;

const CURRENCY: &str = "EUR";
const SECONDS_PER_DAY: u32 = 86_400;

/// Kinds of amount: out of [`AMOUNT_WEIGHTS`], how many operations have one from `low` up to, not including, `high` cents.
const AMOUNTS: [(u32, u32, u32); 7] = [
    (150, 50, 500),
    (300, 500, 2_000),
    (320, 2_000, 10_000),
    (165, 10_000, 50_000),
    (50, 50_000, 250_000),
    (14, 250_000, 2_000_000),
    (1, 2_000_000, 50_000_000),
];
const AMOUNT_WEIGHTS: u32 = 1000;

/// Who is paid, for what, and the merchant category code that goes with it.
const COUNTERPARTIES: [(&str, &str, u16); 12] = [
    ("Corner Grocery", "groceries", 5411),
    ("Main Street Bakery", "groceries", 5462),
    ("City Transit", "transport", 4111),
    ("North Fuel", "fuel", 5541),
    ("Daily Coffee", "restaurants", 5814),
    ("Riverside Pharmacy", "health", 5912),
    ("Open Book Shop", "books", 5942),
    ("Blue Sky Airlines", "travel", 4511),
    ("Municipal Utilities", "utilities", 4900),
    ("Harbour Telecom", "telecom", 4814),
    ("Home and Garden", "household", 5200),
    ("Oak Property", "rent", 6513),
];

const OFFLINE_CHANNELS: [&str; 4] = ["pos", "pos", "atm", "branch"];
const ONLINE_CHANNELS: [&str; 4] = ["mobile", "web", "card_on_file", "transfer"];

/// Draws one new operation dated `date`.
pub fn operation(rng: &mut impl Rng, date: Day) -> Operation {
    let client_id = client_id(rng);
    let operation_type = if rng.random_ratio(3, 5) { OperationType::Online } else { OperationType::Offline };
    let amount = amount(rng);
    let (name, purpose, mcc) = *pick(rng, &COUNTERPARTIES);
    let (channel, terminal_id) = match operation_type {
        OperationType::Online => (*pick(rng, &ONLINE_CHANNELS), None),
        OperationType::Offline => (*pick(rng, &OFFLINE_CHANNELS), Some(rng.random_range(10_000..100_000))),
    };
    Operation {
        date,
        guid: uuid_v4(rng),
        client_id,
        operation_type,
        amount,
        message: Message {
            account_number: AccountNumber::of_client(client_id, rng.random_range(0..3)),
            client_id,
            operation_type,
            amount,
            currency: CURRENCY,
            channel,
            terminal_id,
            purpose,
            mcc,
            counterparty: Counterparty { name, account_number: AccountNumber::elsewhere(rng.next_u64()) },
            time: TimeOfDay { seconds: second_of_day(rng) },
        },
    }
}

/// A client. The share of the n busiest of N clients is about (n/N)^(1/4): the busiest 1 % make a third of all
/// operations, and half of the clients one in six.
fn client_id(rng: &mut impl Rng) -> i32 {
    let uniform = u64::from(rng.next_u32());
    let squared = (uniform * uniform) >> 32;
    let fourth_power = (squared * squared) >> 32;
    let rank = (fourth_power * u64::from(CLIENTS)) >> 32;
    // A busy client is not known by its id: spread the ranks over the ids. 2741 is prime, so each rank keeps its own.
    let id = (rank * 2741 + 1207) % u64::from(CLIENTS) + 1;
    i32::try_from(id).unwrap_or(1)
}

/// An amount of money: many small, few large, prices that often end in .00, .50, .90 or .99.
fn amount(rng: &mut impl Rng) -> Amount {
    let mut ticket = rng.random_range(0..AMOUNT_WEIGHTS);
    let mut range = 50..500;
    for (weight, low, high) in AMOUNTS {
        if ticket < weight {
            range = low..high;
            break;
        }
        ticket -= weight;
    }
    let cents = rng.random_range(range);
    let price = match rng.random_range(0..10) {
        0 | 1 => cents / 100 * 100,
        2 => cents / 100 * 100 + 50,
        3 => cents / 100 * 100 + 90,
        4 => cents / 100 * 100 + 99,
        _ => cents,
    };
    Amount::from_cents(price.max(50))
}

/// A second of the day, most often around the middle of it: the mean of two.
fn second_of_day(rng: &mut impl Rng) -> u32 {
    u32::midpoint(rng.random_range(0..SECONDS_PER_DAY), rng.random_range(0..SECONDS_PER_DAY))
}

/// A random UUID (RFC 9562, version 4).
fn uuid_v4(rng: &mut impl Rng) -> [u8; 16] {
    let mut bytes: [u8; 16] = rng.random();
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    bytes
}

fn pick<'a, T, const N: usize>(rng: &mut impl Rng, choices: &'a [T; N]) -> &'a T {
    // Drawn as u32, since a range of usize draws differently where usize has 32 bits.
    &choices[rng.random_range(0..N as u32) as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chacha20::ChaCha8Rng;
    use rand::SeedableRng;

    use super::*;

    fn sample(count: usize) -> Vec<Operation> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let day = Day::from_postgres(9344).unwrap_or_else(|| unreachable!("2025-08-01"));
        (0..count).map(|_| operation(&mut rng, day)).collect()
    }

    #[test]
    fn few_clients_are_very_active_and_most_are_not() {
        let mut per_client: HashMap<i32, u32> = HashMap::new();
        for operation in sample(200_000) {
            assert!((1..=5000).contains(&operation.client_id));
            *per_client.entry(operation.client_id).or_default() += 1;
        }
        let mut counts: Vec<u32> = per_client.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let busiest: u32 = counts.iter().take(50).sum();
        let quieter_half: u32 = counts.iter().skip(2500).sum();
        assert!((4900..=5000).contains(&counts.len()), "{} clients", counts.len());
        assert!((55_000..75_000).contains(&busiest), "the busiest 1 % made {busiest}");
        assert!((20_000..45_000).contains(&quieter_half), "the quieter half made {quieter_half}");
    }

    #[test]
    fn amounts_are_many_small_and_few_large() {
        let mut cents: Vec<u32> = sample(100_000).iter().map(|operation| operation.amount.cents()).collect();
        cents.sort_unstable();
        assert!(cents[0] >= 50);
        assert!((2_000..5_000).contains(&cents[50_000]), "the median is {}", cents[50_000]);
        assert!(cents[99_000] > 250_000, "the 99th percentile is {}", cents[99_000]);
        assert!(cents[99_999] < 50_000_000);
        assert!(cents.iter().any(|cents| cents % 100 == 99));
    }

    #[test]
    fn both_types_occur_and_the_message_agrees_with_the_row() {
        let operations = sample(10_000);
        let online = operations.iter().filter(|o| o.operation_type == OperationType::Online).count();
        assert!((5_700..6_300).contains(&online), "{online} of 10000 online");
        for Operation { client_id, operation_type, amount, message, .. } in operations {
            assert_eq!(
                (message.client_id, message.operation_type, message.amount),
                (client_id, operation_type, amount)
            );
            assert_eq!(message.terminal_id.is_some(), operation_type == OperationType::Offline);
        }
    }

    #[test]
    fn guids_are_version_4_and_differ() {
        let mut guids: Vec<[u8; 16]> = sample(10_000).iter().map(|operation| operation.guid).collect();
        assert!(guids.iter().all(|guid| guid[6] >> 4 == 4 && guid[8] >> 6 == 0b10));
        guids.sort_unstable();
        guids.dedup();
        assert_eq!(guids.len(), 10_000);
    }

    #[test]
    fn the_weights_of_the_amounts_add_up() {
        assert_eq!(AMOUNTS.iter().map(|(weight, ..)| weight).sum::<u32>(), AMOUNT_WEIGHTS);
    }
}
