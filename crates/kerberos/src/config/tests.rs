use super::*;

const SAMPLE: &str = r#"
# the usual
[libdefaults]
    default_realm = HOP.TEST
    forwardable = true
    ticket_lifetime = 10h 30m
    permitted_enctypes = aes256-cts aes128-cts,rc4 bogus -rc4
    HOP.TEST = {
        forwardable = no
    }
[realms]
	HOP.TEST = {
		kdc = kdc1.hop.test
		kdc = tcp/kdc2.hop.test:8888
		kdc = [::1]:750
		admin_server = kdc1.hop.test
		auth_to_local = RULE:[1:$1@$0](.*@LEG\.TEST)s/@.*//
		auth_to_local = DEFAULT
	}
	LEG.TEST =
	{
		kdc = "kdc.leg.test"
	}
[domain_realm]
	.hop.test = HOP.TEST
	odd.hop.test = LEG.TEST
	leg.test = LEG.TEST
[realms]
	HOP.TEST = {
		kdc = kdc3.hop.test
	}
"#;

#[test]
fn realms_hosts_and_defaults() {
    let config = Config::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(config.default_realm(), Some("HOP.TEST"));
    let kdcs = config.kdcs("HOP.TEST");
    assert_eq!(kdcs.len(), 4);
    assert_eq!(kdcs[0], KdcAddress::new("kdc1.hop.test", 88));
    assert_eq!((kdcs[1].port, kdcs[1].transport), (8888, Some(KdcTransport::Tcp)));
    assert_eq!(kdcs[2], KdcAddress::new("::1", 750));
    assert_eq!(config.kdcs("LEG.TEST"), [KdcAddress::new("kdc.leg.test", 88)]);
    assert_eq!(config.realms(), ["HOP.TEST", "LEG.TEST"]);
    for (host, realm) in [
        ("servera.hop.test", Some("HOP.TEST")),
        ("SERVERA.HOP.TEST.", Some("HOP.TEST")),
        ("a.b.hop.test", Some("HOP.TEST")),
        ("odd.hop.test", Some("LEG.TEST")),
        ("leg.test", Some("LEG.TEST")),
        ("x.leg.test", Some("LEG.TEST")),
        ("hop.example", None),
        ("localhost", None),
        ("", None),
        ("..", None),
    ] {
        assert_eq!(config.host_realm(host), realm, "{host}");
    }
    let defaults = config.defaults(None).unwrap();
    assert!(defaults.forwardable && defaults.kdc_timesync && defaults.dns_lookup_kdc);
    assert_eq!(defaults.ticket_lifetime, Duration::from_secs(37_800));
    assert_eq!(
        defaults.permitted_enctypes,
        Some(vec![EncryptionType::Aes256CtsHmacSha1, EncryptionType::Aes128CtsHmacSha1])
    );
    assert!(!config.defaults(Some("HOP.TEST")).unwrap().forwardable);
    assert_eq!(config.auth_to_local("HOP.TEST").len(), 2);
}

#[test]
fn a_final_marker_shuts_out_later_files_and_entries() {
    let mut config =
        Config::parse(b"[a]*\n x = 1\n[b]\n y* = 2\n y = 3\n z = 4\n[c]\n g = {\n  k = 1\n }*\n").unwrap();
    config.append(
        Config::parse(b"[a]\n x = 5\n w = 5\n[b]\n y = 6\n z = 7\n[c]\n g = {\n  k = 2\n  l = 3\n }\n")
            .unwrap(),
    );
    assert_eq!(config.values(&["a", "x"]), ["1"]);
    assert_eq!(config.values(&["b", "y"]), ["2"]);
    assert_eq!(config.values(&["b", "z"]), ["4", "7"]);
    assert_eq!(config.values(&["c", "g", "k"]), ["1"]);
    let flat = Config::parse(config.to_text().as_bytes()).unwrap();
    for path in [&["a", "x"][..], &["b", "y"], &["b", "z"], &["c", "g", "k"], &["c", "g", "l"]] {
        assert_eq!(flat.values(path), config.values(path), "{path:?}");
    }
}

