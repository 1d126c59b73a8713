//! Sizes, rates and times as people write them.

use std::fmt;
use std::time::Duration;

/// Octets: a number with an optional `K`, `M` or `G` for powers of 1,024 (also `KiB`, `MiB`, `GiB`).
///
/// # Errors
///
/// A message that shows the form.
pub fn size(text: &str) -> Result<u64, String> {
    let form =
        || format!("{text:?} is no size: write octets, or a number with K, M or G (powers of 1,024), such as 256M");
    let number = text.strip_suffix("iB").filter(|rest| rest.ends_with(['K', 'M', 'G'])).unwrap_or(text);
    parse(number, 1024).ok_or_else(form)
}

/// Bits per second: a number with an optional `k`, `M` or `G` for powers of 1,000.
///
/// # Errors
///
/// A message that shows the form; also for a rate of 0.
pub fn rate(text: &str) -> Result<u64, String> {
    let form = || {
        format!("{text:?} is no rate: write bits per second, or a number with k, M or G (powers of 1,000), such as 10M")
    };
    parse(text, 1000).filter(|&rate| rate > 0).ok_or_else(form)
}

/// A time: a number with `us`, `ms`, `s`, `min` or `h`; a bare number is seconds.
///
/// # Errors
///
/// A message that shows the form.
pub fn duration(text: &str) -> Result<Duration, String> {
    let form = || format!("{text:?} is no time: write a number with us, ms, s, min or h, such as 500ms");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let micros = match text.get(digits.len()..) {
        Some("us") => 1,
        Some("ms") => 1_000,
        Some("s" | "") => 1_000_000,
        Some("min") => 60_000_000,
        Some("h") => 3_600_000_000,
        _ => return Err(form()),
    };
    decimal(digits, micros).map(Duration::from_micros).ok_or_else(form)
}

/// A moment, in seconds of Unix time: that number, or `2026-11-01T00:00Z` with or without seconds, or the day alone.
///
/// # Errors
///
/// A message that shows the form.
pub fn time(text: &str) -> Result<u64, String> {
    let form =
        || format!("{text:?} is no time: write it in UTC, such as 2026-11-01T00:00Z, or as Unix time in seconds");
    digits(text).or_else(|| utc(text)).ok_or_else(form)
}

/// Bits per second, for people: `2.05 Mbit/s`.
#[derive(Clone, Copy, Debug)]
pub struct Rate(pub u64);

impl Rate {
    /// That of a measured value, whose fractions are cut off.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for show")]
    pub const fn of(bits: f64) -> Self {
        Self(bits as u64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..1_000_000 => (1_000, "kbit/s"),
            1_000_000..1_000_000_000 => (1_000_000, "Mbit/s"),
            _ => (1_000_000_000, "Gbit/s"),
        };
        write!(f, "{}.{:02} {name}", self.0 / unit, self.0 % unit * 100 / unit)
    }
}

fn utc(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once('T').unwrap_or((text, "00:00Z"));
    let fields = |text: &str, separator| {
        let field = |field: &str| digits(field).filter(|_| field.len() >= 2);
        text.split(separator).map(field).collect::<Option<Vec<u64>>>()
    };
    let [year @ 1970..=9999, month @ 1..=12, day @ 1..=31] = fields(date, '-')?[..] else { return None };
    let (hour, minute, second) = match fields(clock.strip_suffix('Z')?, ':')?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |month| match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > days_of(month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let before = year - 1;
    // Of all years before this one, since the year 1; 1970 began 719,162 days after that did.
    let days = before * 365 + before / 4 - before / 100 + before / 400 + (1..month).map(days_of).sum::<u64>() + day - 1;
    Some((((days - 719_162) * 24 + hour) * 60 + minute) * 60 + second)
}

fn parse(text: &str, step: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match text.get(digits.len()..)? {
        "" => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        _ => return None,
    };
    decimal(digits, step.checked_pow(power)?)
}

/// `unit` times a number with at most three digits behind the point: exact for every unit that three digits divide. The
/// smallest unit, 1, has no fractions.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let Some((whole, part)) = text.split_once('.') else { return digits(text)?.checked_mul(unit) };
    if unit == 1 || part.len() > 3 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let fraction = digits(part)?.checked_mul(unit)? / scale;
    digits(whole)?.checked_mul(unit)?.checked_add(fraction)
}

fn digits(text: &str) -> Option<u64> {
    // `parse` alone would take a sign too.
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_are_read_as_written() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("1.5K"), Ok(1536));
        assert_eq!((size("256MiB"), size("5KiB"), size("1.5GiB")), (Ok(256 << 20), Ok(5 << 10), Ok(3 << 29)));
        assert_eq!(rate("10M"), Ok(10_000_000));
        assert_eq!(rate("2.048M"), Ok(2_048_000));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        let neither =
            ["", "M", "-1", "1e6", "10 M", "1.", "1.M", ".5M", "1.2345M", "10Mbit", "+5", "+5M", "1.+5M", "1.9"];
        for text in [&neither[..], &["99999999999999999999", "99999999999G"]].concat() {
            assert!(size(text).is_err(), "{text}");
            assert!(rate(text).is_err(), "{text}");
        }
        for text in ["5iB", "5kiB", "iB", "KiB", "5.5iB", "5KiBiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(rate("0").is_err());
        assert!(rate("5MiB").is_err());
    }

    #[test]
    fn moments_are_read_as_written() {
        assert_eq!((time("0"), time("1700000000")), (Ok(0), Ok(1_700_000_000)));
        assert_eq!((time("1970-01-01T00:00Z"), time("1970-01-02")), (Ok(0), Ok(86_400)));
        // As `date -u -d TEXT +%s` has them.
        assert_eq!(time("2026-11-01T00:00Z"), Ok(1_793_491_200));
        assert_eq!(time("2000-02-29T23:59:59Z"), Ok(951_868_799));
        assert_eq!((time("2100-03-01"), time("9999-12-31T23:59Z")), (Ok(4_107_542_400), Ok(253_402_300_740)));
        for text in [
            "",
            "-1",
            "+5",
            "now",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2100-02-29",
            "2026-1-1",
            "1969-12-31",
            "2026-11-01T00:00",
            "2026-11-01T24:00Z",
            "2026-11-01T00:60Z",
            "2026-11-01T00Z",
            "2026-11-01T00:00+01:00",
            "2026-11-01 00:00Z",
            "99999999999999999999",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_written() {
        let micros = |text| duration(text).unwrap().as_micros();
        assert_eq!(micros("800us"), 800);
        assert_eq!(micros("1.5ms"), 1_500);
        assert_eq!(micros("1.5"), 1_500_000);
        assert_eq!((micros("10"), micros("10s")), (10_000_000, 10_000_000));
        assert_eq!((micros("2min"), micros("0.5h")), (120_000_000, 1_800_000_000));
        for text in ["", "s", "-1s", "+1s", "1.5us", "1d", "1 s", "1m", "99999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
