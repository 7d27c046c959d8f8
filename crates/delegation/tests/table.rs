//! Every combination of facts, and what follows from it.

use hop_delegation::{
    CameBy, ClientFacts, Constrained, Decision, Mode, Names, Reason, Refusal, ServerFacts, SessionIdentity,
    SessionReport, TgtFacts, after_kdc_refusal, decide, explain, fuzz,
};

const TGT: [Option<TgtFacts>; 3] =
    [None, Some(TgtFacts { forwardable: false }), Some(TgtFacts { forwardable: true })];

#[test]
fn client_table_is_complete() {
    use Reason::*;
    // mode, no TGT, TGT not forwardable, TGT forwardable; each for a host that is not, and is, ok-as-delegate.
    let table = [
        (Mode::Never, [Some(ClientChoseNot); 6]),
        (Mode::Constrained, [Some(ClientChoseConstrained); 6]),
        (
            Mode::Auto,
            [
                Some(NoTicketGrantingTicket),
                Some(NoTicketGrantingTicket),
                Some(TicketNotForwardable),
                Some(TicketNotForwardable),
                Some(HostNotTrusted),
                None,
            ],
        ),
        (
            Mode::Forward,
            [
                Some(NoTicketGrantingTicket),
                Some(NoTicketGrantingTicket),
                Some(TicketNotForwardable),
                Some(TicketNotForwardable),
                None,
                None,
            ],
        ),
        (Mode::CredSsp, [None; 6]),
    ];
    let mut missing = Mode::ALL.to_vec();
    missing.retain(|mode| table.iter().all(|(known, _)| known != mode));
    assert_eq!(missing, []);
    for (mode, expected) in table {
        let facts = TGT.iter().flat_map(|tgt| {
            [false, true].map(|ticket_ok_as_delegate| ClientFacts { mode, tgt: *tgt, ticket_ok_as_delegate })
        });
        for (facts, expected) in facts.zip(expected) {
            let decision = decide(facts);
            assert_eq!(decision.reason(), expected, "{facts:?}");
            let travels = if mode == Mode::CredSsp { Decision::Password } else { Decision::Forward };
            assert_eq!(decision == travels, expected.is_none(), "{facts:?}");
            assert_eq!(decision.disappoints(mode), mode == Mode::Forward && expected.is_some());
        }
    }
}

#[test]
fn server_table_is_complete() {
    for constrained in [Constrained::Auto, Constrained::Prefer, Constrained::Off] {
        for bits in 0..16 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let facts = ServerFacts { constrained, ..facts(bit(0), bit(1), bit(2), bit(3)) };
            let reason = match (bit(3), bit(2), bit(0), bit(1)) {
                (true, _, _, _) => None,
                (false, true, _, _) => Some(Reason::CredentialUnusable),
                (false, false, false, _) => Some(Reason::TicketNotForwardable),
                (false, false, true, false) => Some(Reason::HostNotTrusted),
                (false, false, true, true) => Some(Reason::ClientChoseNot),
            };
            let expected = match (constrained, reason) {
                (Constrained::Auto | Constrained::Off, None) => SessionIdentity::Forwarded,
                (Constrained::Off, Some(reason)) => SessionIdentity::None { reason },
                (_, reason) => SessionIdentity::Constrained { reason },
            };
            assert_eq!(explain(&facts), expected, "{facts:?}");

            let report = SessionReport::new(&facts);
            let again = SessionReport::from_json(report.to_json().as_bytes()).unwrap();
            assert_eq!(again, report);
            assert_eq!(again.identity(), Ok(expected));
            let unexplained = !matches!(expected, SessionIdentity::None { .. });
            assert_eq!(report.explanation(&[]).is_none(), unexplained);
            assert!(report.summary().contains("alice@HOP.TEST"));
            let with_refusal = report.explanation(&[refusal(13)]);
            assert_eq!(with_refusal.is_none(), expected == SessionIdentity::Forwarded);
        }
    }
}

#[test]
fn who_came_without_a_ticket() {
    use SessionIdentity::{Constrained as ByService, Forwarded, None as Nothing};
    for came_by in CameBy::ALL.into_iter().filter(|way| *way != CameBy::Kerberos) {
        for constrained in [Constrained::Auto, Constrained::Prefer, Constrained::Off] {
            for evidence_present in [false, true] {
                for present in [false, true] {
                    // Only CredSSP leaves something of which a credential can be made.
                    if present && came_by != CameBy::CredSsp {
                        continue;
                    }
                    let facts = ServerFacts {
                        came_by,
                        constrained,
                        evidence_present,
                        ..facts(false, false, false, present)
                    };
                    let reason = match came_by {
                        CameBy::CredSsp => Reason::CredentialUnusable,
                        _ => Reason::MechanismCannotDelegate,
                    };
                    let expected = match (present, constrained, evidence_present) {
                        (true, Constrained::Prefer, true) => ByService { reason: None },
                        (true, ..) => Forwarded,
                        (false, Constrained::Off, _) | (false, _, false) => Nothing { reason },
                        (false, _, true) => ByService { reason: Some(reason) },
                    };
                    assert_eq!(explain(&facts), expected, "{facts:?}");
                    let report = SessionReport::new(&facts);
                    let again = SessionReport::from_json(report.to_json().as_bytes()).unwrap();
                    assert_eq!((again.came_by, again.identity()), (came_by, Ok(expected)));
                    let mut kept = report.clone();
                    kept.password_kept = true;
                    let nothing = matches!(expected, Nothing { .. });
                    assert_eq!(kept.summary().contains("by NTLM"), nothing);
                    assert_eq!(kept.explanation(&[]), None);
                    let by_password = expected == Forwarded && came_by == CameBy::CredSsp;
                    assert_eq!(report.summary().contains("CredSSP"), by_password);
                }
            }
        }
    }
}

