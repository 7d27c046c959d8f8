//! The policy that guards the password: every combination of what can matter, and what follows.

use hop_delegation::credssp::{
    List, ListName, Pattern, Policy, Proof, Refusal, RefusalKind, Setting, Source,
};

const HOST: &str = "servera.hop.test";
const PROOFS: [Proof; 4] = [Proof::Unknown, Proof::Kerberos, Proof::Certificate, Proof::NtlmOnly];

fn source() -> Source {
    Source::File("/etc/hop/policy.toml".to_owned())
}

fn list(entries: &[&str]) -> List {
    List {
        enabled: Some(Setting::new(true, source())),
        entries: entries.iter().map(|entry| Setting::new((*entry).to_owned(), source())).collect(),
    }
}

/// Every list with the host or without it, on or off; the switch on, off and unsaid; with a password and without.
#[test]
fn who_may_have_the_password() {
    let mut seen = [0_usize; 5];
    for bits in 0_u32..1 << 7 {
        let bit = |n: u32| bits >> n & 1 == 1;
        let listed = |yes: bool, on: bool| {
            let mut list =
                list(if yes { &["wsman/SERVERA.hop.test"] } else { &["wsman/other", "termsrv/*"] });
            list.enabled = Some(Setting::new(on, source()));
            list
        };
        // A list that is off counts as one without entries.
        let (allow, ntlm, deny) = (bit(0) && bit(1), bit(2) && bit(3), bit(4) && bit(5));
        for client in [None, Some(false), Some(true)] {
            let policy = Policy {
                allow_fresh: listed(bit(0), bit(1)),
                allow_fresh_ntlm_only: listed(bit(2), bit(3)),
                deny_fresh: listed(bit(4), bit(5)),
                client: client.map(|value| Setting::new(value, source())),
                ..Policy::default()
            };
            for proof in PROOFS {
                let typed = bit(6);
                let expected = if !typed {
                    Some(RefusalKind::NoCredential)
                } else if client != Some(true) {
                    Some(RefusalKind::ClientOff)
                } else if deny {
                    Some(RefusalKind::NotListed)
                } else {
                    match (proof, allow, ntlm) {
                        (Proof::Unknown, true, _) | (Proof::Unknown, _, true) => None,
                        (Proof::Kerberos | Proof::Certificate, true, _) => None,
                        (Proof::NtlmOnly, _, true) => None,
                        (Proof::NtlmOnly, _, false) => Some(RefusalKind::NtlmOnly),
                        _ => Some(RefusalKind::NotListed),
                    }
                };
                let got = policy.may_delegate(HOST, typed, proof).err();
                assert_eq!(got.map(|refusal| refusal.kind()), expected, "{bits:07b} {client:?} {proof:?}");
                let kinds = [
                    RefusalKind::NoCredential,
                    RefusalKind::ClientOff,
                    RefusalKind::NotListed,
                    RefusalKind::NtlmOnly,
                ];
                let at = kinds.iter().position(|kind| Some(*kind) == expected).map_or(0, |at| at + 1);
                seen[at] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "every outcome was met: {seen:?}");
}

#[test]
fn nothing_configured_means_nothing_allowed() {
    let refusal = Policy::default().may_delegate(HOST, true, Proof::Unknown).map_err(|r| r.code());
    assert_eq!(refusal, Err(2_150_859_170));
    let policy = Policy { client: Some(Setting::new(true, source())), ..Policy::default() };
    assert_eq!(policy.may_delegate(HOST, true, Proof::Unknown).map_err(|r| r.code()), Err(2_150_859_171));
    assert_eq!(policy.may_use_ntlm(HOST, false).map_err(|r| r.code()), Err(2_150_858_980));
}

#[test]
fn what_a_pattern_covers() {
    // The host is taken as it was typed: a short name or an address is not the full name.
    for (pattern, host, expected) in [
        ("WSMAN/servera.hop.test", "servera.hop.test", true),
        ("wsman/SERVERA.HOP.TEST", "ServerA.hop.test", true),
        ("WSMAN/servera.hop.test", "servera", false),
        ("WSMAN/servera", "servera.hop.test", false),
        ("WSMAN/*.hop.test", "servera.hop.test", true),
        ("WSMAN/*.hop.test", "a.b.hop.test", true),
        ("WSMAN/*.hop.test", "hop.test", false),
        ("WSMAN/*.hop.test", ".hop.test", true),
        ("WSMAN/*.hop.test", "servera", false),
        ("WSMAN/*.hop.test", "192.0.2.11", false),
        ("WSMAN/*.hop.test", "servera.hop.test.evil.example", false),
        ("WSMAN/*", "anything", true),
        ("WSMAN/server*", "servera.hop.test", true),
        ("WSMAN/s*.test", "s.test", true),
        ("WSMAN/s.t*s.test", "s.test", false),
        ("*", "servera", true),
        ("HTTP/*", "servera", false),
        ("TERMSRV/*", "servera", false),
        ("servera", "servera", false),
        (" WSMAN/servera ", "servera", true),
        ("WSMAN/*.*.test", "a.hop.test", false),
        ("**", "servera", false),
        ("", "", false),
    ] {
        let policy = Policy {
            allow_fresh: list(&[pattern]),
            client: Some(Setting::new(true, source())),
            ..Policy::default()
        };
        assert_eq!(
            policy.may_delegate(host, true, Proof::Kerberos).is_ok(),
            expected,
            "{pattern:?} {host:?}"
        );
    }
    // Two stars are no pattern, but forbid all the same.
    assert_eq!(Pattern::parse("WSMAN/*.*.test"), None);
    let policy = Policy {
        allow_fresh: list(&["WSMAN/*"]),
        deny_fresh: list(&["wsman/*.*.test"]),
        client: Some(Setting::new(true, source())),
        ..Policy::default()
    };
    assert!(policy.may_delegate("a.hop.test", true, Proof::Kerberos).is_err());
    assert!(policy.may_delegate("a.example", true, Proof::Kerberos).is_ok());
}

#[test]
fn whom_ntlm_may_speak_to() {
    for (entries, host, expected) in [
        (&["servera"][..], "SERVERA", true),
        (&["servera"], "servera.hop.test", false),
        (&["a, servera ,b"], "servera", true),
        (&["a,b"], "a,b", false),
        (&["*"], "anything", true),
        (&["*.hop.test"], "x.y.hop.test", true),
        (&["10.*.3.*"], "10.0.3.7", true),
        (&["10.*.3.*"], "10.0.4.7", false),
        (&["<local>"], "servera", true),
        (&["<LOCAL>"], "servera.hop.test", false),
        (&["<local>"], "::1", false),
        (&["[::1]"], "::1", true),
        (&["::1"], "[::1]", true),
        (&["", " , "], "", false),
        (&[], "servera", false),
    ] {
        let policy = Policy { trusted_hosts: list(entries), ..Policy::default() };
        assert_eq!(policy.may_use_ntlm(host, false).is_ok(), expected, "{entries:?} {host:?}");
        let mut off = policy;
        off.trusted_hosts.enabled = None;
        assert!(off.may_use_ntlm(host, true).is_err());
    }
    let kind = |host, by_default| Policy::default().may_use_ntlm(host, by_default).map_err(|r| r.kind());
    assert_eq!(kind("192.0.2.1", true), Err(RefusalKind::AddressTyped));
    assert_eq!(kind("[2001:db8::1]", true), Err(RefusalKind::AddressTyped));
    assert_eq!(kind("192.0.2.1", false), Err(RefusalKind::NotTrusted));
    assert_eq!(kind("servera", true), Err(RefusalKind::NotTrusted));
}

#[test]
fn every_refusal_has_a_code_a_text_an_id_and_a_remedy() {
    let mut codes: Vec<u32> = Vec::new();
    for kind in RefusalKind::ALL {
        let refusal = Refusal::new(kind, HOST);
        assert!(refusal.to_string().starts_with("The WinRM client cannot process the request. "), "{kind:?}");
        assert!(!refusal.remedies().is_empty() && refusal.advice().contains(HOST), "{kind:?}");
        assert!(!codes.contains(&refusal.code()), "{kind:?}");
        codes.push(refusal.code());
    }
    assert_eq!(Refusal::new(RefusalKind::NotListed, HOST).error_id(), "-2144108125");
    assert_eq!(Refusal::new(RefusalKind::NotTrusted, HOST).error_id(), "ServerNotTrusted");
    let advice = Refusal::new(RefusalKind::NotListed, HOST).advice();
    for word in ["hop credssp enable --role client", "Enable-WSManCredSSP", "Group Policy"] {
        assert!(advice.contains(word), "{word}: {advice}");
    }
    assert!(Refusal::new(RefusalKind::NtlmOnly, HOST).advice().contains("--ntlm-only"));
    assert!(Refusal::new(RefusalKind::NotTrusted, HOST).advice().contains(&format!("hop trust add {HOST}")));
}

#[test]
fn lists_by_name() {
    let mut policy = Policy::default();
    for name in ListName::ALL {
        *policy.list_mut(name) = list(&[name.as_str()]);
    }
    for name in ListName::ALL {
        assert_eq!(policy.list(name).effective().first().map(|e| e.value.as_str()), Some(name.as_str()));
    }
    let gpo = Source::GroupPolicy { name: "CredDeleg".to_owned(), id: "{1}".to_owned() };
    assert_eq!(gpo.to_string(), "Group Policy \"CredDeleg\" {1}");
}
