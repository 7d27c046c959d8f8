//! From an element tree to typed messages.

use std::time::Duration;

use base64::{
    alphabet,
    engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    duration::parse_duration,
    envelope::{Envelope, Header, Limits, ParseError, Rejected},
    fault::{Fault, FaultCode},
    ids::{CommandId, MessageId, ShellId},
    message::{
        CommandLine, CommandState, CreateResponse, CreateShell, IdentifyResponse, Operation,
        OperationResponse, ReceiveResponse, Request, Response, Selector, Signal, Stream,
    },
    uri,
    xml::{self, Element},
};

type Result<T, E = ParseError> = std::result::Result<T, E>;

pub(crate) fn request(bytes: &[u8], limits: &Limits) -> Result<Request, Rejected> {
    let reject = |message_id: Option<&MessageId>| {
        let message_id = message_id.cloned();
        move |error| Rejected { error, message_id }
    };
    let (header, body) = parts(bytes, limits).map_err(reject(None))?;
    if let Some(content) = body.children.first()
        && identify_namespace(content, "Identify").is_some()
    {
        return Ok(Envelope { header: Header::default(), body: Operation::Identify });
    }
    let message_id = header.child(uri::ADDRESSING, "MessageID").and_then(|e| MessageId::parse(&e.text));
    let fields = self::header(&header).map_err(reject(message_id.as_ref()))?;
    let action = header.child(uri::ADDRESSING, "Action").map(Element::trimmed);
    let operation = action
        .ok_or(ParseError::Missing("Action"))
        .and_then(|action| operation(action, &body))
        .map_err(reject(message_id.as_ref()))?;
    if message_id.is_none() {
        return Err(Rejected { error: ParseError::Missing("MessageID"), message_id });
    }
    Ok(Envelope { header: fields, body: operation })
}

/// The namespace of an element of Identify: there are two spellings.
fn identify_namespace(element: &Element, name: &str) -> Option<&'static str> {
    [uri::IDENTIFY, uri::IDENTIFY_OF_SPECIFICATION].into_iter().find(|namespace| element.is(namespace, name))
}

pub(crate) fn response(bytes: &[u8], limits: &Limits) -> Result<Response> {
    let (header, body) = parts(bytes, limits)?;
    let fields = self::header(&header)?;
    // The rest says nothing to a client.
    let fields = Header { message_id: fields.message_id, relates_to: fields.relates_to, ..Header::default() };
    let content = body.children.first();
    if let Some(element) = content
        && element.is(uri::SOAP, "Fault")
    {
        return Ok(Envelope { header: fields, body: Err(fault(element)) });
    }
    if let Some(element) = content
        && let Some(namespace) = identify_namespace(element, "IdentifyResponse")
    {
        let text = |name| element.child(namespace, name).map(|e| e.trimmed().to_owned()).unwrap_or_default();
        let identify = IdentifyResponse {
            protocol_version: text("ProtocolVersion"),
            product_vendor: text("ProductVendor"),
            product_version: text("ProductVersion"),
        };
        return Ok(Envelope { header: fields, body: Ok(OperationResponse::Identify(identify)) });
    }
    let action = header.child(uri::ADDRESSING, "Action").map(Element::trimmed).unwrap_or_default();
    let operation = match action.strip_suffix("Response").unwrap_or_default() {
        uri::CREATE => OperationResponse::Create(create_response(&body)?),
        uri::DELETE => OperationResponse::Delete,
        uri::COMMAND => {
            let id = body.child(uri::SHELL, "CommandResponse").and_then(|r| r.child(uri::SHELL, "CommandId"));
            let id = id.ok_or(ParseError::Missing("CommandId"))?;
            OperationResponse::Command(CommandId::parse(&id.text).ok_or(ParseError::Invalid("CommandId"))?)
        }
        uri::SEND => OperationResponse::Send,
        uri::SIGNAL => OperationResponse::Signal,
        uri::RECEIVE => OperationResponse::Receive(receive_response(&body)?),
        _ => return Err(ParseError::Action(action.to_owned())),
    };
    Ok(Envelope { header: fields, body: Ok(operation) })
}

/// Base64, white space ignored, padding optional.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if text.bytes().any(|b| b.is_ascii_whitespace()) {
        let dense: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        return ENGINE.decode(dense).ok();
    }
    ENGINE.decode(text).ok()
}

