//! Credential caches that a daemon keeps, SSSD's or Heimdal's, reached over a socket of this machine.

mod protocol;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::{CcacheError, CredentialCache, KdcOffset, encode_credential, encode_principal};
use hop_kerberos::{Credential, Principal};
use hop_secret::SecretBytes;

use crate::Error;
pub(crate) use protocol::Answer;
pub use protocol::KcmError;
use protocol::{MAX_ANSWER, Operation, Request};

/// Where the daemon listens unless `kcm_socket` says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/.heim_org.h5l.kcm-socket";
/// How long the daemon may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far clocks may differ without anybody taking note.
const SKEW: Duration = Duration::from_secs(300);

/// A cache of the KCM daemon, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KcmCcache {
    socket: PathBuf,
    name: String,
}

impl KcmCcache {
    /// The cache of this name (without `KCM:`) of the daemon behind this socket. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::CcacheName`] for a name that the protocol cannot carry.
    pub fn new(socket: impl Into<PathBuf>, name: &str) -> Result<Self, Error> {
        match name.is_empty() || name.contains('\0') {
            true => {
                Err(Error::CcacheName { name: format!("KCM:{name}"), expected: "a name without zero bytes" })
            }
            false => Ok(Self { socket: socket.into(), name: name.to_owned() }),
        }
    }

    /// The user's default cache.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no daemon, [`Error::Kcm`] if it refuses.
    pub fn primary(socket: &Path) -> Result<Self, Error> {
        let mut daemon = Daemon::connect(socket)?;
        let answer = daemon.call(&Request::new(Operation::GetDefaultCache))?;
        let name = daemon.read(&answer, |answer| answer.name())?;
        Self::new(socket, &name)
    }

