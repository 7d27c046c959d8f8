//! Tickets in words and as JSON.

use std::time::{Duration, SystemTime};

use hop_kerberos::{Credential, TicketFlags};
use serde_json::{Value, json};

/// The flags by the names of RFC 4120, and as they are said; the last two are not worth a word.
const FLAGS: &[(TicketFlags, &str, Option<&str>)] = &[
    (TicketFlags::INVALID, "invalid", Some("invalid until validated")),
    (TicketFlags::FORWARDABLE, "forwardable", Some("forwardable")),
    (TicketFlags::FORWARDED, "forwarded", Some("forwarded")),
    (TicketFlags::PROXIABLE, "proxiable", Some("proxiable")),
    (TicketFlags::PROXY, "proxy", Some("proxy")),
    (TicketFlags::MAY_POSTDATE, "may-postdate", Some("may be postdated")),
    (TicketFlags::POSTDATED, "postdated", Some("postdated")),
    (TicketFlags::INITIAL, "initial", Some("initial")),
    (TicketFlags::PRE_AUTHENT, "pre-authent", Some("pre-authenticated")),
    (TicketFlags::HW_AUTHENT, "hw-authent", Some("hardware-authenticated")),
    (TicketFlags::OK_AS_DELEGATE, "ok-as-delegate", Some("ok-as-delegate")),
    (TicketFlags::ANONYMOUS, "anonymous", Some("anonymous")),
    (TicketFlags::RENEWABLE, "renewable", None),
    (TicketFlags::TRANSITED_POLICY_CHECKED, "transited-policy-checked", None),
    (TicketFlags::ENC_PA_REP, "enc-pa-rep", None),
];

/// Times and flags of a ticket in one line; `now` is the KDC's time.
pub fn describe(ticket: &Credential, now: SystemTime) -> String {
    let mut text = match ticket.end_time.duration_since(now) {
        Ok(left) => format!("until {} ({} left)", moment(ticket.end_time), period(left)),
        Err(_) => format!("ended {}", moment(ticket.end_time)),
    };
    if let Some(start) = ticket.start_time.filter(|start| *start > now + Duration::from_secs(300)) {
        text.push_str(&format!(", not before {}", moment(start)));
    }
    let mut words: Vec<String> = FLAGS
        .iter()
        .filter(|(flag, ..)| ticket.flags.contains(*flag))
        .filter_map(|(_, _, word)| word.map(str::to_owned))
        .collect();
    if ticket.flags.contains(TicketFlags::RENEWABLE) {
        words.push(match ticket.renew_till {
            Some(till) => format!("renewable until {}", moment(till)),
            None => "renewable".to_owned(),
        });
    }
    if ticket.is_skey {
        words.push("user to user".to_owned());
    }
    if !words.is_empty() {
        text.push_str("; ");
        text.push_str(&words.join(", "));
    }
    text
}

/// The same for programs; times are RFC 3339 in UTC.
pub(super) fn json(ticket: &Credential, now: SystemTime) -> Value {
    let flags: Vec<&str> =
        FLAGS.iter().filter(|(flag, ..)| ticket.flags.contains(*flag)).map(|(_, name, _)| *name).collect();
    json!({
        "client": ticket.client.to_string(),
        "server": ticket.server.to_string(),
        "authenticated": utc(ticket.auth_time),
        "start": utc(ticket.start_time.unwrap_or(ticket.auth_time)),
        "end": utc(ticket.end_time),
        "renew_until": ticket.renew_till.map(utc),
        "current": ticket.is_current(now),
        "flags": flags,
        "session_key_type": ticket.session_key.etype.to_string(),
    })
}

/// A span of time in its two largest units.
pub fn period(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A time of this machine's zone.
fn moment(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => jiff::tz::TimeZone::system().to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "at a time beyond reckoning".to_owned(),
    }
}

fn utc(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_short() {
        let said = |seconds| period(Duration::from_secs(seconds));
        assert_eq!(said(59), "59 s");
        assert_eq!(said(3599), "59 min");
        assert_eq!(said(36_000 - 60), "9 h 59 min");
        assert_eq!(said(7 * 86_400 + 3600), "7 d 1 h");
    }
}
