//! Faults: SOAP code, subcode, reason, and `WSManFault` with its number.

use std::fmt;

/// A fault, as a server sends it and a client shows it. [MS-WSMV] 2.2.4.43.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `WSManFault/@Code`; 0 if the fault had none.
    pub code: FaultCode,
    /// True if the sender of the request is to blame (`s:Sender`), false if the receiver (`s:Receiver`).
    pub sender: bool,
    /// Local name of the subcode, for instance `AccessDenied`; empty if there was none.
    pub subcode: String,
    /// The reason, for people: the server's own words.
    pub reason: String,
    /// `WSManFault/Message` with everything in it, if it says anything else than the reason.
    pub message: Option<String>,
    /// Last part of the `FaultDetail` URI, for instance `InvalidResourceURI`.
    pub detail: Option<String>,
    /// `WSManFault/@Machine`: the server's name for itself.
    pub machine: Option<String>,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.reason.trim();
        f.write_str(if text.is_empty() { "the server sent a fault without a reason" } else { text })?;
        if let Some(message) = &self.message
            && message.trim() != text
        {
            write!(f, ": {}", message.trim())?;
        }
        match (self.code.0, self.code.name()) {
            (0, _) if self.subcode.is_empty() => Ok(()),
            (0, _) => write!(f, " ({})", self.subcode),
            (code, Some(name)) => write!(f, " (fault {code}, {name})"),
            (code, None) => write!(f, " (fault {code})"),
        }
    }
}

/// `WSManFault/@Code`: a Win32 error or a WS-Management error (0x8033xxxx), unsigned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultCode(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl FaultCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// A short name for the known codes.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Win32: access denied.
    ACCESS_DENIED = 5, "access denied";
    /// Win32: a parameter is not valid.
    INVALID_PARAMETER = 87, "invalid parameter";
    /// Win32: the operation was ended because the shell or the command went away.
    OPERATION_ABORTED = 995, "operation aborted";
    /// Win32: no logon servers.
    NO_LOGON_SERVERS = 1311, "no logon servers";
    /// Win32: no such logon session.
    NO_SUCH_LOGON_SESSION = 1312, "no such logon session";
    /// Win32: logon failure.
    LOGON_FAILURE = 1326, "logon failure";
    /// SOAP: a header that must be understood is not.
    MUST_UNDERSTAND = 2_150_858_768, "header not understood";
    /// An addressing header is not valid.
    INVALID_ADDRESSING_HEADER = 2_150_858_767, "invalid addressing header";
    /// An addressing header is missing.
    ADDRESSING_HEADER_REQUIRED = 2_150_858_769, "addressing header missing";
    /// The destination cannot be reached.
    DESTINATION_UNREACHABLE = 2_150_858_770, "destination unreachable";
    /// No such action.
    ACTION_NOT_SUPPORTED = 2_150_858_771, "action not supported";
    /// The message is too large.
    MESSAGE_TOO_LARGE = 2_150_858_790, "message too large";
    /// Nothing happened within the operation time-out; on Receive a normal sign of life.
    OPERATION_TIMED_OUT = 2_150_858_793, "operation timed out";
    /// There is such a shell already.
    ALREADY_EXISTS = 2_150_858_803, "already exists";
    /// A limit of the encoding, such as the envelope size.
    ENCODING_LIMIT = 2_150_858_805, "encoding limit";
    /// The endpoint is not known.
    INVALID_RESOURCE_URI = 2_150_858_811, "unknown resource URI";
    /// A quota is used up.
    QUOTA_LIMIT = 2_150_858_815, "quota exceeded";
    /// The envelope is larger than the server's policy allows.
    POLICY_ENVELOPE_TOO_LARGE = 2_150_858_824, "envelope too large for the server's policy";
    /// The envelope is larger than the server can take.
    ENVELOPE_TOO_LARGE = 2_150_858_825, "envelope too large for the server";
    /// The shell does not exist (any more).
    UNKNOWN_SHELL = 2_150_858_843, "shell not found";
    /// The network timed out.
    NETWORK_TIMED_OUT = 2_150_859_046, "network timed out";
    /// There is a Receive already.
    RECEIVE_IN_PROGRESS = 2_150_859_047, "receive in progress";
    /// The shell is closed already.
    SHELL_ALREADY_CLOSED = 2_150_859_082, "shell already closed";
    /// The command is closed already.
    COMMAND_ALREADY_CLOSED = 2_150_859_087, "command already closed";
    /// Redirection asked for.
    REDIRECT_REQUESTED = 2_150_859_161, "redirect requested";
    /// Too many shells for this user.
    MAX_SHELLS = 2_150_859_173, "too many shells of this user";
    /// Too many operations at once for this user.
    MAX_OPERATIONS = 2_150_859_174, "too many operations of this user";
    /// The shell is disconnected.
    SHELL_DISCONNECTED = 2_150_859_204, "shell disconnected";
    /// Shells cannot be disconnected here.
    DISCONNECT_NOT_SUPPORTED = 2_150_859_205, "disconnecting not supported";
    /// The command was terminated.
    COMMAND_TERMINATED = 2_150_859_212, "command terminated";
    /// The shell belongs to another client.
    CONNECTED_TO_DIFFERENT_CLIENT = 2_150_859_213, "shell connected to another client";
    /// The idle time-out is out of bounds.
    IDLE_TIMEOUT_OUT_OF_BOUNDS = 2_150_859_250, "idle time-out out of bounds";
    /// The session could not be started as the user.
    RUN_AS_FAILED = 2_150_859_231, "run as user failed";
}

