//! An HTTP/1.1 server that greets everybody: connections are kept alive, requests may be pipelined,
//! cut anywhere, and come faster than the answers are read. It has no time limits, which a server for the
//! open internet needs.
//!
//! ```text
//! cargo run --example http_hello 127.0.0.1:8000
//! curl http://127.0.0.1:8000/
//! ```
//!
//! Needs the crates selectors-std, httparse, httpdate and rustix (feature process).

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::SystemTime;

use httparse::Status;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use selectors_std::{DefaultSelector, Events};

const GREETING: &str = "Hello, world!\n";

/// A request's head may have this many bytes, and this many fields.
const HEAD: usize = 8 << 10;
const FIELDS: usize = 64;

/// When so many bytes of answers wait for a peer to read them, nothing more is read from it.
const PATIENCE: usize = 64 << 10;

type Selector = DefaultSelector<Source, Peer>;

enum Source {
    Listener(TcpListener),
    Peer(TcpStream),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Peer(peer) => peer.as_fd(),
        }
    }
}

/// What is known of a connection.
#[derive(Default)]
struct Peer {
    /// Requests, the last one perhaps not complete.
    received: Vec<u8>,
    /// How many bytes of a request's body are still to come. Nobody wants them.
    body: u64,
    /// Answers that the peer had no room for yet.
    unsent: Vec<u8>,
    /// No request is answered any more.
    last: bool,
    /// The peer was told so. Its own end is awaited, as closing with bytes unread would reset the
    /// connection, and the last answer might be lost.
    ended: bool,
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    raise_descriptor_limit();
    println!("listening on {}", listener.local_addr()?);

    let mut buffer = vec![0; 16 << 10];
    let mut selector = Selector::new()?;
    selector.register(Source::Listener(listener), Events::READ, Peer::default())?;
    loop {
        selector.select(None)?;
        let date = httpdate::fmt_http_date(SystemTime::now());
        while let Some((key, _events)) = selector.next_ready() {
            let fd = key.fd;
            match key.fileobj {
                Source::Listener(listener) => {
                    let accepted = listener.accept();
                    accept(&mut selector, accepted.map(|(peer, _)| peer))?;
                }
                Source::Peer(stream) => match serve(stream, key.data, &mut buffer, &date) {
                    Ok(Some(events)) => selector.modify(fd, events)?, // no system call if nothing changes
                    Ok(None) | Err(_) => close(&mut selector, fd)?,
                },
            }
        }
    }
}

fn accept(selector: &mut Selector, accepted: io::Result<TcpStream>) -> io::Result<()> {
    match accepted {
        Ok(peer) => {
            peer.set_nonblocking(true)?;
            peer.set_nodelay(true)?;
            selector.register(Source::Peer(peer), Events::READ, Peer::default())?;
            Ok(())
        }
        Err(error) if is_transient(&error) => Ok(()),
        // Out of descriptors, for instance. The example tcp_proxy shows how to live on.
        Err(error) => Err(error),
    }
}

fn close(selector: &mut Selector, fd: RawFd) -> io::Result<()> {
    drop(selector.unregister(fd)?); // the key owns the connection
    Ok(())
}

/// Reads, answers and writes once. Says what to wait for next, or that the connection is done with.
fn serve(
    mut stream: &TcpStream,
    peer: &mut Peer,
    buffer: &mut [u8],
    date: &str,
) -> io::Result<Option<Events>> {
    if peer.unsent.len() < PATIENCE {
        match stream.read(buffer) {
            Ok(0) if peer.unsent.is_empty() => return Ok(None),
            Ok(0) => peer.last = true,
            Ok(_) if peer.last => {}
            Ok(count) => {
                peer.received.extend_from_slice(&buffer[..count]);
                answer(peer, date);
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
    while !peer.unsent.is_empty() {
        match stream.write(&peer.unsent) {
            Ok(count) => drop(peer.unsent.drain(..count)),
            Err(error) if is_transient(&error) => return Ok(Some(Events::WRITE)),
            Err(error) => return Err(error),
        }
    }
    if peer.last && !peer.ended {
        peer.ended = true;
        stream.shutdown(Shutdown::Write)?;
    }
    Ok(Some(Events::READ))
}

/// Answers the requests that are complete.
fn answer(peer: &mut Peer, date: &str) {
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
            let fields = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
            fields.map(|field| field.value)
        };
        if values("Transfer-Encoding").next().is_some() {
            return Self::refusal("501 Not Implemented");
        }
        let mut lengths = values("Content-Length").map(number);
        // Two lengths are an attempt to make two servers disagree on where the next request begins.
        let Some(body) = lengths.next().unwrap_or(Some(0)).filter(|_| lengths.next().is_none()) else {
            return Self::refusal("400 Bad Request");
        };
        let newer = request.version == Some(1);
        if newer && values("Host").count() != 1 {
            return Self::refusal("400 Bad Request");
        }
        let connection = |option: &str| {
            let options = values("Connection").flat_map(|value| value.split(|&byte| byte == b','));
            options.into_iter().any(|value| value.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
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

/// A length: digits and nothing else, where Rust's own parser would take a sign.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    digits.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

/// Errors that say "not now": the selector reports the source again.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

/// As many descriptors as the system allows; the usual 1024 are not enough for 1000 connections.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If that fails the limit stays as it is, which is no reason not to start.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
