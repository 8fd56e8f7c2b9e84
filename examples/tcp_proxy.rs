//! A TCP proxy: carries every connection to an upstream, byte for byte.
//!
//! One thread, one selector, as many connections as there are descriptors. Each end is read only
//! while the other takes what was read, so that a fast sender waits for a slow receiver and memory
//! stays small; the end of one direction is passed on while the other goes on.
//!
//! ```text
//! cargo run --example tcp_proxy 127.0.0.1:10000 127.0.0.1:6379
//! ```
//!
//! Needs the crates selectors-std and rustix (features net and process).

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use selectors_std::{DefaultSelector, Events, Mode};

type Selector = DefaultSelector<Source, Flow>;

enum Source {
    Listener(TcpListener),
    /// A connection to the upstream on its way, and the client it is for.
    Connecting {
        upstream: TcpStream,
        client: TcpStream,
    },
    /// The end of a carried connection whose number is given.
    End(Rc<[TcpStream; 2]>, usize),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Connecting { upstream, .. } => upstream.as_fd(),
            Self::End(ends, number) => ends[*number].as_fd(),
        }
    }
}

/// What flows from an end to the other one.
#[derive(Default)]
struct Flow {
    /// What was read from this end, and the other has no room for yet. Empty nearly always, so
    /// that a connection that rests takes no memory for it.
    unsent: Vec<u8>,
    /// This end will send no more.
    ended: bool,
    /// The other end was told so.
    passed_on: bool,
}

/// The most that is read at once, and so the most that is kept of one direction.
const CHUNK: usize = 64 << 10;

struct Proxy {
    selector: Selector,
    listener: RawFd,
    upstream: SocketAddr,
    buffer: Vec<u8>,
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [listen, upstream] = &args[..] else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "usage: tcp_proxy LISTEN UPSTREAM"));
    };
    let upstream = upstream.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    raise_descriptor_limit();
    println!("listening on {}", listener.local_addr()?);

    let mut selector = Selector::new()?;
    let listener = selector.register(Source::Listener(listener), Events::READ, Flow::default())?.fd;
    let mut proxy = Proxy { selector, listener, upstream, buffer: vec![0; CHUNK] };
    loop {
        proxy.selector.select(None)?;
        while let Some((key, events)) = proxy.selector.next_ready() {
            let fd = key.fd;
            match key.fileobj {
                Source::Listener(_) => proxy.accept()?,
                Source::Connecting { .. } => proxy.connected(fd)?,
                Source::End(..) => proxy.carry(fd, events)?,
            }
        }
    }
}

impl Proxy {
    fn accept(&mut self) -> io::Result<()> {
        let Some(key) = self.selector.get_key(self.listener) else { return Ok(()) };
        let Source::Listener(listener) = &key.fileobj else { return Ok(()) };
        // The socket first: without one the client had better stay in the queue.
        let connecting = socket(self.upstream).and_then(|upstream| {
            let (client, _) = listener.accept()?;
            client.set_nonblocking(true)?;
            connect(&upstream, self.upstream)?;
            Ok(Source::Connecting { upstream, client })
        });
        match connecting {
            Ok(connecting) => {
                // What can't be registered is given back by the error, and so closed here.
                if let Err(refused) = self.selector.register(connecting, Events::WRITE, Flow::default()) {
                    eprintln!("refused a connection: {refused}");
                }
            }
            // Every wait would find the queue, and nothing could be done about it.
            Err(error) if is_too_many(&error) && self.selector.get_map().len() > 1 => {
                pause(&mut self.selector, self.listener)?;
            }
            Err(error) if is_too_many(&error) => return Err(error),
            // The client is gone, or the upstream can't be reached.
            Err(error) if !is_transient(&error) => eprintln!("refused a connection: {error}"),
            Err(_) => {}
        }
        Ok(())
    }

    /// The attempt to connect to the upstream has ended.
    fn connected(&mut self, fd: RawFd) -> io::Result<()> {
        let key = self.selector.unregister(fd)?;
        let failed = key.take_error()?;
        let Source::Connecting { upstream, client } = key.fileobj else { return Ok(()) };
        if let Some(errno) = failed {
            eprintln!("no connection to {}: {errno}", self.upstream);
            return self.resume_accepting();
        }
        let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
        let ends = Rc::new([client, upstream]);
        for number in 0..2 {
            let end = Source::End(Rc::clone(&ends), number);
            if let Err(refused) = self.selector.register(end, Events::READ, Flow::default()) {
                eprintln!("refused a connection: {refused}");
                drop(self.selector.unregister(&ends[0])); // registered, if it is the second that failed
                return self.resume_accepting();
            }
        }
        Ok(())
    }

