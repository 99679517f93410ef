//! A bank's day in as many minutes as are asked for.

use std::time::Duration;

/// What is done in each hour of a day, in hundredths of the peak: nights are quiet, noon and evening are not.
const HOURS: [u32; 24] = [8, 6, 5, 5, 6, 10, 20, 35, 55, 75, 85, 95, 100, 95, 85, 80, 80, 85, 95, 90, 70, 45, 25, 12];

/// A part of a load at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The hour that it stands for, of a day.
    pub hour: Option<usize>,
    /// Transactions a second.
    pub rate: f64,
    /// How long. pgbench takes whole seconds.
    pub seconds: u32,
}

impl Step {
    /// A load at one rate.
    #[must_use]
    pub fn whole(rate: u32, seconds: u32) -> Self {
        Self { hour: None, rate: f64::from(rate), seconds }
    }

    /// How long.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

/// The hours of a day that is over in so many minutes, and has its peak at `rate`.
#[must_use]
pub fn steps(rate: u32, minutes: u32) -> Vec<Step> {
    let total = minutes * 60;
    let hours = u32::try_from(HOURS.len()).unwrap_or(24);
    let at = |hour: u32| total * hour / hours;
    let lengths = (0..hours).map(|hour| at(hour + 1) - at(hour));
    let shares = HOURS.iter().map(|share| f64::from(rate) * f64::from(*share) / 100.0);
    let steps = shares.zip(lengths).enumerate();
    steps.map(|(hour, (rate, seconds))| Step { hour: Some(hour), rate, seconds }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_takes_the_minutes_that_are_asked_for_and_peaks_at_the_rate() {
        for minutes in [1, 7, 24, 1440] {
            let day = steps(500, minutes);
            assert_eq!(day.iter().map(|step| step.seconds).sum::<u32>(), minutes * 60);
            assert!(day.iter().all(|step| step.seconds > 0 && step.rate > 0.0 && step.rate <= 500.0));
        }
        let day = steps(500, 1);
        assert!((day[12].rate - 500.0).abs() < 1e-9 && day[3].rate < day[8].rate && day[18].rate > day[15].rate);
    }
}
