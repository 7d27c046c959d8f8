//! Wrap, unwrap and MIC on an established context.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{FLAGS, World};
use hop_kerberos::gss::{AcceptorOptions, Context, GssFlags, Initiator, InitiatorOptions};
use hop_kerberos::{EncryptionType, Error};
use proptest::prelude::*;

const ALL: [EncryptionType; 4] = [
    EncryptionType::Aes128CtsHmacSha1,
    EncryptionType::Aes256CtsHmacSha1,
    EncryptionType::Aes128CtsHmacSha256,
    EncryptionType::Aes256CtsHmacSha384,
];

fn pair_with(etype: EncryptionType, flags: GssFlags) -> (Context, Context) {
    let mut world = World::new(etype);
    let options = InitiatorOptions { flags, ..world.options() };
    let (token, expect) = Initiator::new(&options, world.now, &mut rand::rng()).unwrap();
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    (expect.handle(&accepted.reply.unwrap()).unwrap(), accepted.context)
}

fn pair() -> (Context, Context) {
    pair_with(EncryptionType::Aes256CtsHmacSha1, FLAGS)
}

/// Rotates a wrap token further, as any sender may have done.
fn rotate(token: &[u8], rrc: u16) -> Vec<u8> {
    let mut token = token.to_vec();
    let old = u16::from_be_bytes([token[6], token[7]]);
    token[6..8].copy_from_slice(&rrc.to_be_bytes());
    let payload = &mut token[16..];
    let length = payload.len();
    payload.rotate_left(usize::from(old) % length);
    payload.rotate_right(usize::from(rrc) % length);
    token
}

#[test]
fn winrm_headers_have_60_bytes() {
    let (mut client, mut server) = pair();
    for length in [0, 1, 15, 16, 17, 5000] {
        let message = vec![b'x'; length];
        let (header, body) = client.wrap_detached(&message).unwrap();
        assert_eq!((header.len(), client.detached_header_length(), body.len()), (60, 60, length));
        assert_eq!(header[..8], [5, 4, 6, 0xff, 0, 0, 0, 28]);
        assert_eq!(server.unwrap_detached(&header, &body).unwrap(), message);
    }
}

#[test]
fn every_rotation_is_read() {
    for etype in ALL {
        let (mut client, mut server) = pair_with(etype, FLAGS);
        for confidential in [true, false] {
            for rrc in [0, 1, 12, 16, 28, 44, 1000, u16::MAX] {
                let token = client.wrap(confidential, b"message of some length").unwrap();
                let rotated = rotate(&token, rrc);
                assert_eq!(server.unwrap(&rotated).unwrap().message, b"message of some length");
            }
        }
        for (rrc, cut) in [(0, 16), (28, 60), (28, 16), (5, 30)] {
            let token = rotate(&client.wrap(true, b"another").unwrap(), rrc);
            assert_eq!(server.unwrap_detached(&token[..cut], &token[cut..]).unwrap(), b"another");
        }
    }
}

#[test]
fn tokens_of_every_length_end_in_an_error_not_a_panic() {
    let (mut client, mut server) = pair();
    let sealed = client.wrap(true, b"hello").unwrap();
    let signed = client.wrap(false, b"hello").unwrap();
    let (header, _) = client.wrap_detached(b"").unwrap();
    for token in [&sealed, &signed, &header] {
        for cut in 0..token.len() {
            assert!(server.unwrap(&token[..cut]).is_err(), "{cut}");
            assert!(server.unwrap_detached(&token[..cut], b"").is_err(), "{cut}");
        }
    }
    // 30 bytes with the usual rotation count.
    let mut thirty = vec![5, 4, 2, 0xff, 0, 0, 0, 28];
    thirty.resize(30, 0);
    assert!(server.unwrap(&thirty).is_err());
    // A filler longer than the message.
    let mut filler = sealed.clone();
    filler[4..6].copy_from_slice(&[0xff, 0xff]);
    assert!(server.unwrap(&filler).is_err());
    assert_eq!(server.unwrap(&sealed).unwrap().message, b"hello");
}

#[test]
fn the_copy_of_the_header_is_compared() {
    let (mut client, mut server) = pair();
    for confidential in [true, false] {
        let token = client.wrap(confidential, b"hello").unwrap();
        // The sequence number, and for sealed tokens EC too, are protected.
        for position in 8..16 {
            let mut altered = token.clone();
            altered[position] ^= 1;
            assert!(matches!(server.unwrap(&altered), Err(Error::Integrity(_))), "{position}");
        }
        let mut altered = token.clone();
        altered[5] ^= 1;
        assert!(server.unwrap(&altered).is_err());
        // Direction, subkey and sealing too.
        for bit in [1, 2, 4] {
            let mut altered = token.clone();
            altered[2] ^= bit;
            assert!(server.unwrap(&altered).is_err(), "{bit}");
        }
        assert!(server.unwrap(&token).is_ok());
    }
}

