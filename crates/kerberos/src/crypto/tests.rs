use super::*;

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

const A128: EncryptionType = EncryptionType::Aes128CtsHmacSha1;
const A256: EncryptionType = EncryptionType::Aes256CtsHmacSha1;
const S128: EncryptionType = EncryptionType::Aes128CtsHmacSha256;
const S256: EncryptionType = EncryptionType::Aes256CtsHmacSha384;

#[test]
fn rfc_3962_string_to_key() {
    let x64 = "X".repeat(64);
    let x65 = "X".repeat(65);
    for (iterations, password, salt, k128, k256) in [
        (
            1u32,
            "password",
            &b"ATHENA.MIT.EDUraeburn"[..],
            "42263c6e89f4fc28b8df68ee09799f15",
            "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
        ),
        (
            2,
            "password",
            b"ATHENA.MIT.EDUraeburn",
            "c651bf29e2300ac27fa469d693bdda13",
            "a2e16d16b36069c135d5e9d2e25f896102685618b95914b467c67622225824ff",
        ),
        (
            1200,
            "password",
            b"ATHENA.MIT.EDUraeburn",
            "4c01cd46d632d01e6dbe230a01ed642a",
            "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a",
        ),
        (
            5,
            "password",
            &[0x12, 0x34, 0x56, 0x78, 0x78, 0x56, 0x34, 0x12],
            "e9b23d52273747dd5c35cb55be619d8e",
            "97a4e786be20d81a382d5ebc96d5909cabcdadc87ca48f574504159f16c36e31",
        ),
        (
            1200,
            &x64,
            b"pass phrase equals block size",
            "59d1bb789a828b1aa54ef9c2883f69ed",
            "89adee3608db8bc71f1bfbfe459486b05618b70cbae22092534e56c553ba4b34",
        ),
        (
            1200,
            &x65,
            b"pass phrase exceeds block size",
            "cb8005dc5f90179a7f02104c0018751d",
            "d78c5c9cb872a8c9dad4697f0bb5b2d21496c82beb2caeda2112fceea057401b",
        ),
        (
            50,
            "\u{1d11e}",
            b"EXAMPLE.COMpianist",
            "f149c1f2e154a73452d43e7fe62a56e5",
            "4b6d9839f84406df1f09cc166db4b83c571848b784a3d6bdc346589a3e393f9e",
        ),
    ] {
        let params = iterations.to_be_bytes();
        for (etype, expected) in [(A128, k128), (A256, k256)] {
            let key = EncryptionKey::from_password(etype, password.as_bytes(), salt, Some(&params)).unwrap();
            assert_eq!(key.value.expose(), &hex(expected), "{etype} {iterations}");
        }
    }
}

#[test]
fn rfc_8009_string_to_key() {
    let mut salt = hex("10DF9DD783E5BC8ACEA1730E74355F61");
    salt.extend_from_slice(b"ATHENA.MIT.EDUraeburn");
    for (etype, expected) in [
        (S128, "089BCA48B105EA6EA77CA5D2F39DC5E7"),
        (S256, "45BD806DBF6A833A9CFFC1C94589A222367A79BC21C413718906E9F578A78467"),
    ] {
        let key = EncryptionKey::from_password(etype, b"password", &salt, None).unwrap();
        assert_eq!(key.value.expose(), &hex(expected));
    }
}

#[test]
fn rfc_8009_derivation_checksum_and_decryption() {
    let k128 = EncryptionKey::new(S128, hex("3705D96080C17728A0E800EAB6E0D23C")).unwrap();
    let k256 =
        EncryptionKey::new(S256, hex("6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52"))
            .unwrap();
    for (key, kind, expected) in [
        (&k128, 0x99, "B31A018A48F54776F403E9A396325DC3"),
        (&k128, 0xAA, "9B197DD1E8C5609D6E67C3E37C62C72E"),
        (&k128, 0x55, "9FDA0E56AB2D85E1569A688696C26A6C"),
        (&k256, 0x99, "EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D"),
        (&k256, 0xAA, "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49"),
        (&k256, 0x55, "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F"),
    ] {
        assert_eq!(derive::usage_key(key, KeyUsage(2), kind).unwrap().expose(), &hex(expected));
    }
    let data = hex("000102030405060708090A0B0C0D0E0F1011121314");
    for (key, expected) in [
        (&k128, "D78367186643D67B411CBA9139FC1DEE"),
        (&k256, "45EE791567EEFCA37F4AC1E0222DE80D43C3BFA06699672A"),
    ] {
        assert_eq!(key.checksum_key(KeyUsage(2)).unwrap().checksum(&[&data]), hex(expected));
    }
    for (key, plain, cipher) in [
        (&k128, "", "EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718"),
        (
            &k128,
            "000102030405",
            "84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C",
        ),
        (
            &k256,
            "000102030405060708090A0B0C0D0E0F",
            "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F68CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266",
        ),
    ] {
        assert_eq!(key.decrypt(KeyUsage(2), &hex(cipher), "test").unwrap().expose(), &hex(plain));
    }
    assert_eq!(
        k128.prf(b"test").unwrap().expose(),
        &hex("9D188616F63852FE86915BB840B4A886FF3E6BB0F819B49B893393D393854295")
    );
    assert_eq!(
        k256.prf(b"test").unwrap().expose(),
        &hex(
            "9801F69A368C2BF675E59521E177D9A07F67EFE1CFDE8D3C8D6F6A0256E3B17DB3C1B62AD1B8553360D17367EB1514D2"
        )
    );
}

#[test]
fn round_trips_and_refusals() {
    let mut rng = crate::testing::rng();
    for etype in [A128, A256, S128, S256] {
        let key = EncryptionKey::random(etype, &mut rng).unwrap();
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 1000] {
            let plain = vec![0x5a; length];
            let sealed = key.encrypt(KeyUsage(5), &plain, &mut rng).unwrap();
            assert_eq!(key.decrypt(KeyUsage(5), &sealed, "t").unwrap().expose(), &plain);
            assert_eq!(key.decrypt(KeyUsage(6), &sealed, "t").unwrap_err(), Error::Integrity("t"));
            for position in [0, sealed.len() / 2, sealed.len() - 1] {
                let mut bad = sealed.clone();
                bad[position] ^= 1;
                assert!(key.decrypt(KeyUsage(5), &bad, "t").is_err());
            }
            for cut in [0, 1, 11, 12, 27, sealed.len() - 1] {
                assert!(key.decrypt(KeyUsage(5), &sealed[..cut.min(sealed.len() - 1)], "t").is_err());
            }
        }
    }
}

#[test]
fn string_to_key_parameters_have_limits() {
    for params in [&[][..], &[0, 0, 0], &[0, 0, 0, 0], &[0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 1, 0]] {
        assert!(matches!(
            EncryptionKey::from_password(A256, b"x", b"y", Some(params)),
            Err(Error::StringToKeyParameters(_))
        ));
    }
    assert!(EncryptionKey::from_password(EncryptionType::Other(23), b"x", b"y", None).is_err());
    assert!(EncryptionKey::new(A256, vec![0; 16]).is_err());
}