#[test]
fn a_refusal_names_the_target_and_both_ways_out() {
    let report = SessionReport::new(&facts(true, false, false, false));
    let text = report.explanation(&[refusal(13)]).unwrap();
    for part in [
        "cifs/serverb.hop.test: the domain refuses constrained delegation",
        "Set-ADComputer SERVERB -PrincipalsAllowedToDelegateToAccount (Get-ADComputer SERVERA)",
        "samba-tool delegation add-service 'SERVERA$' cifs/serverb.hop.test",
        "not trusted for delegation",
        "--delegate forward",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("may not be delegated"), "{text}");
    let sensitive = SessionReport::new(&facts(false, true, false, false));
    assert!(sensitive.explanation(&[refusal(13)]).unwrap().contains("may not be delegated"));
    assert!(report.explanation(&[refusal(7)]).unwrap().contains("setspn -S cifs/serverb.hop.test SERVERB$"));
    assert!(report.explanation(&[refusal(0)]).unwrap().contains("nobody answered"));
    let lines = refusal(7).to_line() + "garbage\n" + &refusal(13).to_line();
    assert_eq!(Refusal::parse_lines(lines.as_bytes()), [refusal(13)]);
}

fn refusal(code: i32) -> Refusal {
    Refusal {
        target: "cifs/serverb.hop.test@HOP.TEST".into(),
        service: "HTTP/servera.hop.test@HOP.TEST".into(),
        code,
        text: "nobody answered".into(),
    }
}

#[test]
fn reasons_survive_their_code() {
    for reason in Reason::ALL {
        assert_eq!(reason.to_string().parse(), Ok(reason));
        fuzz::fuzz_reason(reason.to_string().as_bytes());
    }
    assert!("".parse::<Reason>().is_err());
    assert!("kdc-refused-x".parse::<Reason>().is_err());
    assert_eq!(after_kdc_refusal(12).reason(), Some(Reason::KdcRefused { code: 12 }));
    for mode in Mode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert_eq!(
        "always".parse::<Mode>().unwrap_err().to_string(),
        r#"expected auto, never, constrained, forward or credssp, got "always""#
    );
}

#[test]
fn words_name_the_causes_and_the_remedies() {
    let names = Names { user: "alice@HOP.TEST".into(), host: "servera.hop.test".into() };
    for reason in Reason::ALL {
        let sentence = reason.sentence(&names);
        assert!(!sentence.ends_with('.') && !sentence.is_empty(), "{sentence}");
        assert!(!reason.remedies(&names).is_empty());
    }
    let text = Reason::TicketNotForwardable.explanation(&names);
    for part in
        ["sensitive and cannot be delegated", "Protected Users", "kinit without -f", "kinit -f", "alice"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = Reason::HostNotTrusted.explanation(&names);
    for part in [
        "TRUSTED_FOR_DELEGATION",
        "samba-tool delegation for-any-service 'SERVERA$' on",
        "+ok_as_delegate HTTP/servera.hop.test",
        "--delegate forward",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(Reason::ClientChoseNot.explanation(&names).contains("--delegate"));
}

#[test]
fn a_sensitive_user_on_an_untrusted_host_hears_of_both() {
    let text = SessionReport::new(&facts(false, false, false, false)).explanation(&[]).unwrap();
    assert!(
        text.contains("sensitive and cannot be delegated") && text.contains("TRUSTED_FOR_DELEGATION"),
        "{text}"
    );
    let text = SessionReport::new(&facts(false, true, false, false)).explanation(&[]).unwrap();
    assert!(!text.contains("TRUSTED_FOR_DELEGATION"), "{text}");
}

#[test]
fn reports_are_read_with_care() {
    for bad in ["", "[]", "{}", r#"{"client":"a","service":"b"}"#] {
        assert!(SessionReport::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(SessionReport::from_json(&vec![b' '; 100_000]).is_err());
    for entry in
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/session_report")).unwrap()
    {
        fuzz::fuzz_session_report(&std::fs::read(entry.unwrap().path()).unwrap());
    }
}

fn facts(forwardable: bool, ok_as_delegate: bool, requested: bool, present: bool) -> ServerFacts {
    ServerFacts {
        client: "alice@HOP.TEST".into(),
        service: "HTTP/servera.hop.test@HOP.TEST".into(),
        ticket_forwardable: forwardable,
        ticket_ok_as_delegate: ok_as_delegate,
        delegation_requested: requested,
        credential_present: present,
        constrained: Constrained::Off,
        came_by: CameBy::Kerberos,
        evidence_present: true,
    }
}
