//! The last hour of all series: a value every two seconds, or a gap.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The time between two values, in milliseconds.
pub const STEP: u64 = 2000;

/// An hour.
const KEPT: usize = 1800;

/// More series are not kept. Names of slots and tables are others' to choose.
const MOST: usize = 300;

/// Series of the same moments.
#[derive(Debug, Default)]
pub struct Ring {
    /// When each row was taken; the place of the oldest is `next` once the ring is full.
    times: Vec<u64>,
    series: BTreeMap<String, Vec<f32>>,
    next: usize,
}

impl Ring {
    /// Adds a row. Series that it has not get a gap.
    pub fn push(&mut self, time: u64, values: &BTreeMap<String, Option<f64>>) {
        let place = match self.times.len() < KEPT {
            true => {
                self.times.push(time);
                self.times.len() - 1
            }
            false => {
                self.times[self.next] = time;
                let place = self.next;
                self.next = (self.next + 1) % KEPT;
                place
            }
        };
        for (key, series) in &mut self.series {
            let value = values.get(key).copied().flatten().map_or(f32::NAN, narrowed);
            match series.get_mut(place) {
                Some(old) => *old = value,
                None => series.push(value),
            }
        }
        for (key, value) in values {
            if !self.series.contains_key(key) && self.series.len() < MOST {
                let mut series = vec![f32::NAN; self.times.len()];
                series[place] = value.map_or(f32::NAN, narrowed);
                self.series.insert(key.clone(), series);
            }
        }
        // A series without a value is none: a slot or a server that is gone for an hour.
        if place == 0 {
            self.series.retain(|_, series| series.iter().any(|value| !value.is_nan()));
        }
    }

    /// The keys of all series.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// `"t":[..],"series":{..}`
    pub fn write_json(&self, text: &mut String) {
        let places = || (self.next..self.times.len()).chain(0..self.next);
        text.push_str("\"t\":[");
        for (count, place) in places().enumerate() {
            let comma = if count == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}", self.times[place]);
        }
        text.push_str("],\"series\":{");
        for (count, (key, series)) in self.series.iter().enumerate() {
            let comma = if count == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}:[", serde_json::Value::from(key.as_str()));
            for (count, place) in places().enumerate() {
                if count > 0 {
                    text.push(',');
                }
                write_number(text, f64::from(series[place]));
            }
            text.push(']');
        }
        text.push('}');
    }
}

/// A plot has a thousand dots in a line; the values of now are sent in full.
#[allow(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn narrowed(value: f64) -> f32 {
    value as f32
}

/// A number as JSON, in at most three decimals; null for a gap.
pub fn write_number(text: &mut String, value: f64) {
    let _ = match value {
        value if !value.is_finite() => write!(text, "null"),
        value if value.fract() == 0.0 => write!(text, "{value:.0}"),
        value => write!(text, "{value:.3}"),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, Option<f64>)]) -> BTreeMap<String, Option<f64>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
    }

    fn json(ring: &Ring) -> serde_json::Value {
        let mut text = "{".to_owned();
        ring.write_json(&mut text);
        serde_json::from_str(&(text + "}")).unwrap()
    }

    #[test]
    fn gaps_stay_gaps() {
        let mut ring = Ring::default();
        ring.push(1, &row(&[("a", Some(1.5))]));
        ring.push(2, &row(&[("b", Some(2.0)), ("a", None)]));
        ring.push(3, &row(&[("a", Some(f64::NAN))]));
        let expected = serde_json::json!({"t": [1, 2, 3], "series": {"a": [1.5, null, null], "b": [null, 2, null]}});
        assert_eq!(json(&ring), expected);
    }

    #[test]
    fn an_hour_is_kept_in_its_order() {
        let mut ring = Ring::default();
        for time in 0..2 * KEPT as u64 + 7 {
            ring.push(time, &row(&[("a", Some(time as f64))]));
        }
        let json = json(&ring);
        let (times, values) = (json["t"].as_array().unwrap(), json["series"]["a"].as_array().unwrap());
        assert_eq!((times.len(), values.len()), (KEPT, KEPT));
        assert_eq!((times[0].as_u64(), times[KEPT - 1].as_u64()), (Some(KEPT as u64 + 7), Some(2 * KEPT as u64 + 6)));
        assert_eq!(times, values);
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let mut ring = Ring::default();
        let many: BTreeMap<_, _> = (0..1000).map(|number| (format!("k{number}"), Some(1.0))).collect();
        ring.push(1, &many);
        assert_eq!(ring.keys().count(), MOST);
        // Those that are gone make room within two hours.
        (2..2 * KEPT as u64 + 10).for_each(|time| ring.push(time, &BTreeMap::new()));
        assert_eq!(ring.keys().count(), 0);
    }
}
