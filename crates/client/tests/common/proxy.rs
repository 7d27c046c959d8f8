//! An HTTP proxy for tests: `CONNECT` only, with rules that a test gives.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the proxy does with the head of a request.
pub enum Reply {
    /// These header lines with "200".
    Tunnel(String),
    /// These bytes, and then the next request.
    Send(Vec<u8>),
    /// These bytes, and then nothing more.
    Close(Vec<u8>),
    /// Nothing at all.
    Silence,
}

/// The rules of one connection: the value of `Proxy-Authorization` in.
pub type Rule = Box<dyn FnMut(Option<&str>) -> Reply + Send>;

pub struct TestProxy {
    pub port: u16,
    /// The heads of all requests.
    pub heads: Arc<Mutex<Vec<String>>>,
    pub connections: Arc<AtomicUsize>,
    cut: watch::Sender<bool>,
}

impl TestProxy {
    pub async fn start(rules: impl Fn() -> Rule + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heads, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicUsize::new(0)));
        let (cut, is_cut) = watch::channel(false);
        let (seen, counted) = (heads.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (rule, seen, mut is_cut) = (rules(), seen.clone(), is_cut.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve(stream, rule, seen) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, heads, connections, cut }
    }

    /// Closes every tunnel.
    pub fn cut(&self) {
        self.cut.send(true).unwrap();
    }

    pub fn heads(&self) -> String {
        self.heads.lock().unwrap().concat()
    }

    pub fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

async fn serve(mut stream: TcpStream, mut rule: Rule, seen: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        seen.lock().unwrap().push(head.clone());
        let mut words = head.split_whitespace();
        assert_eq!(words.next(), Some("CONNECT"), "{head}");
        let to = words.next().unwrap().to_owned();
        let authorization = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
        });
        match rule(authorization) {
            Reply::Tunnel(headers) => {
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                let answer = format!("HTTP/1.1 200 Connection established\r\n{headers}\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                return;
            }
            Reply::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Reply::Close(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                // What still comes is read, so that the other end is not reset before it has read the answer.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                return;
            }
            Reply::Silence => std::future::pending().await,
        }
    }
}