    /// The user's caches, the default one first.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no daemon, [`Error::Kcm`] if it refuses.
    pub fn all(socket: &Path) -> Result<Vec<Self>, Error> {
        let primary = Self::primary(socket)?;
        let mut daemon = Daemon::connect(socket)?;
        let uuids = match daemon.call(&Request::new(Operation::GetCacheUuidList)) {
            Ok(answer) => daemon.read(&answer, |answer| answer.uuids())?,
            Err(error) if is_missing(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut caches = Vec::new();
        for uuid in uuids {
            match daemon.call(&Request::new(Operation::GetCacheByUuid).bytes(&uuid)) {
                Ok(answer) => {
                    let name = daemon.read(&answer, |answer| answer.name())?;
                    caches.push(Self::new(socket, &name)?);
                }
                // Gone since.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        caches.sort_by_key(|cache| *cache != primary);
        Ok(caches)
    }

    /// A cache of a new name.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no daemon, [`Error::Kcm`] if it refuses.
    pub fn unique(socket: &Path) -> Result<Self, Error> {
        let mut daemon = Daemon::connect(socket)?;
        let answer = daemon.call(&Request::new(Operation::GenNew))?;
        let name = daemon.read(&answer, |answer| answer.name())?;
        Self::new(socket, &name)
    }

    /// The name to put into `KRB5CCNAME`.
    pub fn name(&self) -> String {
        format!("KCM:{}", self.name)
    }

    /// Makes this the user's default cache.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no daemon, [`Error::Kcm`] if it refuses.
    pub fn make_primary(&self) -> Result<(), Error> {
        self.connect()?.call(&self.request(Operation::SetDefaultCache)).map(drop)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn load(&self) -> Result<CredentialCache, Error> {
        let mut daemon = self.connect()?;
        let answer = self.call(&mut daemon, &self.request(Operation::GetPrincipal))?;
        let principal = daemon.read(&answer, |answer| answer.principal())?;
        let entries = self.entries(&mut daemon)?;
        let mut cache = CredentialCache::from_entries(principal, entries);
        // Daemons without this operation keep no difference.
        if let Ok(answer) = daemon.call(&self.request(Operation::GetKdcOffset)) {
            cache.kdc_offset = match daemon.read(&answer, |answer| answer.offset())? {
                0 => None,
                seconds => Some(KdcOffset { seconds, microseconds: 0 })
                    .filter(|offset| is_plausible(*offset, &cache)),
            };
        }
        Ok(cache)
    }

    pub(crate) fn save(&self, content: &CredentialCache) -> Result<(), Error> {
        let principal = self.encoded(encode_principal(&content.principal))?;
        let mut daemon = self.connect()?;
        daemon.call(&self.request(Operation::Initialize).bytes(&principal))?;
        // Also where there is none: see `is_plausible`.
        let offset = content.kdc_offset.map_or(0, |offset| offset.seconds);
        match daemon.call(&self.request(Operation::SetKdcOffset).bytes(&offset.to_be_bytes())) {
            Err(Error::Kcm { source, .. }) if source.is_unsupported() => {}
            other => drop(other?),
        }
        content.entries().iter().try_for_each(|entry| self.add(&mut daemon, entry))
    }

    pub(crate) fn store(&self, credential: &Credential) -> Result<(), Error> {
        // The daemon keeps several tickets for one service; MIT's library takes the first it finds.
        let mut daemon = self.connect()?;
        let known = self.load()?;
        if known.credentials().any(|c| c.server == credential.server && c.client == credential.client) {
            self.remove(&credential.server)?;
        }
        self.add(&mut daemon, credential)
    }

    pub(crate) fn remove(&self, server: &Principal) -> Result<usize, Error> {
        let mut cache = self.load()?;
        let matching: Vec<Credential> =
            cache.credentials().filter(|c| c.server == *server).cloned().collect();
        if matching.is_empty() {
            return Ok(0);
        }
        let mut daemon = self.connect()?;
        let mut refused = false;
        for credential in &matching {
            let tag = self.encoded(match_credential(credential))?;
            match daemon.call(&self.request(Operation::RemoveCred).bytes(&[0; 4]).bytes(&tag)) {
                Err(Error::Kcm { source, .. }) if source.is_unsupported() || source.is_missing() => {
                    refused = true
                }
                other => drop(other?),
            }
        }
        // Some daemons cannot remove, others say that they did and did not.
        if refused || self.load()?.credentials().any(|c| c.server == *server) {
            cache.remove(server);
            self.save(&cache)?;
        }
        Ok(matching.len())
    }

    pub(crate) fn destroy(&self) -> Result<(), Error> {
        match self.connect()?.call(&self.request(Operation::Destroy)) {
            Err(error) if is_missing(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    /// All entries: by MIT's one operation where the daemon knows it, else one by one.
    fn entries(&self, daemon: &mut Daemon<'_>) -> Result<Vec<Credential>, Error> {
        match daemon.call(&self.request(Operation::GetCredList)) {
            Ok(answer) => return daemon.read(&answer, |answer| answer.credentials()),
            Err(Error::Kcm { source, .. }) if source.is_unsupported() => {}
            Err(error) => return Err(error),
        }
        let answer = match daemon.call(&self.request(Operation::GetCredUuidList)) {
            Ok(answer) => answer,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for uuid in daemon.read(&answer, |answer| answer.uuids())? {
            match daemon.call(&self.request(Operation::GetCredByUuid).bytes(&uuid)) {
                Ok(answer) => entries.push(daemon.read(&answer, |answer| answer.credential())?),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn add(&self, daemon: &mut Daemon<'_>, entry: &Credential) -> Result<(), Error> {
        let entry = self.encoded(encode_credential(entry))?;
        self.call(daemon, &self.request(Operation::Store).bytes(&entry)).map(drop)
    }

    fn connect(&self) -> Result<Daemon<'_>, Error> {
        Daemon::connect(&self.socket)
    }

    fn request(&self, operation: Operation) -> Request {
        Request::new(operation).name(&self.name)
    }

    fn call(&self, daemon: &mut Daemon<'_>, request: &Request) -> Result<SecretBytes, Error> {
        daemon.call(request).map_err(|error| match is_missing(&error) {
            true => Error::NoCcache { name: self.name() },
            false => error,
        })
    }

    fn encoded(&self, bytes: Result<Vec<u8>, CcacheError>) -> Result<Vec<u8>, Error> {
        bytes.map_err(|source| Error::Ccache { name: self.name(), source })
    }
}

/// What says which credential is meant: its names, and behind a set of flags (a header of the record) nothing more.
fn match_credential(credential: &Credential) -> Result<Vec<u8>, CcacheError> {
    const CLIENT: u32 = 1;
    const SERVER: u32 = 2;
    let mut tag = (CLIENT | SERVER).to_be_bytes().to_vec();
    tag.extend(encode_principal(&credential.client)?);
    tag.extend(encode_principal(&credential.server)?);
    // Times, is_skey, flags: 4 × 4 + 1 + 4 bytes; no addresses, authorization data or tickets.
    tag.extend([0; 21]);
    Ok(tag)
}

/// Heimdal's daemon, as long as nobody has told it a difference, says what happens to stand in its memory: not
/// believed where it would make a good ticket a bad one.
fn is_plausible(offset: KdcOffset, cache: &CredentialCache) -> bool {
    let now = SystemTime::now();
    cache.tgt().is_none_or(|tgt| {
        let is_good = |now: SystemTime| tgt.auth_time <= now + SKEW && now < tgt.end_time;
        is_good(offset.apply(now)) || !is_good(now)
    })
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Kcm { source, .. } if source.is_missing())
}

/// A connection to the daemon.
struct Daemon<'a> {
    path: &'a Path,
    stream: UnixStream,
}

impl<'a> Daemon<'a> {
    fn connect(path: &'a Path) -> Result<Self, Error> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        match connect() {
            Ok(stream) => Ok(Self { path, stream }),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    /// Asks, and gives the operation's answer back, its status included and found to be good.
    fn call(&mut self, request: &Request) -> Result<SecretBytes, Error> {
        let answer = self.exchange(request.message())?;
        self.read(&answer, |_| Ok(()))?;
        Ok(answer)
    }

    fn read<T>(
        &self,
        answer: &SecretBytes,
        what: impl FnOnce(&Answer<'_>) -> Result<T, KcmError>,
    ) -> Result<T, Error> {
        Answer::parse(answer.expose()).and_then(|answer| what(&answer)).map_err(|source| self.failed(source))
    }

    fn exchange(&mut self, message: &[u8]) -> Result<SecretBytes, Error> {
        let path = self.path;
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::io(path, io::ErrorKind::TimedOut.into()),
            _ => Error::io(path, error),
        };
        let length = u32::try_from(message.len()).map_err(|error| io(io::Error::other(error)))?;
        let message = SecretBytes::new([&length.to_be_bytes(), message].concat());
        self.stream.write_all(message.expose()).map_err(io)?;
        let mut number = || {
            let mut bytes = [0; 4];
            self.stream.read_exact(&mut bytes).map(|()| u32::from_be_bytes(bytes)).map_err(io)
        };
        let (length, status) = (number()? as usize, number()?);
        if length > MAX_ANSWER {
            return Err(self.failed(KcmError::TooLong { length, limit: MAX_ANSWER }));
        }
        let mut answer = Vec::new();
        (&self.stream).take(length as u64).read_to_end(&mut answer).map_err(io)?;
        if answer.len() < length {
            return Err(io(io::ErrorKind::UnexpectedEof.into()));
        }
        match status {
            0 => Ok(answer.into()),
            status => Err(self.failed(KcmError::Refused(status.cast_signed()))),
        }
    }

    fn failed(&self, source: KcmError) -> Error {
        Error::Kcm { name: self.path.display().to_string(), source }
    }
}
