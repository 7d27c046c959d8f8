use std::fmt;

use hop_kerberos::gss;

use crate::{
    Mechanism,
    credssp::CredSspError,
    ntlm::{self, NtlmError},
};

/// A security context that refused a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// Of Kerberos.
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos::Error),
    /// Of NTLM.
    #[error(transparent)]
    Ntlm(#[from] NtlmError),
    /// Of CredSSP's TLS.
    #[error(transparent)]
    CredSsp(#[from] CredSspError),
}

/// An established security context, as far as bodies, SPNEGO and CredSSP need it.
///
/// Sequence numbers and replay protection are the context's own business: messages must be handed over in the
/// order in which they travel.
pub trait SecurityContext: Send + fmt::Debug {
    /// Encrypts a message into a header and a body that travel one after the other.
    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, ContextError>;

    /// Decrypts what the peer's [`wrap`](Self::wrap) made.
    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, ContextError>;

    /// Decrypts header and body in one piece.
    fn unwrap_token(&mut self, token: &[u8]) -> Result<Vec<u8>, ContextError>;

    /// A MIC over a message.
    fn get_mic(&mut self, message: &[u8]) -> Result<Vec<u8>, ContextError>;

    /// Checks the peer's MIC over a message.
    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), ContextError>;

    /// What authenticated the two ends, where that is one mechanism alone.
    fn mechanism(&self) -> Option<Mechanism> {
        None
    }

    /// By how much the body of [`wrap`](Self::wrap) is longer than the plaintext.
    fn padding(&self) -> usize {
        0
    }

    /// A mechListMIC was made (`outgoing`) or verified: NTLM starts its key stream anew ([MS-SPNG] 3.3.5.1).
    fn mech_list_mic_done(&mut self, outgoing: bool) {
        let _ = outgoing;
    }
}

/// An encrypted message in WinRM's two pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The piece that WinRM calls the signature: 60 bytes with AES (RFC 4121 with EC = 0 and RRC = 28), 16 with
    /// NTLM.
    pub header: Vec<u8>,
    /// The ciphertext.
    pub body: Vec<u8>,
    /// Bytes that the mechanism added to the plaintext before encrypting; part of the announced length.
    pub padding: usize,
}

impl SecurityContext for gss::Context {
    fn mechanism(&self) -> Option<Mechanism> {
        Some(Mechanism::Kerberos)
    }

    fn padding(&self) -> usize {
        gss::Context::padding(self)
    }

    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, ContextError> {
        let (header, body) = self.wrap_detached(plaintext)?;
        Ok(Wrapped { header, body, padding: gss::Context::padding(self) })
    }

    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(self.unwrap_detached(header, body)?)
    }

    fn unwrap_token(&mut self, token: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(self.unwrap_detached(token, &[])?)
    }

    fn get_mic(&mut self, message: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(gss::Context::get_mic(self, message)?)
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), ContextError> {
        Ok(gss::Context::verify_mic(self, message, mic)?)
    }
}

impl SecurityContext for ntlm::Context {
    fn mechanism(&self) -> Option<Mechanism> {
        Some(Mechanism::Ntlm)
    }

    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, ContextError> {
        let (header, body) = self.seal(plaintext);
        Ok(Wrapped { header, body, padding: 0 })
    }

    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(self.unseal(header, body)?)
    }

    fn unwrap_token(&mut self, token: &[u8]) -> Result<Vec<u8>, ContextError> {
        let (header, body) =
            token.split_at_checked(16).ok_or(NtlmError::Malformed("a signature has 16 bytes"))?;
        Ok(self.unseal(header, body)?)
    }

    fn get_mic(&mut self, message: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(self.sign(message))
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), ContextError> {
        Ok(self.verify(message, mic)?)
    }

    fn mech_list_mic_done(&mut self, outgoing: bool) {
        if outgoing {
            self.restart_outgoing();
        } else {
            self.restart_incoming();
        }
    }
}