#[test]
fn replays_and_reordering_are_refused() {
    let (mut client, mut server) = pair();
    let tokens: Vec<_> = (0..80).map(|n: u8| client.wrap(true, &[n]).unwrap()).collect();
    assert!(!server.unwrap(&tokens[0]).unwrap().after_gap);
    assert_eq!(server.unwrap(&tokens[0]), Err(Error::DuplicateToken));
    assert!(server.unwrap(&tokens[2]).unwrap().after_gap);
    assert!(matches!(server.unwrap(&tokens[1]), Err(Error::OutOfSequence { .. })));
    assert!(server.unwrap(&tokens[79]).unwrap().after_gap);
    assert_eq!(server.unwrap(&tokens[5]), Err(Error::OldToken));
    // Without the SEQUENCE flag a late token is as good as any, once.
    let (mut client, mut server) = pair_with(EncryptionType::Aes256CtsHmacSha1, GssFlags::REPLAY);
    let tokens: Vec<_> = (0..3).map(|n: u8| client.wrap(true, &[n]).unwrap()).collect();
    assert!(server.unwrap(&tokens[2]).is_ok());
    assert!(server.unwrap(&tokens[0]).is_ok());
    assert_eq!(server.unwrap(&tokens[0]), Err(Error::DuplicateToken));
}

#[test]
fn own_tokens_and_tokens_of_other_contexts_are_refused() {
    let (mut client, mut server) = pair();
    let token = client.wrap(true, b"hello").unwrap();
    assert!(matches!(client.unwrap(&token), Err(Error::Unexpected { .. })));
    let (_, mut other) = pair();
    assert!(matches!(other.unwrap(&token), Err(Error::Integrity(_))));
    assert!(server.unwrap(&token).is_ok());
}

#[test]
fn a_signed_message_does_not_pass_for_a_sealed_one() {
    let (mut client, mut server) = pair();
    let token = client.wrap(false, b"hello").unwrap();
    assert!(matches!(server.unwrap_detached(&token[..16], &token[16..]), Err(Error::Unexpected { .. })));
}

#[test]
fn mic() {
    for etype in ALL {
        let (mut client, mut server) = pair_with(etype, FLAGS);
        let mic = client.get_mic(b"hello").unwrap();
        assert!(server.verify_mic(b"hallo", &mic).is_err());
        server.verify_mic(b"hello", &mic).unwrap();
        assert_eq!(server.verify_mic(b"hello", &mic), Err(Error::DuplicateToken));
        let mic = server.get_mic(b"").unwrap();
        client.verify_mic(b"", &mic).unwrap();
        // A MIC is no wrap token.
        assert!(client.unwrap(&mic).is_err());
        for cut in 0..mic.len() {
            assert!(client.verify_mic(b"", &mic[..cut]).is_err());
        }
    }
}

#[test]
fn an_exported_context_goes_on_where_it_was() {
    let (mut client, mut server) = pair();
    let token = client.wrap(true, b"before").unwrap();
    server.unwrap(&token).unwrap();
    let first = server.wrap(true, b"answer").unwrap();
    let bytes = server.export();
    let mut server = Context::import(&bytes).unwrap();
    assert_eq!(server.unwrap(&token), Err(Error::DuplicateToken));
    let second = server.wrap(true, b"answer").unwrap();
    assert_ne!(first[16..32], second[16..32], "a confounder must not come twice");
    for token in [first, second] {
        assert_eq!(client.unwrap(&token).unwrap().message, b"answer");
    }
    for cut in 0..bytes.expose().len() {
        assert!(Context::import(&bytes.expose()[..cut].into()).is_err());
    }
    assert!(!format!("{server:?}").contains("key"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_message_comes_back(message in prop::collection::vec(any::<u8>(), 0..3000), rrc in any::<u16>(), kind in 0usize..4) {
        let (mut client, mut server) = pair_with(ALL[kind], FLAGS);
        for confidential in [true, false] {
            let token = rotate(&client.wrap(confidential, &message).unwrap(), rrc);
            prop_assert_eq!(&server.unwrap(&token).unwrap().message, &message);
        }
        let (header, body) = server.wrap_detached(&message).unwrap();
        prop_assert_eq!(body.len(), message.len());
        prop_assert_eq!(&client.unwrap_detached(&header, &body).unwrap(), &message);
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut server) = pair();
        prop_assert!(server.unwrap(&bytes).is_err());
        prop_assert!(server.verify_mic(b"", &bytes).is_err());
    }
}
