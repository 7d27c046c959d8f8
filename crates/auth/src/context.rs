use std::fmt;

use hop_kerberos::gss;

/// An established security context, as far as bodies and SPNEGO need it.
///
/// Sequence numbers and replay protection are the context's own business: messages must be handed over in the
/// order in which they travel.
pub trait SecurityContext: Send + fmt::Debug {
    /// Encrypts a message into a header and a body that travel one after the other.
    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, hop_kerberos::Error>;

    /// Decrypts what the peer's [`wrap`](Self::wrap) made.
    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, hop_kerberos::Error>;

    /// A MIC over a message.
    fn get_mic(&mut self, message: &[u8]) -> Result<Vec<u8>, hop_kerberos::Error>;

    /// Checks the peer's MIC over a message.
    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), hop_kerberos::Error>;
}

/// An encrypted message in WinRM's two pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The piece that WinRM calls the signature: 60 bytes with AES (RFC 4121 with EC = 0 and RRC = 28).
    pub header: Vec<u8>,
    /// The ciphertext.
    pub body: Vec<u8>,
    /// Bytes that the mechanism added to the plaintext before encrypting; part of the announced length.
    pub padding: usize,
}

impl SecurityContext for gss::Context {
    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, hop_kerberos::Error> {
        let (header, body) = self.wrap_detached(plaintext)?;
        Ok(Wrapped { header, body, padding: 0 })
    }

    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, hop_kerberos::Error> {
        self.unwrap_detached(header, body)
    }

    fn get_mic(&mut self, message: &[u8]) -> Result<Vec<u8>, hop_kerberos::Error> {
        gss::Context::get_mic(self, message)
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), hop_kerberos::Error> {
        gss::Context::verify_mic(self, message, mic)
    }
}
