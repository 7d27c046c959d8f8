//! Calls of the client's host.

use hop_clixml::{ListKind, Object, Value};

use super::{BodyError, ErrorRecord, int, long, member, object, wrong};

/// The number of calls that want no answer.
pub const NO_RESPONSE: i64 = -100;

macro_rules! methods {
    ($($name:ident = $number:literal),* $(,)?) => {
        /// A method of the host, RemoteHostMethodId ([MS-PSRP] 2.2.3.17).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[allow(missing_docs)]
        pub enum HostMethod {
            $($name = $number,)*
        }

        impl HostMethod {
            /// The method with this number.
            pub fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The method's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

methods! {
    GetName = 1, GetVersion = 2, GetInstanceId = 3, GetCurrentCulture = 4, GetCurrentUICulture = 5,
    SetShouldExit = 6, EnterNestedPrompt = 7, ExitNestedPrompt = 8, NotifyBeginApplication = 9,
    NotifyEndApplication = 10, ReadLine = 11, ReadLineAsSecureString = 12, Write1 = 13, Write2 = 14,
    WriteLine1 = 15, WriteLine2 = 16, WriteLine3 = 17, WriteErrorLine = 18, WriteDebugLine = 19,
    WriteProgress = 20, WriteVerboseLine = 21, WriteWarningLine = 22, Prompt = 23, PromptForCredential1 = 24,
    PromptForCredential2 = 25, PromptForChoice = 26, GetForegroundColor = 27, SetForegroundColor = 28,
    GetBackgroundColor = 29, SetBackgroundColor = 30, GetCursorPosition = 31, SetCursorPosition = 32,
    GetWindowPosition = 33, SetWindowPosition = 34, GetCursorSize = 35, SetCursorSize = 36, GetBufferSize = 37,
    SetBufferSize = 38, GetWindowSize = 39, SetWindowSize = 40, GetWindowTitle = 41, SetWindowTitle = 42,
    GetMaxWindowSize = 43, GetMaxPhysicalWindowSize = 44, GetKeyAvailable = 45, ReadKey = 46,
    FlushInputBuffer = 47, SetBufferContents1 = 48, SetBufferContents2 = 49, GetBufferContents = 50,
    ScrollBufferContents = 51, PushRunspace = 52, PopRunspace = 53, GetIsRunspacePushed = 54, GetRunspace = 55,
    PromptForChoiceMultipleSelection = 56,
}

impl HostMethod {
    /// Whether the caller waits for an answer.
    pub fn has_result(self) -> bool {
        use HostMethod::*;
        matches!(
            self,
            GetName
                | GetVersion
                | GetInstanceId
                | GetCurrentCulture
                | GetCurrentUICulture
                | ReadLine
                | ReadLineAsSecureString
                | Prompt
                | PromptForCredential1
                | PromptForCredential2
                | PromptForChoice
                | PromptForChoiceMultipleSelection
                | GetForegroundColor
                | GetBackgroundColor
                | GetCursorPosition
                | GetWindowPosition
                | GetCursorSize
                | GetBufferSize
                | GetWindowSize
                | GetWindowTitle
                | GetMaxWindowSize
                | GetMaxPhysicalWindowSize
                | GetKeyAvailable
                | ReadKey
                | GetBufferContents
                | GetIsRunspacePushed
                | GetRunspace
        )
    }

    fn to_value(self) -> Value {
        let type_name = "System.Management.Automation.Remoting.RemoteHostMethodId";
        Object::enumeration(type_name, self.name(), self as i32).into()
    }

    fn from_value(value: &Value) -> Result<Self, BodyError> {
        let number = int(value, "mi")?;
        let expected = "RemoteHostMethodId";
        Self::from_number(number).ok_or(BodyError::Number { name: "mi", expected, got: number })
    }
}

/// PIPELINE_HOST_CALL and RUNSPACEPOOL_HOST_CALL ([MS-PSRP] 2.2.2.27, 2.2.2.15).
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    /// The call's number; [`NO_RESPONSE`] if no answer is wanted.
    pub id: i64,
    /// What to do.
    pub method: HostMethod,
    /// With what.
    pub parameters: Vec<Value>,
}

impl HostCall {
    /// The body.
    pub fn to_value(&self) -> Value {
        let parameters = Object::list(
            ["System.Collections.ArrayList", "System.Object"],
            ListKind::List,
            self.parameters.iter().cloned(),
        );
        object([("ci", self.id.into()), ("mi", self.method.to_value()), ("mp", parameters.into())])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let parameters = member(value, "mp")?;
        let parameters =
            parameters.items().ok_or_else(|| wrong(parameters, "mp", "System.Collections.ArrayList"))?;
        Ok(Self {
            id: long(value, "ci")?,
            method: HostMethod::from_value(value)?,
            parameters: parameters.to_vec(),
        })
    }
}

/// PIPELINE_HOST_RESPONSE and RUNSPACEPOOL_HOST_RESPONSE ([MS-PSRP] 2.2.2.28, 2.2.2.16).
#[derive(Clone, Debug, PartialEq)]
pub struct HostResponse {
    /// The call's number.
    pub id: i64,
    /// The call's method.
    pub method: HostMethod,
    /// What came of it.
    pub result: Result<Option<Value>, Box<ErrorRecord>>,
}

impl HostResponse {
    /// The body.
    pub fn to_value(&self) -> Value {
        let mut members = Vec::with_capacity(3);
        match &self.result {
            Ok(Some(value)) => members.push(("mr", value.clone())),
            Ok(None) => {}
            Err(error) => members.push(("me", error.to_value())),
        }
        members.push(("ci", self.id.into()));
        members.push(("mi", self.method.to_value()));
        object(members)
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        Ok(Self {
            id: long(value, "ci")?,
            method: HostMethod::from_value(value)?,
            result: match value.get("me") {
                Some(error) if !error.is_null() => Err(Box::new(ErrorRecord::from_value(error))),
                _ => Ok(value.get("mr").cloned()),
            },
        })
    }
}
