use std::fmt;
use std::time::Duration;

/// The durations of repeated waits.
#[derive(Debug, Clone, Default)]
pub struct Waits(Vec<Duration>);

impl Waits {
    pub(super) fn add(&mut self, long: Duration) {
        self.0.push(long);
    }

    /// The number of waits.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The given percentile; zero if there were none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }

    /// The longest wait; zero if there were none.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.percentile(100)
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1000.0;
        write!(
            f,
            "{} waits, p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            self.count(),
            ms(50),
            ms(90),
            ms(99),
            ms(100),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_computed_from_all_waits() {
        let mut waits = Waits::default();
        assert_eq!(waits.longest(), Duration::ZERO);
        for ms in (1..=200).rev() {
            waits.add(Duration::from_millis(ms));
        }
        let told = [1, 50, 99, 100].map(|percent| waits.percentile(percent).as_millis());
        assert_eq!(told, [2, 100, 198, 200]);
    }
}
