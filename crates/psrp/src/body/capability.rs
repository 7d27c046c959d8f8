//! How a session begins: versions, the pool's settings, the client's host, data of the server.

use hop_clixml::{Content, Object, Value, Version};

use super::{BodyError, boolean, int, member, object, wrong};

/// SESSION_CAPABILITY ([MS-PSRP] 2.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCapability {
    /// The protocol's version. Secure strings travel unencrypted from 2.4 on.
    pub protocol: Version,
    /// Always 2.0.
    pub powershell: Version,
    /// Always 1.1.0.1.
    pub serialization: Version,
}

impl SessionCapability {
    /// The given version of the protocol with the usual other two.
    pub const fn new(protocol: Version) -> Self {
        let serialization = Version { major: 1, minor: 1, build: Some(0), revision: Some(1) };
        Self { protocol, powershell: Version::new(2, 0), serialization }
    }

    /// The body.
    pub fn to_value(&self) -> Value {
        object([
            ("protocolversion", self.protocol.into()),
            ("PSVersion", self.powershell.into()),
            ("SerializationVersion", self.serialization.into()),
        ])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let version = |name| {
            let value = member(value, name)?;
            match value.primitive() {
                Value::Version(version) => Ok(*version),
                _ => Err(wrong(value, name, "System.Version")),
            }
        };
        Ok(Self {
            protocol: version("protocolversion")?,
            powershell: version("PSVersion")?,
            serialization: version("SerializationVersion")?,
        })
    }
}

/// INIT_RUNSPACEPOOL ([MS-PSRP] 2.2.2.2).
#[derive(Clone, Debug, PartialEq)]
pub struct InitRunspacePool {
    /// Least number of runspaces, from 1.
    pub min_runspaces: i32,
    /// Most runspaces, that is pipelines at a time.
    pub max_runspaces: i32,
    /// PSThreadOptions: 0 Default, 1 UseNewThread, 2 ReuseThread, 3 UseCurrentThread.
    pub thread_options: i32,
    /// ApartmentState: 0 STA, 1 MTA, 2 Unknown.
    pub apartment_state: i32,
    /// What the client passes along: `$PSSenderInfo.ApplicationArguments`.
    pub application_arguments: Value,
    /// The client's host.
    pub host: HostInfo,
}

impl InitRunspacePool {
    /// The body.
    pub fn to_value(&self) -> Value {
        let options = ["Default", "UseNewThread", "ReuseThread", "UseCurrentThread"];
        let option =
            usize::try_from(self.thread_options).ok().and_then(|at| options.get(at)).unwrap_or(&"Default");
        object([
            ("MinRunspaces", self.min_runspaces.into()),
            ("MaxRunspaces", self.max_runspaces.into()),
            (
                "PSThreadOptions",
                Object::enumeration(
                    "System.Management.Automation.Runspaces.PSThreadOptions",
                    option,
                    self.thread_options,
                )
                .into(),
            ),
            ("ApartmentState", apartment_state(self.apartment_state)),
            ("ApplicationArguments", self.application_arguments.clone()),
            ("HostInfo", self.host.to_value()),
        ])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        Ok(Self {
            min_runspaces: int(value, "MinRunspaces")?,
            max_runspaces: int(value, "MaxRunspaces")?,
            thread_options: int(value, "PSThreadOptions")?,
            apartment_state: int(value, "ApartmentState")?,
            host: HostInfo::from_value(member(value, "HostInfo")?)?,
            application_arguments: member(value, "ApplicationArguments")?.clone(),
        })
    }
}

pub(super) fn apartment_state(state: i32) -> Value {
    let name = match state {
        0 => "STA",
        1 => "MTA",
        _ => "Unknown",
    };
    Object::enumeration("System.Threading.ApartmentState", name, state).into()
}

/// A dictionary of the kind that may travel as application data: PSPrimitiveDictionary.
pub fn primitive_dictionary(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Object::dictionary(
        [
            "System.Management.Automation.PSPrimitiveDictionary",
            "System.Collections.Hashtable",
            "System.Object",
        ],
        entries.into_iter().map(|(key, value)| (key.into(), value)),
    )
    .into()
}

