//! `xs:duration` as WS-Management uses it.

use std::time::Duration;

/// Reads an `xs:duration` such as `PT20S`, `PT3M`, `PT7200.000S` or `P0DT2H`.
///
/// Years and months have no fixed length and negative durations no meaning here: both are refused. More than a
/// century is taken as a century.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const CENTURY: f64 = 100.0 * 365.25 * 86400.0;
    let mut rest = text.trim().strip_prefix('P')?;
    let (mut seconds, mut time, mut any) = (0.0_f64, false, false);
    let mut last = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if time {
                return None;
            }
            (time, any) = (true, false);
            rest = after;
            continue;
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let number: f64 = number.parse().ok()?;
        let unit_char = unit.chars().next()?;
        let (rank, scale) = match (unit_char, time) {
            ('D', false) => (1, 86400.0),
            ('H', true) => (2, 3600.0),
            ('M', true) => (3, 60.0),
            ('S', true) => (4, 1.0),
            _ => return None,
        };
        if rank <= last {
            return None;
        }
        last = rank;
        seconds += number * scale;
        any = true;
        rest = unit.get(1..)?;
    }
    any.then(|| Duration::try_from_secs_f64(seconds.min(CENTURY)).ok())?
}

/// Writes `PTn.mmmS`, or `PTnS` for whole seconds.
pub fn format_duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("PT{}S", duration.as_secs()),
        millis => format!("PT{}.{millis:03}S", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_real_clients() {
        for (text, millis) in [
            ("PT3M", 180_000),
            ("PT30S", 30_000),
            ("PT7200.000S", 7_200_000),
            ("P0DT0H0M20S", 20_000),
            ("P1D", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "P", "PT", "3M", "-PT3M", "PT3", "P1Y", "PT1S2M", "PT1MT1S", "PTéS", "PT1.2.3S", "P1DT"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_round_trip() {
        for millis in [0, 500, 1000, 60_001, 180_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
    }
}