    /// An end can be read, or written to, or is gone.
    fn carry(&mut self, fd: RawFd, events: Events) -> io::Result<()> {
        let Some(Source::End(ends, number)) = self.selector.get_key(fd).map(|key| &key.fileobj) else {
            return Ok(());
        };
        let (ends, from, to) = (Rc::clone(ends), *number, 1 - *number);
        let mut carried = Ok(());
        if events.contains(Events::WRITE) {
            carried = self.flow(&ends, to);
        }
        if carried.is_ok() && events.contains(Events::READ) {
            carried = self.flow(&ends, from);
        }
        let ended = |end: &TcpStream| self.selector.get_key(end).is_none_or(|key| key.data.passed_on);
        if carried.is_err() || ends.iter().all(ended) {
            // The last of the three references closes the sockets.
            drop(self.selector.unregister(&ends[0])?);
            drop(self.selector.unregister(&ends[1])?);
            return self.resume_accepting();
        }
        self.ask(&ends[from], &ends[to])?;
        self.ask(&ends[to], &ends[from])
    }

    /// Carries what there is from an end to the other one, as far as that has room.
    fn flow(&mut self, ends: &[TcpStream; 2], from: usize) -> io::Result<()> {
        let (mut source, sink) = (&ends[from], &ends[1 - from]);
        let Some(key) = self.selector.get_key_mut(source) else { return Ok(()) };
        let flow = key.data;
        if !flow.unsent.is_empty() {
            let sent = write_some(sink, &flow.unsent)?;
            flow.unsent.drain(..sent);
        } else if !flow.ended {
            match source.read(&mut self.buffer) {
                Ok(0) => flow.ended = true,
                Ok(count) => {
                    let sent = write_some(sink, &self.buffer[..count])?;
                    flow.unsent.extend_from_slice(&self.buffer[sent..count]);
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if flow.unsent.is_empty() {
            flow.unsent = Vec::new();
            if flow.ended && !flow.passed_on {
                flow.passed_on = true;
                return sink.shutdown(Shutdown::Write);
            }
        }
        Ok(())
    }

    /// Asks for what can be done with an end: reading as long as the other takes it, and writing
    /// while something waits to be written.
    fn ask(&mut self, end: &TcpStream, other: &TcpStream) -> io::Result<()> {
        let flow_from = |end| self.selector.get_key(end).map(|key| &key.data);
        let (Some(own), Some(others)) = (flow_from(end), flow_from(other)) else { return Ok(()) };
        let mut events = Events::empty();
        events.set(Events::READ, own.unsent.is_empty() && !own.ended);
        events.set(Events::WRITE, !others.unsent.is_empty());
        if events.is_empty() {
            return pause(&mut self.selector, end.as_raw_fd());
        }
        Ok(self.selector.modify(end, events)?) // no system call if nothing changes
    }

    /// A connection has ended, so there may be descriptors for another one.
    fn resume_accepting(&mut self) -> io::Result<()> {
        Ok(self.selector.modify(self.listener, Events::READ)?)
    }
}

/// Silences a key: a selector must be asked for something, so it is asked for one event more, which
/// finds nothing to do. After that not even a hang-up is told, until `modify`.
fn pause(selector: &mut Selector, fd: RawFd) -> io::Result<()> {
    match selector.get_key(fd) {
        Some(key) if key.mode != Mode::OneShot => Ok(selector.modify(fd, Events::READ.one_shot())?),
        _ => Ok(()),
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let stream = TcpStream::from(rustix::net::socket(family, SocketType::STREAM, None)?);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Begins to connect, and does not wait for it: `std` can't do that.
fn connect(stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
    match rustix::net::connect(stream, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes what there is room for.
fn write_some(mut sink: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match sink.write(bytes) {
        Err(error) if is_transient(&error) => Ok(0),
        result => result,
    }
}

/// Errors that say "not now": the selector reports the source again.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

fn is_too_many(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// As many descriptors as the system allows; the usual 1024 are 511 connections.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If that fails the limit stays as it is, which is no reason not to start.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
