//! n-fold (RFC 3961 5.1) to the one length that AES needs.

/// Folds a constant of 1 to 8 bytes to 16 bytes; longer ones do not occur and are cut.
///
/// Copies of the input, each rotated right by 13 bits more than the one before, are laid end to end until their
/// length is a multiple of 16 bytes, and the 16-byte pieces added up in ones' complement.
pub(super) fn n_fold_16(input: &[u8]) -> [u8; 16] {
    let input = input.get(..8).unwrap_or(input);
    let bits = input.len() as u32 * 8;
    if bits == 0 {
        return [0; 16];
    }
    let mut copy = input.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let rotate = |n: u64| {
        let by = 13 % bits;
        let kept = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        if by == 0 { n } else { (n >> by | n << (bits - by)) & kept }
    };
    let (mut sum, mut piece, mut filled) = (0u128, 0u128, 0);
    // Sixteen copies at most: then pieces and copies end together.
    loop {
        for byte in copy.to_be_bytes().into_iter().skip(8 - input.len()) {
            piece = piece << 8 | u128::from(byte);
            filled += 1;
            if filled % 16 == 0 {
                let (added, carry) = sum.overflowing_add(piece);
                sum = added + u128::from(carry);
                piece = 0;
            }
        }
        if filled % 16 == 0 {
            return sum.to_be_bytes();
        }
        copy = rotate(copy);
    }
}

#[cfg(test)]
mod tests {
    use super::n_fold_16;

    /// The general function, to compare with.
    fn n_fold(input: &[u8], length: usize) -> Vec<u8> {
        let mut out = vec![0u8; length];
        if input.is_empty() || length == 0 {
            return out;
        }
        let total = lcm(input.len(), length);
        let in_bits = input.len() * 8;
        // Ones'-complement addition of all copies, each rotated right by 13 bits more than the one before.
        let mut carry = 0u32;
        for position in (0..total).rev() {
            let copy = position / input.len();
            let start = (position % input.len()) * 8 + in_bits * (13 * copy / in_bits + 1) - 13 * copy;
            let byte = |bit: usize| {
                let bit = bit % in_bits;
                let pair = u16::from(input[bit / 8]) << 8 | u16::from(input[(bit / 8 + 1) % input.len()]);
                (pair >> (8 - bit % 8)) as u8
            };
            let sum = carry + u32::from(byte(start)) + u32::from(out[position % length]);
            out[position % length] = sum as u8;
            carry = sum >> 8;
        }
        for byte in out.iter_mut().rev() {
            if carry == 0 {
                break;
            }
            let sum = u32::from(*byte) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        out
    }

    fn lcm(a: usize, b: usize) -> usize {
        let (mut x, mut y) = (a, b);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        a / x * b
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn rfc_3961_a_1() {
        for (input, length, expected) in [
            ("012345", 8, "be072631276b1955"),
            ("password", 7, "78a07b6caf85fa"),
            ("Rough Consensus, and Running Code", 8, "bb6ed30870b7f0e0"),
            ("password", 21, "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"),
            ("MASSACHVSETTS INSTITVTE OF TECHNOLOGY", 24, "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b"),
            ("Q", 21, "518a54a2 15a8452a 518a54a2 15a8452a 518a54a2 15"),
            ("ba", 21, "fb25d531 ae897449 9f52fd92 ea9857c4 ba24cf29 7e"),
            ("kerberos", 8, "6b65726265726f73"),
            ("kerberos", 16, "6b65726265726f737b9b5b2b93132b93"),
            ("kerberos", 21, "8372c236344e5f1550cd0747e15d62ca7a5a3bcea4"),
            ("kerberos", 32, "6b65726265726f737b9b5b2b93132b935c9bdcdad95c9899c4cae4dee6d6cae4"),
        ] {
            assert_eq!(
                n_fold(input.as_bytes(), length),
                hex(&expected.replace(' ', "")),
                "{length}-fold({input})"
            );
        }
    }

    #[test]
    fn the_short_way_gives_the_same() {
        assert_eq!(n_fold_16(b"kerberos").to_vec(), n_fold(b"kerberos", 16));
        for length in 1..=8usize {
            for usage in 0..2000u64 {
                let bytes = (usage.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ usage).to_be_bytes();
                assert_eq!(n_fold_16(&bytes[..length]).to_vec(), n_fold(&bytes[..length], 16));
            }
        }
        assert_eq!(n_fold_16(&[0xff; 5]).to_vec(), n_fold(&[0xff; 5], 16));
    }
}
