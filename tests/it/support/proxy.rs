//! Between the product and another system: a proxy that does what bad networks do, and a server
//! that gives answers of the test's choosing.
//!
//! Plain threads, so that it also serves tests that run the built program.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Nothing unusual.
    Forward,
    /// The other side acts and answers, the answer is lost.
    LoseAnswer,
    /// The caller is cut off at once, the other side gets the request all the same, after a while.
    CutAndForwardLater(Duration),
    /// The request is lost.
    LoseRequest,
    /// The answer comes after a while.
    HoldAnswer(Duration),
    /// Another answer instead, without asking the other side.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The other side acts, the caller gets another status.
    ForwardAndAnswer(u16),
    /// The body ends after so many bytes.
    Truncate(usize),
}

struct Rule {
    method: String,
    act: Act,
    left: usize,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
}

/// A proxy in front of one server.
pub struct Proxy {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// In front of `http://HOST:PORT`.
    pub fn before(upstream: &str) -> Self {
        let upstream: SocketAddr = upstream.trim_start_matches("http://").parse().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let url = serve(move |stream, request| {
            let act = shared.lock().unwrap().decide(&request.method);
            let _ = perform(act, stream, request, upstream);
        });
        Self { url, state }
    }

    /// From now on, the next `times` calls of `method` (`*` for any) go this way.
    pub fn on(&self, method: &str, times: usize, act: Act) {
        self.state.lock().unwrap().rules.push(Rule { method: method.to_owned(), act, left: times });
    }

    /// How many calls of `method` (`*` for any) came in.
    pub fn count(&self, method: &str) -> usize {
        self.state.lock().unwrap().seen.iter().filter(|seen| method == "*" || *seen == method).count()
    }
}

impl State {
    fn decide(&mut self, method: &str) -> Act {
        self.seen.push(method.to_owned());
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && (rule.method == "*" || rule.method == method));
        rule.map_or(Act::Forward, |rule| {
            rule.left -= 1;
            rule.act.clone()
        })
    }
}

fn perform(act: Act, mut client: TcpStream, request: Request, upstream: SocketAddr) -> std::io::Result<()> {
    match act {
        Act::Forward => client.write_all(&forward(&request, upstream)?),
        Act::LoseAnswer => {
            forward(&request, upstream)?;
            client.shutdown(Shutdown::Both)
        }
        Act::CutAndForwardLater(wait) => {
            client.shutdown(Shutdown::Both)?;
            drop(client);
            thread::sleep(wait);
            forward(&request, upstream).map(|_| ())
        }
        Act::LoseRequest => client.shutdown(Shutdown::Both),
        Act::HoldAnswer(wait) => {
            let answer = forward(&request, upstream)?;
            thread::sleep(wait);
            client.write_all(&answer)
        }
        Act::Answer(status, headers, body) => client.write_all(&answer(status, &headers, body.as_bytes())),
        Act::ForwardAndAnswer(status) => {
            forward(&request, upstream)?;
            client.write_all(&answer(status, &[], b"<html>gateway</html>"))
        }
        Act::Truncate(length) => {
            let whole = forward(&request, upstream)?;
            let head = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            client.write_all(&whole[..(head + length).min(whole.len())])?;
            client.shutdown(Shutdown::Both)
        }
    }
}

fn forward(request: &Request, upstream: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream)?;
    stream.write_all(&request.raw)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// A server that answers as the test says: (status, headers, body) for method and parameters.
pub fn canned<F>(answers: F) -> String
where
    F: Fn(&str, &Value) -> (u16, Vec<(&'static str, String)>, String) + Send + Sync + 'static,
{
    serve(move |mut stream, request| {
        let (status, headers, body) = answers(&request.method, &request.params);
        let _ = stream.write_all(&answer(status, &headers, body.as_bytes()));
    })
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut bytes = format!("{text}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

struct Request {
    raw: Vec<u8>,
    method: String,
    params: Value,
}

/// Serves one request per connection, for the life of the process.
fn serve(handle: impl Fn(TcpStream, Request) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            thread::spawn(move || {
                let mut stream = stream;
                if let Some(request) = read_request(&mut stream) {
                    handle(stream, request);
                }
            });
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let (mut raw, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    let head = loop {
        if let Some(at) = raw.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            n => raw.extend_from_slice(&chunk[..n]),
        }
    };
    let text = String::from_utf8_lossy(&raw[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while raw.len() < head + length.unwrap_or(0) {
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            n => raw.extend_from_slice(&chunk[..n]),
        }
    }
    let body: Value = serde_json::from_slice(&raw[head..]).unwrap_or_default();
    // One request per connection on both sides keeps every cut where the test put it.
    let first_line = text.find("\r\n").unwrap_or(0);
    let mut forwarded = format!("{}\r\nConnection: close", &text[..first_line]).into_bytes();
    forwarded.extend_from_slice(&raw[first_line..]);
    Some(Request {
        raw: forwarded,
        method: body["method"].as_str().unwrap_or_default().to_owned(),
        params: body["params"].clone(),
    })
}