/// Header (empty if there is none) and body of an envelope.
fn parts(bytes: &[u8], limits: &Limits) -> Result<(Element, Element)> {
    let root = xml::parse(bytes, limits)?;
    if !root.is(uri::SOAP, "Envelope") {
        return Err(ParseError::Invalid("Envelope"));
    }
    let (mut header, mut body) = (None, None);
    for child in root.children {
        if child.is(uri::SOAP, "Header") && header.is_none() && body.is_none() {
            header = Some(child);
        } else if child.is(uri::SOAP, "Body") && body.is_none() {
            body = Some(child);
        } else {
            return Err(ParseError::Invalid("Envelope"));
        }
    }
    Ok((header.unwrap_or_default(), body.ok_or(ParseError::Missing("Body"))?))
}

fn header(header: &Element) -> Result<Header> {
    let mut fields = Header::default();
    for element in &header.children {
        let text = element.trimmed();
        match (element.namespace.as_str(), element.name.as_str()) {
            (uri::ADDRESSING, "To") => fields.to = Some(text.to_owned()),
            (uri::ADDRESSING, "MessageID") => fields.message_id = MessageId::parse(text),
            (uri::ADDRESSING, "RelatesTo") => fields.relates_to = MessageId::parse(text),
            (uri::ADDRESSING, "ReplyTo" | "FaultTo") => {
                let address = element.child(uri::ADDRESSING, "Address").map(Element::trimmed);
                if address != Some(uri::ANONYMOUS) {
                    return Err(ParseError::ReplyTo);
                }
            }
            (uri::ADDRESSING, "Action" | "From") => {}
            (uri::WSMAN, "ResourceURI") => fields.resource_uri = Some(text.to_owned()),
            (uri::WSMAN, "MaxEnvelopeSize") => {
                fields.max_envelope_size =
                    Some(text.parse().map_err(|_| ParseError::Invalid("MaxEnvelopeSize"))?);
            }
            (uri::WSMAN, "OperationTimeout") => {
                fields.operation_timeout =
                    Some(parse_duration(text).ok_or(ParseError::Invalid("OperationTimeout"))?);
            }
            (uri::WSMAN, "Locale") => fields.locale = lang(element),
            (uri::MS_WSMAN, "DataLocale") => fields.data_locale = lang(element),
            (uri::MS_WSMAN, "SessionId") => fields.session_id = Some(text.to_owned()),
            (uri::MS_WSMAN, "OperationID" | "SequenceId" | "ActivityId") => {}
            (uri::WSMAN, "OptionSet") => fields.options = named_values(element, "Option")?,
            (uri::WSMAN, "SelectorSet") => fields.selectors = named_values(element, "Selector")?,
            _ => {
                let must = element.attribute_ns(uri::SOAP, "mustUnderstand");
                if must.is_some_and(|value| matches!(value.trim(), "1" | "true")) {
                    return Err(ParseError::MustUnderstand(element.name.clone()));
                }
            }
        }
    }
    Ok(fields)
}

fn lang(element: &Element) -> Option<String> {
    element.attribute_ns(uri::XML, "lang").map(str::to_owned)
}

fn named_values(set: &Element, name: &'static str) -> Result<Vec<Selector>> {
    set.children_named(uri::WSMAN, name)
        .map(|element| {
            let name = element.attribute("Name").ok_or(ParseError::Missing("Name"))?;
            Ok(Selector { name: name.to_owned(), value: element.trimmed().to_owned() })
        })
        .collect()
}

fn operation(action: &str, body: &Element) -> Result<Operation> {
    let shell_child = |name| body.child(uri::SHELL, name).ok_or(ParseError::Missing(name));
    Ok(match action {
        uri::CREATE => Operation::Create(create(shell_child("Shell")?)?),
        uri::DELETE => Operation::Delete,
        uri::COMMAND => {
            let line = shell_child("CommandLine")?;
            Operation::Command(CommandLine {
                command_id: command_id(line)?,
                // Blanks matter here.
                command: line.child(uri::SHELL, "Command").map(|e| e.text.clone()).unwrap_or_default(),
                arguments: line.children_named(uri::SHELL, "Arguments").map(|e| e.text.clone()).collect(),
            })
        }
        uri::SEND => Operation::Send(streams(shell_child("Send")?)?),
        uri::RECEIVE => {
            let desired = shell_child("Receive")?.child(uri::SHELL, "DesiredStream");
            let desired = desired.ok_or(ParseError::Missing("DesiredStream"))?;
            Operation::Receive { command: command_id(desired)?, streams: words(desired) }
        }
        uri::SIGNAL => {
            let signal = shell_child("Signal")?;
            let code = signal.child(uri::SHELL, "Code").ok_or(ParseError::Missing("Code"))?;
            Operation::Signal { command: command_id(signal)?, signal: Signal::from_uri(&code.text) }
        }
        uri::CONNECT => Operation::Connect,
        uri::DISCONNECT => Operation::Disconnect,
        uri::RECONNECT => Operation::Reconnect,
        uri::GET => Operation::Get,
        uri::ENUMERATE => Operation::Enumerate,
        other => return Err(ParseError::Action(other.to_owned())),
    })
}

