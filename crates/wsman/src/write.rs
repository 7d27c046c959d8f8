//! From typed messages to XML.

use crate::{
    duration::format_duration,
    envelope::Header,
    fault::Fault,
    message::{
        CommandLine, CommandState, CreateResponse, CreateShell, Operation, OperationResponse,
        ReceiveResponse, Request, Response, Selector, Stream,
    },
    uri,
    xml::Writer,
};

/// Bytes that a `ReceiveResponse` needs besides its base64: header, one stream, state. Generous.
pub(crate) const RECEIVE_OVERHEAD: usize = 2048;

pub(crate) fn request(request: &Request) -> Vec<u8> {
    let mut w = Writer::default();
    if matches!(request.body, Operation::Identify) {
        w.open("s:Envelope", &[("xmlns:s", uri::SOAP), ("xmlns:i", uri::IDENTIFY)]);
        w.empty("s:Header", &[]);
        w.open("s:Body", &[]);
        w.empty("i:Identify", &[]);
        w.close("s:Body");
        w.close("s:Envelope");
        return w.finish();
    }
    w.open(
        "s:Envelope",
        &[
            ("xmlns:s", uri::SOAP),
            ("xmlns:a", uri::ADDRESSING),
            ("xmlns:w", uri::WSMAN),
            ("xmlns:p", uri::MS_WSMAN),
            ("xmlns:rsp", uri::SHELL),
        ],
    );
    request_header(&mut w, &request.header, action(&request.body));
    w.open("s:Body", &[]);
    operation(&mut w, &request.body);
    w.close("s:Body");
    w.close("s:Envelope");
    w.finish()
}

pub(crate) fn response(response: &Response) -> Vec<u8> {
    let mut w = Writer::default();
    if let Ok(OperationResponse::Identify(identify)) = &response.body {
        w.open("s:Envelope", &[("xmlns:s", uri::SOAP), ("xmlns:i", uri::IDENTIFY)]);
        w.empty("s:Header", &[]);
        w.open("s:Body", &[]);
        w.open("i:IdentifyResponse", &[]);
        w.leaf("i:ProtocolVersion", &[], &identify.protocol_version);
        w.leaf("i:ProductVendor", &[], &identify.product_vendor);
        w.leaf("i:ProductVersion", &[], &identify.product_version);
        w.close("i:IdentifyResponse");
        w.close("s:Body");
        w.close("s:Envelope");
        return w.finish();
    }
    w.open(
        "s:Envelope",
        &[
            ("xml:lang", "en-US"),
            ("xmlns:s", uri::SOAP),
            ("xmlns:a", uri::ADDRESSING),
            ("xmlns:x", uri::TRANSFER),
            ("xmlns:w", uri::WSMAN),
            ("xmlns:rsp", uri::SHELL),
            ("xmlns:p", uri::MS_WSMAN),
        ],
    );
    w.open("s:Header", &[]);
    w.leaf("a:Action", &[], &response_action(&response.body));
    if let Some(id) = &response.header.message_id {
        w.leaf("a:MessageID", &[], id.as_str());
    }
    w.leaf("a:To", &[], uri::ANONYMOUS);
    if let Some(id) = &response.header.relates_to {
        w.leaf("a:RelatesTo", &[], id.as_str());
    }
    w.close("s:Header");
    w.open("s:Body", &[]);
    match &response.body {
        Ok(OperationResponse::Create(created)) => create_response(&mut w, created),
        Ok(OperationResponse::Command(id)) => {
            w.open("rsp:CommandResponse", &[]);
            w.leaf("rsp:CommandId", &[], &id.to_string());
            w.close("rsp:CommandResponse");
        }
        Ok(OperationResponse::Send) => w.empty("rsp:SendResponse", &[]),
        Ok(OperationResponse::Signal) => w.empty("rsp:SignalResponse", &[]),
        Ok(OperationResponse::Receive(receive)) => receive_response(&mut w, receive),
        Ok(OperationResponse::Delete | OperationResponse::Identify(_)) => {}
        Err(fault) => self::fault(&mut w, fault),
    }
    w.close("s:Body");
    w.close("s:Envelope");
    w.finish()
}

