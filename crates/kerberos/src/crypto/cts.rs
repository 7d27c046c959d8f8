//! AES in CBC mode with ciphertext stealing (RFC 3962 5: the CBC-CS3 variant), zero IV, in place.

use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use aes::{Aes128, Aes256};

use crate::Error;

const BLOCK: usize = 16;
type Block = Array<u8, U16>;

/// An AES key schedule for both directions.
#[derive(Clone)]
pub(crate) enum Aes {
    Aes128(Aes128),
    Aes256(Aes256),
}

impl Aes {
    pub(crate) fn new(key: &[u8]) -> Result<Self, Error> {
        match key.len() {
            16 => Aes128::new_from_slice(key).map(Self::Aes128),
            _ => Aes256::new_from_slice(key).map(Self::Aes256),
        }
        .map_err(|_| Error::Usage("an AES key has 16 or 32 bytes"))
    }

    pub(crate) fn encrypt_block(&self, block: &mut [u8; BLOCK]) {
        let mut b = Block::from(*block);
        match self {
            Self::Aes128(aes) => aes.encrypt_block(&mut b),
            Self::Aes256(aes) => aes.encrypt_block(&mut b),
        }
        *block = b.into();
    }

    /// Encrypts in place.
    ///
    /// # Errors
    /// Fewer than 16 bytes.
    pub(crate) fn cts_encrypt(&self, data: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Aes128(aes) => encrypt(aes, data),
            Self::Aes256(aes) => encrypt(aes, data),
        }
        .ok_or(Error::Usage("ciphertext stealing needs a whole block"))
    }

    /// Decrypts in place.
    ///
    /// # Errors
    /// Fewer than 16 bytes.
    pub(crate) fn cts_decrypt(&self, data: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Aes128(aes) => decrypt(aes, data),
            Self::Aes256(aes) => decrypt(aes, data),
        }
        .ok_or(Error::Integrity("a ciphertext shorter than a block"))
    }
}

/// Splits into the blocks chained plainly, the last whole block of those, and the tail of 1 to 16 bytes.
fn split(data: &mut [u8]) -> Option<(&mut [u8], &mut [u8; BLOCK], &mut [u8])> {
    let whole = data.len().checked_sub(1)? / BLOCK * BLOCK;
    let (head, tail) = data.split_at_mut_checked(whole)?;
    let (chain, last) = head.split_last_chunk_mut::<BLOCK>()?;
    Some((chain, last, tail))
}

fn encrypt<C>(aes: &C, data: &mut [u8]) -> Option<()>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    if data.len() == BLOCK {
        let (blocks, _) = Block::slice_as_chunks_mut(data);
        aes.encrypt_blocks(blocks);
        return Some(());
    }
    let whole = data.len().checked_sub(1)? / BLOCK * BLOCK;
    {
        let (blocks, _) = Block::slice_as_chunks_mut(data.get_mut(..whole)?);
        cbc::Encryptor::inner_iv_init(aes, &Block::default()).encrypt_blocks(blocks);
    }
    let (_, last, tail) = split(data)?;
    // The last block is chained as if padded with zeros, then the two change places.
    let mut final_block = Block::from(*last);
    final_block.iter_mut().zip(tail.iter()).for_each(|(b, p)| *b ^= p);
    aes.encrypt_block(&mut final_block);
    tail.copy_from_slice(last.get(..tail.len())?);
    *last = final_block.into();
    Some(())
}

fn decrypt<C>(aes: &C, data: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = U16>,
{
    if data.len() == BLOCK {
        let (blocks, _) = Block::slice_as_chunks_mut(data);
        aes.decrypt_blocks(blocks);
        return Some(());
    }
    let (chain, last, tail) = split(data)?;
    let previous = chain.last_chunk::<BLOCK>().copied().unwrap_or_default();
    {
        let (blocks, _) = Block::slice_as_chunks_mut(chain);
        cbc::Decryptor::inner_iv_init(aes, &Block::default()).decrypt_blocks(blocks);
    }
    let mut stolen = Block::from(*last);
    aes.decrypt_block(&mut stolen);
    // `stolen` is the padded final plaintext, chained; its end is the end of the block before.
    let mut before = stolen;
    before.get_mut(..tail.len())?.copy_from_slice(tail);
    tail.iter_mut().zip(stolen.iter()).for_each(|(t, s)| *t ^= s);
    aes.decrypt_block(&mut before);
    before.iter_mut().zip(previous.iter()).for_each(|(b, p)| *b ^= p);
    *last = before.into();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn rfc_3962_appendix_b() {
        let aes = Aes::new(b"chicken teriyaki").unwrap();
        let plain = b"I would like the General Gau's Chicken, please, and wonton soup.";
        for (length, expected) in [
            (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
            (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
            (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
            (
                47,
                "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5",
            ),
            (
                48,
                "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8",
            ),
            (
                64,
                "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8
                 4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
            ),
        ] {
            let mut data = plain[..length].to_vec();
            aes.cts_encrypt(&mut data).unwrap();
            assert_eq!(data, hex(expected), "{length}");
            aes.cts_decrypt(&mut data).unwrap();
            assert_eq!(data, plain[..length]);
        }
    }

    #[test]
    fn every_length_comes_back() {
        let aes = Aes::new(&[7; 32]).unwrap();
        for length in 0..100u8 {
            let plain: Vec<u8> = (0..length).collect();
            let mut data = plain.clone();
            assert_eq!(aes.cts_encrypt(&mut data).is_ok(), length >= 16);
            if length >= 16 {
                assert_ne!(data, plain);
                aes.cts_decrypt(&mut data).unwrap();
                assert_eq!(data, plain);
            }
        }
    }
}