impl fmt::Debug for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Fault {
    /// A fault with a code, a subcode (local name) and a reason.
    pub fn new(code: FaultCode, sender: bool, subcode: &str, reason: impl Into<String>) -> Self {
        Self {
            code,
            sender,
            subcode: subcode.to_owned(),
            reason: reason.into(),
            message: None,
            detail: None,
            machine: None,
        }
    }

    /// Code 5: the user may not do this.
    pub fn access_denied(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::ACCESS_DENIED, true, "AccessDenied", reason)
    }

    /// The shell does not exist, or belongs to somebody else: the answer is the same.
    pub fn unknown_shell() -> Self {
        Self::new(
            FaultCode::UNKNOWN_SHELL,
            true,
            "InvalidSelectors",
            "no shell with this ShellId exists on the server",
        )
        .with_detail("UnexpectedSelectors")
    }

    /// The command never existed in this shell.
    pub fn unknown_command() -> Self {
        Self::new(
            FaultCode::INVALID_PARAMETER,
            true,
            "InvalidParameter",
            "no command with this CommandId exists in the shell",
        )
    }

    /// Nothing to say within the operation time-out; the client asks again.
    pub fn timed_out() -> Self {
        Self::new(
            FaultCode::OPERATION_TIMED_OUT,
            false,
            "TimedOut",
            "the operation did not complete within its OperationTimeout",
        )
    }

    /// The operation ended because its shell or command went away.
    pub fn aborted(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::OPERATION_ABORTED, false, "InternalError", reason)
    }

    /// The endpoint does not exist here.
    pub fn unknown_resource(uri: &str) -> Self {
        Self::new(
            FaultCode::INVALID_RESOURCE_URI,
            true,
            "DestinationUnreachable",
            format!("the resource URI {uri} does not exist on this server"),
        )
        .with_detail("InvalidResourceURI")
    }

    /// The body is not what the action calls for.
    pub fn schema(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::INVALID_PARAMETER, true, "SchemaValidationError", reason)
    }

    /// The session's process could not be started.
    pub fn run_as_failed(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::RUN_AS_FAILED, false, "InternalError", reason)
    }

    /// The server is broken in some other way.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::new(FaultCode(0), false, "InternalError", reason)
    }

    /// Adds a `FaultDetail`.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }

    /// True for the time-out that a Receive gets as a sign of life.
    pub fn is_timed_out(&self) -> bool {
        self.code == FaultCode::OPERATION_TIMED_OUT || self.subcode == "TimedOut"
    }

    /// The HTTP status that carries this fault.
    pub fn http_status(&self) -> u16 {
        500
    }
}
