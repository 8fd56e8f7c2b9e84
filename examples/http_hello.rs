//! An HTTP/1.1 server that sends a greeting.
//!
//! Connections are kept alive. Requests may be pipelined, and may arrive in
//! parts or faster than the responses are read. It has no time limits, which a
//! server for the open internet needs.
//!
//! ```text
//! cargo run --example http_hello 127.0.0.1:8000
//! curl http://127.0.0.1:8000/
//! ```
//!
//! It needs the crates selectors-std, socket2 (feature all), httparse, httpdate
//! and rustix (feature process).

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, SystemTime};

use httparse::Status;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use selectors_std::{DefaultSelector, Events};
use socket2::Socket;

const GREETING: &str = "Hello, world!\n";

/// A request's head may have this many bytes, and this many fields.
const HEAD: usize = 8 << 10;
const FIELDS: usize = 64;

/// If this many bytes of responses wait for a peer to read them, nothing more
/// is read from it.
const PATIENCE: usize = 64 << 10;

/// The state of a connection.
#[derive(Default)]
struct Peer {
    /// Requests. The last one may be incomplete.
    received: Vec<u8>,
    /// How many bytes of a request's body are still to come. They are skipped.
    body: u64,
    /// Responses that are not sent yet.
    unsent: Vec<u8>,
    /// No further request gets a response.
    last: bool,
    /// The writing half is shut down, and the peer has to close, too. To close
    /// with unread bytes would reset the connection, and the last response
    /// might be lost.
    ended: bool,
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    raise_descriptor_limit();
    println!("listening on {}", listener.local_addr()?);

    let mut buffer = vec![0; 16 << 10];
    let mut selector = DefaultSelector::new()?;
    let listener = selector.register(listener.into(), Events::READ, Peer::default())?.id();
    loop {
        // The listener is paused if no descriptor was free. It is resumed after
        // a moment.
        let is_paused = selector.get_key(listener).is_some_and(|key| key.is_paused());
        selector.select(is_paused.then_some(Duration::from_millis(100)))?;
        let _ = selector.resume(listener); // if that fails, it stays paused

        let date = httpdate::fmt_http_date(SystemTime::now());
        while let Some((mut key, _events)) = selector.next_ready() {
            if key.id() == listener {
                match accept(&key.fileobj) {
                    Ok(peer) => {
                        // If this fails, the peer is dropped, which closes the
                        // connection.
                        let _ = selector.register(peer, Events::READ, Peer::default());
                    }
                    Err(_) => key.pause(),
                }
                continue;
            }
            let (socket, peer) = key.parts();
            let next = serve(socket, peer, &mut buffer, &date);
            // `modify` makes no system call if nothing changes.
            if next.and_then(|events| Ok(key.modify(events)?)).is_err() {
                drop(key.unregister()); // the key owns the connection
            }
        }
    }
}

fn accept(listener: &Socket) -> io::Result<Socket> {
    let (peer, _address) = listener.accept()?;
    peer.set_nonblocking(true)?;
    let _ = peer.set_tcp_nodelay(true); // some systems refuse that if the peer has reset the connection
    Ok(peer)
}

/// Reads, responds and writes once. Returns what to wait for next, or an error
/// at the end.
fn serve(
    mut socket: &Socket,
    peer: &mut Peer,
    buffer: &mut [u8],
    date: &str,
) -> io::Result<Events> {
    if peer.unsent.len() < PATIENCE {
        match socket.read(buffer) {
            Ok(0) if peer.unsent.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(0) => peer.last = true,
            Ok(_) if peer.last => {}
            Ok(count) => {
                peer.received.extend_from_slice(&buffer[..count]);
                respond(peer, date);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    while !peer.unsent.is_empty() {
        match socket.write(&peer.unsent) {
            Ok(count) => drop(peer.unsent.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Events::WRITE),
            Err(error) => return Err(error),
        }
    }
    if peer.last && !peer.ended {
        peer.ended = true;
        socket.shutdown(Shutdown::Write)?;
    }
    Ok(Events::READ)
}

/// Writes responses to the requests that are complete.
fn respond(peer: &mut Peer, date: &str) {
    let mut received = &peer.received[..];
    while !peer.last {
        let skipped = received.len().min(usize::try_from(peer.body).unwrap_or(usize::MAX));
        peer.body -= skipped as u64;
        received = &received[skipped..];
        if received.is_empty() || peer.body > 0 {
            break;
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let reply = match request.parse(received) {
            Ok(Status::Complete(head)) if head <= HEAD => {
                received = &received[head..];
                Reply::to(&request)
            }
            Ok(Status::Partial) if received.len() < HEAD => break,
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                Reply::refusal("431 Request Header Fields Too Large")
            }
            Err(_) => Reply::refusal("400 Bad Request"),
        };
        peer.body = reply.body;
        peer.last = reply.last;
        reply.write(&mut peer.unsent, date);
    }
    let rest = if peer.last { 0 } else { received.len() };
    peer.received.drain(..peer.received.len() - rest);
}

struct Reply {
    status: &'static str,
    /// Whether the greeting is sent, and not only its length.
    greets: bool,
    /// How many bytes of the request's body follow.
    body: u64,
    /// Whether the connection ends with it.
    last: bool,
}

impl Reply {
    fn refusal(status: &'static str) -> Self {
        Self { status, greets: true, body: 0, last: true }
    }

    fn to(request: &httparse::Request<'_, '_>) -> Self {
        let values = |name| {
            let fields =
                request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
            fields.map(|field| field.value)
        };
        if values("Transfer-Encoding").next().is_some() {
            return Self::refusal("501 Not Implemented");
        }
        let mut lengths = values("Content-Length").map(number);
        // Two lengths are an attempt to make two servers disagree on where the
        // next request begins.
        let Some(body) = lengths.next().unwrap_or(Some(0)).filter(|_| lengths.next().is_none())
        else {
            return Self::refusal("400 Bad Request");
        };
        let newer = request.version == Some(1);
        if newer && values("Host").count() != 1 {
            return Self::refusal("400 Bad Request");
        }
        let connection = |option: &str| {
            let options = values("Connection").flat_map(|value| value.split(|&byte| byte == b','));
            options
                .into_iter()
                .any(|value| value.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        };
        let status = match request.method {
            Some("GET" | "HEAD") => "200 OK",
            _ => "405 Method Not Allowed",
        };
        let last = connection("close") || !newer;
        Self { status, greets: request.method != Some("HEAD"), body, last }
    }

    fn write(&self, unsent: &mut Vec<u8>, date: &str) {
        let body = if self.status == "200 OK" { GREETING } else { "" };
        let connection = if self.last { "Connection: close\r\n" } else { "" };
        let allow = if self.status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {}\r\nDate: {date}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{allow}{connection}\r\n",
            self.status,
            body.len(),
        );
        unsent.extend_from_slice(head.as_bytes());
        if self.greets {
            unsent.extend_from_slice(body.as_bytes());
        }
    }
}

/// A length: digits and nothing else, where Rust's own parser would accept a
/// sign.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    digits.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

/// Allows as many descriptors as the system does. The usual 1024 are not enough
/// for 1000 connections.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If that fails, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