#[test]
fn includes_go_through_the_callback_and_begin_outside_of_any_section() {
    let mut asked = Vec::new();
    let config = Config::parse_with(
        b"[libdefaults]\n default_realm = A\ninclude /etc/more\nincludedir /etc/d\n rdns = no\n include = x\n",
        &mut |include| {
            asked.push(include.clone());
            Ok(vec![b"[libdefaults]\n forwardable = yes\n[realms]\n".to_vec()])
        },
    )
    .unwrap();
    assert_eq!(asked, [Include::File("/etc/more".into()), Include::Directory("/etc/d".into())]);
    assert_eq!(config.value(&["libdefaults", "rdns"]), Some("no"));
    assert!(config.defaults(None).unwrap().forwardable);
    let endless = Config::parse_with(b"include me\n", &mut |_| Ok(vec![b"include me\n".to_vec()]));
    assert!(matches!(endless, Err(ConfigError::TooDeep { .. })));
    let outside = Config::parse_with(b"[a]\ninclude x\n", &mut |_| Ok(vec![b"b = c\n".to_vec()]));
    assert!(matches!(outside, Err(ConfigError::Syntax { line: 1, .. })));
}

#[test]
fn errors_name_the_line() {
    for (text, line) in [
        ("[a\n", 1),
        ("a = b\n", 1),
        ("[a]\nb\n", 2),
        ("[a]\nb = {\nc = d\n", 3),
        ("[a]\n}\n", 2),
        ("[a]\nb =\nc = d\n", 3),
        ("[a]\nb = {\n[c]\n", 3),
        ("[a] b\n", 1),
        ("[a]\n= b\n", 2),
    ] {
        match Config::parse(text.as_bytes()) {
            Err(ConfigError::Syntax { line: got, .. }) => assert_eq!(got, line, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert_eq!(Config::parse(b"[a]\nb = \xff\n"), Err(ConfigError::NotText));
    let deep = format!("[a]\n{}", "b = {\n".repeat(10_000));
    assert!(matches!(Config::parse(deep.as_bytes()), Err(ConfigError::TooDeep { .. })));
    let config = Config::parse(b"[libdefaults]\n forwardable = perhaps\n").unwrap();
    assert_eq!(
        config.defaults(None).unwrap_err().to_string(),
        "forwardable: expected yes or no, got `perhaps`"
    );
}

#[test]
fn quoted_values() {
    let config = Config::parse(
        br#"[a]
 b = "x \"y\" \\ \t"
 c = plain # no comment
"#,
    )
    .unwrap();
    assert_eq!(config.value(&["a", "b"]), Some("x \"y\" \\ \t"));
    assert_eq!(config.value(&["a", "c"]), Some("plain # no comment"));
    assert_eq!(Config::parse(config.to_text().as_bytes()).unwrap(), config);
}

#[test]
fn time_spans() {
    for (text, seconds) in [
        ("3600", Some(3600)),
        ("1d", Some(86_400)),
        ("1d 2h 3m 4s", Some(93_784)),
        ("10h30m", Some(37_800)),
        ("8:15", Some(29_700)),
        ("0:0:30", Some(30)),
        ("2h 5", Some(7205)),
        ("30m 1h", None),
        ("", None),
        ("soon", None),
        ("99999999999999999999d", None),
        ("1:60", None),
    ] {
        assert_eq!(parse_duration(text).map(|span| span.as_secs()), seconds, "{text}");
    }
}

#[test]
fn expansion() {
    let values = Expansion { uid: 1000, effective_uid: 0, user_name: "alice", temporary: "/tmp" };
    assert_eq!(expand("FILE:%{TEMP}/krb5cc_%{uid}", &values).unwrap(), "FILE:/tmp/krb5cc_1000");
    assert_eq!(expand("%{username}%{null}.%{euid}", &values).unwrap(), "alice.0");
    assert!(expand("%{uid", &values).is_err());
    assert!(expand("%{LIBDIR}", &values).is_err());
}

#[test]
fn kdc_addresses_of_every_form() {
    for (text, shown, transport) in [
        ("kdc", "kdc:88", None),
        ("tcp/kdc:750", "kdc:750", Some(KdcTransport::Tcp)),
        ("[::1]:750", "[::1]:750", None),
        ("https://proxy.hop.test/KdcProxy", "https://proxy.hop.test:443/KdcProxy", Some(KdcTransport::Https)),
        ("HTTPS://proxy:8443", "https://proxy:8443/", Some(KdcTransport::Https)),
        ("https://[::1]:8443/a/b?c", "https://[::1]:8443/a/b?c", Some(KdcTransport::Https)),
    ] {
        let address = KdcAddress::parse(text).unwrap();
        assert_eq!((address.to_string().as_str(), address.transport), (shown, transport), "{text}");
    }
    for wrong in [
        "",
        "http://x/",
        "https://",
        "https:///x",
        "https://h:99999/",
        "https://u@h/",
        "kdc:x",
        "[::1",
        "ftp/x",
    ] {
        assert_eq!(KdcAddress::parse(wrong), None, "{wrong}");
    }
}