fn action(operation: &Operation) -> &'static str {
    match operation {
        Operation::Identify => "",
        Operation::Create(_) => uri::CREATE,
        Operation::Command(_) => uri::COMMAND,
        Operation::Send(_) => uri::SEND,
        Operation::Receive { .. } => uri::RECEIVE,
        Operation::Signal { .. } => uri::SIGNAL,
        Operation::Delete => uri::DELETE,
        Operation::Connect => uri::CONNECT,
        Operation::Disconnect => uri::DISCONNECT,
        Operation::Reconnect => uri::RECONNECT,
        Operation::Get => uri::GET,
        Operation::Enumerate => uri::ENUMERATE,
    }
}

fn response_action(body: &Result<OperationResponse, Fault>) -> String {
    let request = match body {
        Ok(OperationResponse::Create(_)) => uri::CREATE,
        Ok(OperationResponse::Command(_)) => uri::COMMAND,
        Ok(OperationResponse::Send) => uri::SEND,
        Ok(OperationResponse::Signal) => uri::SIGNAL,
        Ok(OperationResponse::Receive(_)) => uri::RECEIVE,
        Ok(OperationResponse::Delete | OperationResponse::Identify(_)) => uri::DELETE,
        Err(fault) => {
            return match subcode_prefix(&fault.subcode) {
                "a" => uri::ADDRESSING_FAULT_ACTION.to_owned(),
                _ => uri::FAULT_ACTION.to_owned(),
            };
        }
    };
    format!("{request}Response")
}

/// In the order of PowerShell's own client, which puts the session's fields where Windows does.
fn request_header(w: &mut Writer, header: &Header, action: &str) {
    const MUST: (&str, &str) = ("s:mustUnderstand", "true");
    const NEED_NOT: (&str, &str) = ("s:mustUnderstand", "false");
    w.open("s:Header", &[]);
    if let Some(to) = &header.to {
        w.leaf("a:To", &[], to);
    }
    if let Some(uri) = &header.resource_uri {
        w.leaf("w:ResourceURI", &[MUST], uri);
    }
    w.open("a:ReplyTo", &[]);
    w.leaf("a:Address", &[MUST], uri::ANONYMOUS);
    w.close("a:ReplyTo");
    w.leaf("a:Action", &[MUST], action);
    if let Some(size) = header.max_envelope_size {
        w.leaf("w:MaxEnvelopeSize", &[MUST], &size.to_string());
    }
    if let Some(id) = &header.message_id {
        w.leaf("a:MessageID", &[], id.as_str());
    }
    if let Some(id) = &header.relates_to {
        w.leaf("a:RelatesTo", &[], id.as_str());
    }
    if let Some(timeout) = header.operation_timeout {
        w.leaf("w:OperationTimeout", &[], &format_duration(timeout));
    }
    if let Some(lang) = &header.locale {
        w.empty("w:Locale", &[("xml:lang", lang), NEED_NOT]);
    }
    if let Some(lang) = &header.data_locale {
        w.empty("p:DataLocale", &[("xml:lang", lang), NEED_NOT]);
    }
    if let Some(id) = &header.session_id {
        w.leaf("p:SessionId", &[NEED_NOT], id);
    }
    if !header.options.is_empty() {
        named_values(w, "w:OptionSet", "w:Option", &[MUST], &header.options);
    }
    if !header.selectors.is_empty() {
        named_values(w, "w:SelectorSet", "w:Selector", &[], &header.selectors);
    }
    w.close("s:Header");
}

fn named_values(w: &mut Writer, set: &str, item: &str, attributes: &[(&str, &str)], values: &[Selector]) {
    w.open(set, attributes);
    for value in values {
        w.leaf(item, &[("Name", &value.name)], &value.value);
    }
    w.close(set);
}