fn create(shell: &Element) -> Result<CreateShell> {
    let text = |name| shell.child(uri::SHELL, name).map(|e| e.trimmed().to_owned());
    let list = |name| shell.child(uri::SHELL, name).map(words).unwrap_or_default();
    let shell_id = match shell.attribute("ShellId") {
        Some(id) => Some(ShellId::parse(id).ok_or(ParseError::Invalid("ShellId"))?),
        None => None,
    };
    let mut environment = Vec::new();
    if let Some(variables) = shell.child(uri::SHELL, "Environment") {
        for variable in variables.children_named(uri::SHELL, "Variable") {
            let name = variable.attribute("Name").ok_or(ParseError::Missing("Name"))?;
            environment.push((name.to_owned(), variable.text.clone()));
        }
    }
    let creation_xml = match shell.child(uri::POWERSHELL, "creationXml") {
        Some(blob) => Some(base64(&blob.text).ok_or(ParseError::Invalid("creationXml"))?),
        None => None,
    };
    Ok(CreateShell {
        name: shell.attribute("Name").map(str::to_owned),
        shell_id,
        input_streams: list("InputStreams"),
        output_streams: list("OutputStreams"),
        working_directory: text("WorkingDirectory"),
        environment,
        idle_timeout: idle_timeout(shell)?,
        creation_xml,
    })
}

fn idle_timeout(shell: &Element) -> Result<Option<Duration>> {
    // [MS-WSMV] spells it IdleTimeOut; some clients write IdleTimeout.
    let element = shell.child(uri::SHELL, "IdleTimeOut").or_else(|| shell.child(uri::SHELL, "IdleTimeout"));
    match element {
        Some(element) => parse_duration(&element.text).map(Some).ok_or(ParseError::Invalid("IdleTimeOut")),
        None => Ok(None),
    }
}

fn create_response(body: &Element) -> Result<CreateResponse> {
    let created = body
        .child(uri::TRANSFER, "ResourceCreated")
        .and_then(|created| created.child(uri::ADDRESSING, "ReferenceParameters"));
    let shell = body.child(uri::SHELL, "Shell");
    let text = |name| shell.and_then(|s| s.child(uri::SHELL, name)).map(|e| e.trimmed().to_owned());
    let list = |name| shell.and_then(|s| s.child(uri::SHELL, name)).map(words).unwrap_or_default();
    let selector = created
        .and_then(|c| c.child(uri::WSMAN, "SelectorSet"))
        .and_then(|set| set.children.iter().find(|s| s.attribute("Name") == Some("ShellId")))
        .map(|s| s.trimmed().to_owned());
    let shell_id = selector.or_else(|| text("ShellId")).ok_or(ParseError::Missing("ShellId"))?;
    let early_output = match body.child(uri::EXTENSION, "EarlyOutput") {
        Some(blob) => Some(base64(&blob.text).ok_or(ParseError::Invalid("EarlyOutput"))?),
        None => None,
    };
    Ok(CreateResponse {
        shell_id: ShellId::parse(&shell_id).ok_or(ParseError::Invalid("ShellId"))?,
        resource_uri: created
            .and_then(|c| c.child(uri::WSMAN, "ResourceURI"))
            .map(|e| e.trimmed().to_owned())
            .or_else(|| text("ResourceUri"))
            .unwrap_or_default(),
        owner: text("Owner"),
        client_ip: text("ClientIP"),
        idle_timeout: match shell {
            Some(shell) => idle_timeout(shell)?,
            None => None,
        },
        input_streams: list("InputStreams"),
        output_streams: list("OutputStreams"),
        early_output,
    })
}

