use super::*;

const POOL: &[u8] = b"capability and init";

fn fragment(object: u64, flags: u8, blob: &[u8]) -> Vec<u8> {
    let mut bytes = object.to_be_bytes().to_vec();
    bytes.extend([0; 8]);
    bytes.push(flags);
    bytes.extend(u32::try_from(blob.len()).unwrap().to_be_bytes());
    bytes.extend(blob);
    bytes
}

fn message(kind: u32, pipeline: Uuid, body: &str) -> Vec<u8> {
    let mut bytes = 1u32.to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend([7; 16]);
    bytes.extend(pipeline.to_bytes_le());
    bytes.extend(body.as_bytes());
    bytes
}

fn create_pipeline(pipeline: Uuid) -> Vec<u8> {
    fragment(1, 3, &message(0x0002_1006, pipeline, "<Obj/>"))
}

fn state(pipeline: Uuid, state: u32) -> Vec<u8> {
    let body = format!("<Obj RefId=\"0\"><MS><I32 N=\"PipelineState\">{state}</I32></MS></Obj>");
    fragment(2, 3, &message(PIPELINE_STATE, pipeline, &body))
}

fn events(bridge: &mut Bridge) -> Vec<Event> {
    std::iter::from_fn(|| bridge.poll_event()).collect()
}

fn data(id: Uuid, bytes: &[u8]) -> Packet {
    Packet::Data { target: Target::from_id(id), stream: "Default".to_owned(), bytes: bytes.to_vec() }
}

/// A bridge whose pool is open.
fn opened() -> Bridge {
    let mut bridge = Bridge::default();
    bridge.open(POOL.to_vec());
    assert_eq!(events(&mut bridge), [Event::Write(data(Uuid::nil(), POOL))]);
    let opened = fragment(1, 3, &message(RUNSPACEPOOL_STATE, Uuid::nil(), ""));
    bridge.packet(data(Uuid::nil(), &opened));
    assert_eq!(events(&mut bridge), [Event::Output(None, opened), Event::Opened]);
    bridge.packet(Packet::DataAck(Target::Pool));
    bridge
}

fn ids() -> (CommandId, Uuid) {
    let command = CommandId::random(&mut rand::rng());
    (command, Uuid::from_u128(0x1234))
}

/// An open bridge with a pipeline that was announced and acknowledged.
fn started() -> (Bridge, CommandId, Uuid) {
    let mut bridge = opened();
    let (command, pipeline) = ids();
    bridge.start(None, command, create_pipeline(pipeline)).unwrap();
    assert_eq!(events(&mut bridge), [Event::Write(Packet::Command(Target::Pipeline(pipeline)))]);
    bridge.packet(Packet::CommandAck(Target::Pipeline(pipeline)));
    assert_eq!(events(&mut bridge), [Event::Write(data(pipeline, &create_pipeline(pipeline)))]);
    (bridge, command, pipeline)
}

#[test]
fn a_pipeline_may_have_another_id_than_its_command() {
    let (mut bridge, command, pipeline) = started();
    let output = fragment(3, 3, &message(0x0004_1004, pipeline, "<S>x</S>"));
    bridge.packet(data(pipeline, &output));
    assert_eq!(events(&mut bridge), [Event::Output(Some(command), output)]);
    let completed = state(pipeline, 4);
    bridge.packet(data(pipeline, &completed));
    let close = Event::Write(Packet::Close(Target::Pipeline(pipeline)));
    assert_eq!(
        events(&mut bridge),
        [Event::Output(Some(command), completed), Event::Finished(command), close]
    );
    bridge.terminate(command);
    assert_eq!(events(&mut bridge), []);
    bridge.packet(Packet::CloseAck(Target::Pipeline(pipeline)));
    assert_eq!(events(&mut bridge), [Event::Finished(command)]);
    bridge.packet(data(pipeline, b"late"));
    assert_eq!(events(&mut bridge), []);
}

#[test]
fn a_running_state_does_not_end_a_pipeline_and_fragments_may_be_cut_anywhere() {
    let (mut bridge, command, pipeline) = started();
    bridge.packet(data(pipeline, &state(pipeline, 2)));
    for byte in state(pipeline, 3) {
        let before = events(&mut bridge);
        assert!(!before.contains(&Event::Finished(command)), "{before:?}");
        bridge.packet(data(pipeline, &[byte]));
    }
    assert!(events(&mut bridge).contains(&Event::Finished(command)));
}

#[test]
fn one_packet_is_under_way_at_a_time_and_long_input_is_cut() {
    let (mut bridge, command, pipeline) = started();
    let input = vec![5; CHUNK + 1];
    bridge.input(Some(command), "stdin", input, None).unwrap();
    bridge.input(Some(command), "pr", b"answer".to_vec(), None).unwrap();
    let mut written = Vec::new();
    for _ in 0..3 {
        assert_eq!(events(&mut bridge).len(), 0);
        bridge.packet(Packet::DataAck(Target::Pipeline(pipeline)));
        for event in events(&mut bridge) {
            if let Event::Write(Packet::Data { stream, bytes, .. }) = event {
                written.push((stream, bytes.len()));
            }
        }
    }
    let stdin = "Default".to_owned();
    assert_eq!(written, [(stdin.clone(), CHUNK), (stdin, 1), ("PromptResponse".to_owned(), 6)]);
    assert!(bridge.input(Some(command), "stdout", vec![1], None).is_err());
}

#[test]
fn stop_and_close_reach_the_process_once() {
    let (mut bridge, command, pipeline) = started();
    bridge.stop(command);
    assert_eq!(events(&mut bridge), [Event::Write(Packet::Signal(Target::Pipeline(pipeline)))]);
    bridge.close();
    bridge.close();
    let closes = [Target::Pipeline(pipeline), Target::Pool].map(|t| Event::Write(Packet::Close(t)));
    assert_eq!(events(&mut bridge), closes);
    bridge.stop(command);
    bridge.input(Some(command), "stdin", vec![1], None).unwrap();
    assert_eq!(events(&mut bridge), []);
    bridge.packet(Packet::CloseAck(Target::Pool));
    assert_eq!(events(&mut bridge), [Event::Closed]);
}

#[test]
fn arguments_that_are_no_pipeline_are_refused() {
    let mut bridge = opened();
    let (command, pipeline) = ids();
    let whole = create_pipeline(pipeline);
    for bad in
        [&[][..], &whole[..20], &whole[..60], &fragment(1, 2, &whole[21..]), &create_pipeline(Uuid::nil())]
    {
        assert!(bridge.start(None, command, bad.to_vec()).is_err());
    }
    bridge.start(None, command, whole.clone()).unwrap();
    assert!(bridge.start(None, CommandId::random(&mut rand::rng()), whole).is_err());
}
