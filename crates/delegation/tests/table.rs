//! Every combination of facts, and what follows from it.

use hop_delegation::{
    ClientFacts, Decision, Mode, Names, Reason, ServerFacts, SessionIdentity, SessionReport, TgtFacts,
    after_kdc_refusal, decide, explain, fuzz,
};

const TGT: [Option<TgtFacts>; 3] =
    [None, Some(TgtFacts { forwardable: false }), Some(TgtFacts { forwardable: true })];

#[test]
fn client_table_is_complete() {
    use Reason::*;
    // mode, no TGT, TGT not forwardable, TGT forwardable; each for a host that is not, and is, ok-as-delegate.
    let table = [
        (Mode::Never, [Some(ClientChoseNot); 6]),
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
    ];
    assert_eq!(table.map(|(mode, _)| mode.as_str()).len(), Mode::ALL.len());
    for (mode, expected) in table {
        let facts = TGT.iter().flat_map(|tgt| {
            [false, true].map(|ticket_ok_as_delegate| ClientFacts { mode, tgt: *tgt, ticket_ok_as_delegate })
        });
        for (facts, expected) in facts.zip(expected) {
            let decision = decide(facts);
            assert_eq!(decision.reason(), expected, "{facts:?}");
            assert_eq!(decision == Decision::Forward, expected.is_none());
            assert_eq!(decision.disappoints(mode), mode == Mode::Forward && expected.is_some());
        }
    }
}

#[test]
fn server_table_is_complete() {
    for bits in 0..16 {
        let bit = |n: u32| bits >> n & 1 == 1;
        let facts = facts(bit(0), bit(1), bit(2), bit(3));
        let none = |reason| SessionIdentity::None { reason };
        let expected = match (bit(3), bit(2), bit(0), bit(1)) {
            (true, _, _, _) => SessionIdentity::Forwarded,
            (false, true, _, _) => none(Reason::CredentialUnusable),
            (false, false, false, _) => none(Reason::TicketNotForwardable),
            (false, false, true, false) => none(Reason::HostNotTrusted),
            (false, false, true, true) => none(Reason::ClientChoseNot),
        };
        assert_eq!(explain(&facts), expected, "{facts:?}");

        let report = SessionReport::new(&facts);
        let again = SessionReport::from_json(report.to_json().as_bytes()).unwrap();
        assert_eq!(again, report);
        assert_eq!(again.identity(), Ok(expected));
        assert_eq!(report.explanation().is_none(), expected == SessionIdentity::Forwarded);
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
        r#"expected auto, never or forward, got "always""#
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
    let text = SessionReport::new(&facts(false, false, false, false)).explanation().unwrap();
    assert!(
        text.contains("sensitive and cannot be delegated") && text.contains("TRUSTED_FOR_DELEGATION"),
        "{text}"
    );
    let text = SessionReport::new(&facts(false, true, false, false)).explanation().unwrap();
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
    }
}