fn operation(w: &mut Writer, operation: &Operation) {
    match operation {
        Operation::Create(shell) => create(w, shell),
        Operation::Command(line) => command(w, line),
        Operation::Send(streams) => {
            w.open("rsp:Send", &[]);
            streams.iter().for_each(|s| stream(w, s));
            w.close("rsp:Send");
        }
        Operation::Receive { command, streams } => {
            let id = command.map(|id| id.to_string());
            let attributes: Vec<_> = id.iter().map(|id| ("CommandId", id.as_str())).collect();
            w.open("rsp:Receive", &[]);
            w.leaf("rsp:DesiredStream", &attributes, &streams.join(" "));
            w.close("rsp:Receive");
        }
        Operation::Signal { command, signal } => {
            let id = command.map(|id| id.to_string());
            let attributes: Vec<_> = id.iter().map(|id| ("CommandId", id.as_str())).collect();
            w.open("rsp:Signal", &attributes);
            w.leaf("rsp:Code", &[], &signal.to_uri());
            w.close("rsp:Signal");
        }
        Operation::Connect => {
            w.empty("rsp:Connect", &[]);
        }
        Operation::Disconnect => w.empty("rsp:Disconnect", &[]),
        Operation::Reconnect => w.empty("rsp:Reconnect", &[]),
        Operation::Delete | Operation::Get | Operation::Enumerate | Operation::Identify => {}
    }
}

fn create(w: &mut Writer, shell: &CreateShell) {
    let id = shell.shell_id.map(|id| id.to_string());
    let mut attributes = Vec::new();
    if let Some(name) = &shell.name {
        attributes.push(("Name", name.as_str()));
    }
    if let Some(id) = &id {
        attributes.push(("ShellId", id));
    }
    w.open("rsp:Shell", &attributes);
    if !shell.environment.is_empty() {
        w.open("rsp:Environment", &[]);
        for (name, value) in &shell.environment {
            w.leaf("rsp:Variable", &[("Name", name)], value);
        }
        w.close("rsp:Environment");
    }
    if let Some(timeout) = shell.idle_timeout {
        w.leaf("rsp:IdleTimeOut", &[], &format_duration(timeout));
    }
    if let Some(folder) = &shell.working_directory {
        w.leaf("rsp:WorkingDirectory", &[], folder);
    }
    w.leaf("rsp:InputStreams", &[], &shell.input_streams.join(" "));
    w.leaf("rsp:OutputStreams", &[], &shell.output_streams.join(" "));
    if let Some(blob) = &shell.creation_xml {
        w.base64("creationXml", &[("xmlns", uri::POWERSHELL)], blob);
    }
    w.close("rsp:Shell");
}

fn command(w: &mut Writer, line: &CommandLine) {
    let id = line.command_id.map(|id| id.to_string());
    let attributes: Vec<_> = id.iter().map(|id| ("CommandId", id.as_str())).collect();
    w.open("rsp:CommandLine", &attributes);
    w.leaf("rsp:Command", &[], &line.command);
    for argument in &line.arguments {
        w.leaf("rsp:Arguments", &[], argument);
    }
    w.close("rsp:CommandLine");
}

fn stream(w: &mut Writer, stream: &Stream) {
    let id = stream.command.map(|id| id.to_string());
    let mut attributes = Vec::new();
    if let Some(id) = &id {
        attributes.push(("CommandId", id.as_str()));
    }
    attributes.push(("Name", &stream.name));
    if stream.end {
        attributes.push(("End", "true"));
    }
    w.base64("rsp:Stream", &attributes, &stream.data);
}