/// `$PSVersionTable` as both ends tell it each other.
pub fn version_table(version: &str, os: &str) -> Value {
    let compatible = ["1.0", "2.0", "3.0", "4.0", "5.0", "5.1", "6.0", "7.0"];
    let compatible = compatible.into_iter().filter_map(Version::parse).map(Value::Version);
    primitive_dictionary([
        ("PSVersion", Version::parse(version).unwrap_or(Version::new(7, 6)).into()),
        ("PSEdition", "Core".into()),
        ("GitCommitId", version.into()),
        ("OS", os.into()),
        ("Platform", "Unix".into()),
        (
            "PSCompatibleVersions",
            Object::list(
                ["System.Version[]", "System.Array", "System.Object"],
                hop_clixml::ListKind::List,
                compatible,
            )
            .into(),
        ),
        ("PSRemotingProtocolVersion", crate::PROTOCOL_VERSION.into()),
        ("SerializationVersion", SessionCapability::new(crate::PROTOCOL_VERSION).serialization.into()),
        ("WSManStackVersion", Version::new(3, 0).into()),
        ("PSSemanticVersion", version.into()),
    ])
}

/// APPLICATION_PRIVATE_DATA ([MS-PSRP] 2.2.2.13).
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationPrivateData(
    /// A dictionary with `PSVersionTable` and, if the server has a debugger, its state.
    pub Value,
);

impl ApplicationPrivateData {
    /// What a server without a debugger says.
    pub fn new(version_table: Value) -> Self {
        Self(primitive_dictionary([("PSVersionTable", version_table)]))
    }

    /// The body.
    pub fn to_value(&self) -> Value {
        object([("ApplicationPrivateData", self.0.clone())])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        member(value, "ApplicationPrivateData").cloned().map(Self)
    }
}

/// A position on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coordinates {
    /// Column, from 0.
    pub x: i32,
    /// Row, from 0.
    pub y: i32,
}

/// A size in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: i32,
    /// Rows.
    pub height: i32,
}

/// What the client's raw user interface looks like ([MS-PSRP] 2.2.3.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDefaultData {
    /// Number of a ConsoleColor, -1 unknown.
    pub foreground: i32,
    /// Number of a ConsoleColor, -1 unknown.
    pub background: i32,
    /// The cursor.
    pub cursor: Coordinates,
    /// The window's place in the buffer.
    pub window_position: Coordinates,
    /// Percent of a character cell.
    pub cursor_size: i32,
    /// The buffer.
    pub buffer_size: Size,
    /// The window.
    pub window_size: Size,
    /// The largest window for the buffer.
    pub max_window_size: Size,
    /// The largest window for the screen.
    pub max_physical_window_size: Size,
    /// The window's title.
    pub window_title: String,
}

impl HostDefaultData {
    /// A screen of the given size, all else unknown.
    pub fn new(size: Size) -> Self {
        Self {
            foreground: -1,
            background: -1,
            cursor: Coordinates::default(),
            window_position: Coordinates::default(),
            cursor_size: 100,
            buffer_size: size,
            window_size: size,
            max_window_size: size,
            max_physical_window_size: size,
            window_title: String::new(),
        }
    }