fn receive_response(body: &Element) -> Result<ReceiveResponse> {
    let response = body.child(uri::SHELL, "ReceiveResponse").ok_or(ParseError::Missing("ReceiveResponse"))?;
    let state = match response.child(uri::SHELL, "CommandState") {
        Some(state) => Some(command_state(state)?),
        None => None,
    };
    Ok(ReceiveResponse { streams: streams(response)?, state })
}

fn command_state(state: &Element) -> Result<CommandState> {
    let command = command_id(state)?.ok_or(ParseError::Missing("CommandId"))?;
    let name = state.attribute("State").ok_or(ParseError::Missing("State"))?;
    Ok(match name.rsplit('/').next() {
        Some("Done") => CommandState::Done {
            command,
            exit_code: match state.child(uri::SHELL, "ExitCode") {
                // Windows writes exit codes above 2^31 unsigned.
                Some(code) => {
                    Some(code.trimmed().parse::<i64>().map_err(|_| ParseError::Invalid("ExitCode"))? as i32)
                }
                None => None,
            },
        },
        Some("Pending") => CommandState::Pending(command),
        Some("Running") => CommandState::Running(command),
        _ => return Err(ParseError::Invalid("State")),
    })
}

fn streams(parent: &Element) -> Result<Vec<Stream>> {
    parent
        .children_named(uri::SHELL, "Stream")
        .map(|element| {
            Ok(Stream {
                name: element.attribute("Name").ok_or(ParseError::Missing("Name"))?.trim().to_owned(),
                command: command_id(element)?,
                data: base64(&element.text).ok_or(ParseError::Invalid("Stream"))?,
                end: element
                    .attribute("End")
                    .is_some_and(|v| matches!(v.trim(), "1" | "true" | "TRUE" | "True")),
            })
        })
        .collect()
}

fn command_id(element: &Element) -> Result<Option<CommandId>> {
    match element.attribute("CommandId") {
        Some(id) if !id.trim().is_empty() => {
            CommandId::parse(id).map(Some).ok_or(ParseError::Invalid("CommandId"))
        }
        _ => Ok(None),
    }
}

fn words(element: &Element) -> Vec<String> {
    element.text.split_whitespace().map(str::to_owned).collect()
}

fn fault(fault: &Element) -> Fault {
    let local = |element: Option<&Element>| {
        let text = element.map(Element::trimmed).unwrap_or_default();
        text.rsplit(':').next().unwrap_or_default().to_owned()
    };
    let code = fault.child(uri::SOAP, "Code");
    let main = local(code.and_then(|c| c.child(uri::SOAP, "Value")));
    let subcode =
        local(code.and_then(|c| c.child(uri::SOAP, "Subcode")).and_then(|c| c.child(uri::SOAP, "Value")));
    let reason = fault
        .child(uri::SOAP, "Reason")
        .and_then(|r| r.child(uri::SOAP, "Text"))
        .map(|text| text.trimmed().to_owned())
        .unwrap_or_default();
    let detail = fault.child(uri::SOAP, "Detail");
    let wsman = detail.and_then(|d| d.child(uri::WSMAN_FAULT, "WSManFault"));
    let number = wsman.and_then(|w| w.attribute("Code")).and_then(|code| {
        // Some servers write the code as a signed number.
        code.trim().parse::<i64>().ok().map(|code| code as u32)
    });
    let mut message = String::new();
    if let Some(element) = wsman.and_then(|w| w.child(uri::WSMAN_FAULT, "Message")) {
        all_text(element, &mut message);
    }
    let message = Some(message.trim().to_owned()).filter(|text| !text.is_empty() && *text != reason);
    let fault_detail = detail.and_then(|d| d.child(uri::WSMAN, "FaultDetail")).map(Element::trimmed);
    let must_understand = main == "MustUnderstand";
    Fault {
        code: FaultCode(number.unwrap_or_default()),
        sender: main != "Receiver",
        subcode: if must_understand { main } else { subcode },
        reason,
        message,
        detail: fault_detail
            .map(|text| text.rsplit('/').next().unwrap_or_default().to_owned())
            .filter(|t| !t.is_empty()),
        machine: wsman.and_then(|w| w.attribute("Machine")).map(str::to_owned),
    }
}

fn all_text(element: &Element, out: &mut String) {
    out.push_str(element.text.trim());
    for child in &element.children {
        if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
        all_text(child, out);
    }
}
