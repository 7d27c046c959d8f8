//! States of pools and pipelines, availability of runspaces, events.

use hop_clixml::{DateTime, ListKind, Object, Uuid, Value};

use super::{BodyError, ErrorRecord, int, long, member, object, wrong};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// The state with this number.
            pub fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

states! {
    /// State of a runspace pool ([MS-PSRP] 2.2.3.4).
    PoolState {
        /// Not opened yet.
        BeforeOpen = 0,
        /// On the way to Opened.
        Opening = 1,
        /// Ready.
        Opened = 2,
        /// Closed.
        Closed = 3,
        /// On the way to Closed.
        Closing = 4,
        /// Unusable.
        Broken = 5,
        /// The versions were sent.
        NegotiationSent = 6,
        /// The versions fit.
        NegotiationSucceeded = 7,
        /// A client connects to a disconnected pool.
        Connecting = 8,
        /// Without a client.
        Disconnected = 9,
    }
}

states! {
    /// State of a pipeline ([MS-PSRP] 2.2.3.5).
    PipelineState {
        /// Not started.
        NotStarted = 0,
        /// Running.
        Running = 1,
        /// On the way to Stopped.
        Stopping = 2,
        /// Stopped on demand.
        Stopped = 3,
        /// Ended by itself.
        Completed = 4,
        /// Ended by an error.
        Failed = 5,
        /// Its pool has no client.
        Disconnected = 6,
    }
}

/// RUNSPACEPOOL_STATE ([MS-PSRP] 2.2.2.9).
#[derive(Clone, Debug, PartialEq)]
pub struct PoolStateInfo {
    /// The new state.
    pub state: PoolState,
    /// Why, if it is Broken.
    pub error: Option<ErrorRecord>,
}

impl PoolStateInfo {
    /// The body.
    pub fn to_value(&self) -> Value {
        state_value("RunspaceState", self.state as i32, self.error.as_ref())
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let state = PoolState::from_number(int(value, "RunspaceState")?);
        let state = state.ok_or_else(|| wrong(value, "RunspaceState", "RunspacePoolState"))?;
        Ok(Self { state, error: value.get("ExceptionAsErrorRecord").map(ErrorRecord::from_value) })
    }
}

/// PIPELINE_STATE ([MS-PSRP] 2.2.2.21).
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineStateInfo {
    /// The new state.
    pub state: PipelineState,
    /// Why, if it is Failed or Stopped.
    pub error: Option<ErrorRecord>,
}

impl PipelineStateInfo {
    /// The body.
    pub fn to_value(&self) -> Value {
        state_value("PipelineState", self.state as i32, self.error.as_ref())
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let state = PipelineState::from_number(int(value, "PipelineState")?);
        let state = state.ok_or_else(|| wrong(value, "PipelineState", "PSInvocationState"))?;
        Ok(Self { state, error: value.get("ExceptionAsErrorRecord").map(ErrorRecord::from_value) })
    }
}

fn state_value(name: &'static str, state: i32, error: Option<&ErrorRecord>) -> Value {
    let mut members = vec![(name, Value::from(state))];
    members.extend(error.map(|error| ("ExceptionAsErrorRecord", error.to_value())));
    object(members)
}

/// What a client asks about runspaces: the bodies of SET_MAX_RUNSPACES, SET_MIN_RUNSPACES,
/// GET_AVAILABLE_RUNSPACES and RESET_RUNSPACE_STATE ([MS-PSRP] 2.2.2.6, 2.2.2.7, 2.2.2.11, 2.2.2.32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvailabilityRequest {
    /// A new maximum.
    SetMax(i32),
    /// A new minimum.
    SetMin(i32),
    /// How many runspaces are free?
    GetAvailable,
    /// Forget variables of the runspace.
    Reset,
}

impl AvailabilityRequest {
    /// The body with the number of the call.
    pub fn to_value(self, call: i64) -> Value {
        let mut members = match self {
            Self::SetMax(count) => vec![("MaxRunspaces", Value::from(count))],
            Self::SetMin(count) => vec![("MinRunspaces", Value::from(count))],
            Self::GetAvailable | Self::Reset => Vec::new(),
        };
        members.push(("ci", call.into()));
        object(members)
    }
}

/// RUNSPACE_AVAILABILITY ([MS-PSRP] 2.2.2.8): the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Whether it was done.
    Done(bool),
    /// How many runspaces are free.
    Free(i32),
}

impl Availability {
    /// The body with the number of the call.
    pub fn to_value(self, call: i64) -> Value {
        let answer = match self {
            Self::Done(done) => Value::Bool(done),
            Self::Free(count) => Value::Int32(count),
        };
        object([("SetMinMaxRunspacesResponse", answer), ("ci", call.into())])
    }

    /// Reads the body: the number of the call and the answer.
    pub fn from_value(value: &Value) -> Result<(i64, Self), BodyError> {
        let answer = member(value, "SetMinMaxRunspacesResponse")?;
        let call = long(value, "ci")?;
        match answer.primitive() {
            Value::Bool(done) => Ok((call, Self::Done(*done))),
            Value::Int32(count) => Ok((call, Self::Free(*count))),
            // Windows counts in 64 bits.
            Value::Int64(count) => Ok((call, Self::Free(i32::try_from(*count).unwrap_or(i32::MAX)))),
            _ => Err(wrong(answer, "SetMinMaxRunspacesResponse", "System.Boolean")),
        }
    }
}

/// USER_EVENT ([MS-PSRP] 2.2.2.12).
#[derive(Clone, Debug, PartialEq)]
pub struct UserEvent {
    /// Number of the event.
    pub event_id: i32,
    /// Name of the event's source.
    pub source: String,
    /// When.
    pub time: Option<DateTime>,
    /// Who raised it.
    pub sender: Value,
    /// Arguments.
    pub arguments: Vec<Value>,
    /// Data with it.
    pub data: Value,
    /// The runspace.
    pub runspace: Uuid,
}

impl UserEvent {
    /// The body.
    pub fn to_value(&self) -> Value {
        let arguments = Object::list(
            ["System.Object[]", "System.Array", "System.Object"],
            ListKind::List,
            self.arguments.iter().cloned(),
        );
        object([
            ("PSEventArgs.EventIdentifier", self.event_id.into()),
            ("PSEventArgs.SourceIdentifier", self.source.as_str().into()),
            ("PSEventArgs.TimeGenerated", self.time.into()),
            ("PSEventArgs.Sender", self.sender.clone()),
            ("PSEventArgs.SourceArgs", arguments.into()),
            ("PSEventArgs.MessageData", self.data.clone()),
            ("PSEventArgs.ComputerName", Value::Null),
            ("PSEventArgs.RunspaceId", self.runspace.into()),
        ])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let get = |name: &str| value.get(name).cloned().unwrap_or_default();
        Ok(Self {
            event_id: int(value, "PSEventArgs.EventIdentifier")?,
            source: get("PSEventArgs.SourceIdentifier").as_str().unwrap_or_default().to_owned(),
            time: match get("PSEventArgs.TimeGenerated") {
                Value::DateTime(time) => Some(time),
                _ => None,
            },
            sender: get("PSEventArgs.Sender"),
            arguments: get("PSEventArgs.SourceArgs").items().unwrap_or_default().to_vec(),
            data: get("PSEventArgs.MessageData"),
            runspace: match get("PSEventArgs.RunspaceId") {
                Value::Guid(id) => id,
                _ => Uuid::nil(),
            },
        })
    }
}