    fn to_value(&self) -> Value {
        let item = |type_name: &str, value: Value| object([("T", type_name.into()), ("V", value)]);
        let coordinates = |at: Coordinates| {
            let value = object([("x", at.x.into()), ("y", at.y.into())]);
            item("System.Management.Automation.Host.Coordinates", value)
        };
        let size = |size: Size| {
            let value = object([("width", size.width.into()), ("height", size.height.into())]);
            item("System.Management.Automation.Host.Size", value)
        };
        let entries = [
            (9, item("System.String", self.window_title.as_str().into())),
            (8, size(self.max_physical_window_size)),
            (7, size(self.max_window_size)),
            (6, size(self.window_size)),
            (5, size(self.buffer_size)),
            (4, item("System.Int32", self.cursor_size.into())),
            (3, coordinates(self.window_position)),
            (2, coordinates(self.cursor)),
            (1, item("System.ConsoleColor", self.background.into())),
            (0, item("System.ConsoleColor", self.foreground.into())),
        ];
        let entries = entries.into_iter().map(|(key, value)| (Value::Int32(key), value));
        let data = Object::dictionary(["System.Collections.Hashtable", "System.Object"], entries);
        object([("data", data.into())])
    }

    fn from_value(value: &Value) -> Option<Self> {
        let entries = value.get("data")?.as_object()?.entries()?;
        let item = |key: i32| {
            let (_, value) = entries.iter().find(|(k, _)| k.as_i32() == Some(key))?;
            value.get("V")
        };
        let number = |key| item(key).and_then(Value::as_i32);
        let pair = |key, a, b| Some((item(key)?.get(a)?.as_i32()?, item(key)?.get(b)?.as_i32()?));
        let coordinates = |key| pair(key, "x", "y").map(|(x, y)| Coordinates { x, y });
        let size = |key| pair(key, "width", "height").map(|(width, height)| Size { width, height });
        Some(Self {
            foreground: number(0)?,
            background: number(1)?,
            cursor: coordinates(2)?,
            window_position: coordinates(3)?,
            cursor_size: number(4)?,
            buffer_size: size(5)?,
            window_size: size(6)?,
            max_window_size: size(7)?,
            max_physical_window_size: size(8)?,
            window_title: item(9)?.as_str()?.to_owned(),
        })
    }
}

/// What the client's host can do ([MS-PSRP] 2.2.3.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInfo {
    /// There is no host at all.
    pub host_null: bool,
    /// The host has no user interface.
    pub ui_null: bool,
    /// The user interface has no raw one.
    pub raw_ui_null: bool,
    /// In a pipeline: the pool's host is to be used.
    pub use_runspace_host: bool,
    /// The raw user interface.
    pub default_data: Option<HostDefaultData>,
}

impl HostInfo {
    /// No host.
    pub fn none() -> Self {
        Self {
            host_null: true,
            ui_null: true,
            raw_ui_null: true,
            use_runspace_host: false,
            default_data: None,
        }
    }

    /// In a pipeline: the pool's host.
    pub fn of_pool() -> Self {
        Self { use_runspace_host: true, ..Self::none() }
    }

    /// A host with a screen.
    pub fn with_screen(data: HostDefaultData) -> Self {
        Self {
            host_null: false,
            ui_null: false,
            raw_ui_null: false,
            use_runspace_host: false,
            default_data: Some(data),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut members = vec![
            ("_isHostUINull", self.ui_null.into()),
            ("_isHostRawUINull", self.raw_ui_null.into()),
            ("_isHostNull", self.host_null.into()),
        ];
        if let Some(data) = &self.default_data {
            members.push(("_hostDefaultData", data.to_value()));
        }
        members.push(("_useRunspaceHost", self.use_runspace_host.into()));
        object(members)
    }

    pub(super) fn from_value(value: &Value) -> Result<Self, BodyError> {
        let null = |name| boolean(value, name);
        Ok(Self {
            host_null: null("_isHostNull")?,
            ui_null: null("_isHostUINull")?,
            raw_ui_null: null("_isHostRawUINull")?,
            use_runspace_host: null("_useRunspaceHost")?,
            default_data: value.get("_hostDefaultData").and_then(HostDefaultData::from_value),
        })
    }
}

/// The entry of a dictionary with a text key, compared without case.
pub fn entry<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match &value.as_object()?.content {
        Content::Dictionary(entries) => entries
            .iter()
            .find(|(k, _)| k.as_str().is_some_and(|k| k.eq_ignore_ascii_case(key)))
            .map(|(_, v)| v),
        _ => None,
    }
}