fn create_response(w: &mut Writer, created: &CreateResponse) {
    let id = created.shell_id.to_string();
    w.open("x:ResourceCreated", &[]);
    w.leaf("a:Address", &[], uri::ANONYMOUS);
    w.open("a:ReferenceParameters", &[]);
    w.leaf("w:ResourceURI", &[], &created.resource_uri);
    named_values(
        w,
        "w:SelectorSet",
        "w:Selector",
        &[],
        &[Selector { name: "ShellId".to_owned(), value: id.clone() }],
    );
    w.close("a:ReferenceParameters");
    w.close("x:ResourceCreated");
    w.open("rsp:Shell", &[]);
    w.leaf("rsp:ShellId", &[], &id);
    w.leaf("rsp:ResourceUri", &[], &created.resource_uri);
    if let Some(owner) = &created.owner {
        w.leaf("rsp:Owner", &[], owner);
    }
    if let Some(address) = &created.client_ip {
        w.leaf("rsp:ClientIP", &[], address);
    }
    if let Some(timeout) = created.idle_timeout {
        w.leaf("rsp:IdleTimeOut", &[], &format_duration(timeout));
    }
    w.leaf("rsp:InputStreams", &[], &created.input_streams.join(" "));
    w.leaf("rsp:OutputStreams", &[], &created.output_streams.join(" "));
    w.close("rsp:Shell");
    if let Some(early) = &created.early_output {
        w.base64("e:EarlyOutput", &[("xmlns:e", uri::EXTENSION)], early);
    }
}

fn receive_response(w: &mut Writer, receive: &ReceiveResponse) {
    w.open("rsp:ReceiveResponse", &[]);
    receive.streams.iter().for_each(|s| stream(w, s));
    let state = |name| format!("{}/CommandState/{name}", uri::SHELL);
    match &receive.state {
        Some(CommandState::Done { command, exit_code }) => {
            let (id, name) = (command.to_string(), state("Done"));
            w.open("rsp:CommandState", &[("CommandId", &id), ("State", &name)]);
            if let Some(code) = exit_code {
                w.leaf("rsp:ExitCode", &[], &code.to_string());
            }
            w.close("rsp:CommandState");
        }
        Some(CommandState::Running(command)) => {
            w.empty("rsp:CommandState", &[("CommandId", &command.to_string()), ("State", &state("Running"))]);
        }
        Some(CommandState::Pending(command)) => {
            w.empty("rsp:CommandState", &[("CommandId", &command.to_string()), ("State", &state("Pending"))]);
        }
        None => {}
    }
    w.close("rsp:ReceiveResponse");
}

fn fault(w: &mut Writer, fault: &Fault) {
    w.open("s:Fault", &[]);
    w.open("s:Code", &[]);
    if fault.subcode == "MustUnderstand" {
        w.leaf("s:Value", &[], "s:MustUnderstand");
    } else {
        w.leaf("s:Value", &[], if fault.sender { "s:Sender" } else { "s:Receiver" });
        if !fault.subcode.is_empty() {
            w.open("s:Subcode", &[]);
            w.leaf("s:Value", &[], &format!("{}:{}", subcode_prefix(&fault.subcode), fault.subcode));
            w.close("s:Subcode");
        }
    }
    w.close("s:Code");
    w.open("s:Reason", &[]);
    w.leaf("s:Text", &[("xml:lang", "en-US")], &fault.reason);
    w.close("s:Reason");
    w.open("s:Detail", &[]);
    if let Some(detail) = &fault.detail {
        w.leaf("w:FaultDetail", &[], &format!("{}{detail}", uri::FAULT_DETAIL));
    }
    let code = fault.code.to_string();
    let mut attributes = vec![("xmlns:f", uri::WSMAN_FAULT), ("Code", &code)];
    if let Some(machine) = &fault.machine {
        attributes.push(("Machine", machine));
    }
    w.open("f:WSManFault", &attributes);
    w.leaf("f:Message", &[], fault.message.as_deref().unwrap_or(&fault.reason));
    w.close("f:WSManFault");
    w.close("s:Detail");
    w.close("s:Fault");
}

fn subcode_prefix(subcode: &str) -> &'static str {
    match subcode {
        "ActionNotSupported"
        | "DestinationUnreachable"
        | "EndpointUnavailable"
        | "InvalidMessageInformationHeader"
        | "MessageInformationHeaderRequired" => "a",
        _ => "w",
    }
}
