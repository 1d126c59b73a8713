//! How long to wait before asking: a random time that grows dense towards the end of the window (RFC 5401 section 3.2.1).

use std::time::Duration;

/// Receivers that the times are meant for. Of many more, more ask at once; of far fewer, all wait a little longer.
const GROUP: f64 = 1000.0;

/// A time up to `window`; `part`, 0.0 up to 1.0, is even. Of n receivers the first waits about `1 - ln(n)/ln(1000)` of it.
///
/// Spec §16 \[N-8\].
pub(super) fn backoff(window: Duration, part: f64) -> Duration {
    let l = GROUP.ln() + 1.0;
    let share = (part * l.exp_m1()).ln_1p() / l;
    window.mul_f64(share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fill_the_window_and_most_are_late() {
        let window = Duration::from_secs(1);
        assert_eq!(backoff(window, 0.0), Duration::ZERO);
        assert!(backoff(window, 1.0) > Duration::from_millis(999));
        assert!((800..950).contains(&backoff(window, 0.5).as_millis()));
        let first_of = |n: u64| {
            let mut rng = fastrand::Rng::with_seed(n);
            let mut first = || (0..n).map(|_| backoff(window, rng.f64())).min().unwrap();
            (0..100).map(|_| first()).sum::<Duration>() / 100
        };
        let firsts = [1, 10, 100].map(first_of);
        assert!(firsts.is_sorted_by(|a, b| a > b) && firsts[2] > window / 10, "{firsts:?}");
    }
}
