//! Times to tell others.

use std::time::{Duration, SystemTime};

/// Unix time in seconds, by the system's clock; 0 if that is before 1970.
#[must_use]
pub fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Time since the system was started, while it was suspended too. Whatever sets the clock, it grows.
#[must_use]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// A moment of Unix time as RFC 3339 has it, `2026-11-01T06:03:10Z`; `None` after the year 9999.
///
/// Computed here: a library's calendar would make the static receiver larger by 130 KB, more than it has room for.
#[must_use]
pub fn rfc3339(unix: u64) -> Option<String> {
    // In 400 years there are 146,097 days; years that begin in March have their leap day at the end.
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + month / 10, (month + 2) % 12 + 1);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (year <= 9999).then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// A moment of Unix time as people read it: `2026-11-01 06:03:10`, of UTC.
#[must_use]
pub fn utc(unix: u64) -> String {
    rfc3339(unix).map_or_else(|| format!("Unix time {unix}"), |text| text.replace('T', " ").replace('Z', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity;

    #[test]
    fn moments_are_written_as_they_are_read() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        // As `date -u -d @NUMBER` has them.
        assert_eq!(utc(951_868_799), "2000-02-29 23:59:59");
        assert_eq!(utc(1_793_491_200), "2026-11-01 00:00:00");
        let moments = (0..400 * 12).map(|number| number * 2_629_746 + number * 7_919 % 86_400);
        for unix in moments.chain([4_107_542_399, 4_107_542_400, 253_402_300_799]) {
            assert_eq!(quantity::time(&format!("{}Z", utc(unix).replace(' ', "T"))), Ok(unix));
        }
        assert_eq!(rfc3339(253_402_300_800), None);
        assert_eq!(utc(u64::MAX), "Unix time 18446744073709551615");
    }
}
