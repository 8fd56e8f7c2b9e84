//! A gateway, by which a TCP peer reads and writes a serial line.
//!
//! ```text
//! serial DEVICE BAUD ADDRESS      serial /dev/ttyUSB0 115200 0.0.0.0:7777
//! ```
//!
//! It serves one peer at a time. The next one waits in the listener's queue.
//! While there is no peer, what the line sends is dropped. It ends with an
//! error if the line hangs up, for instance because its adapter was unplugged.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[path = "../parse.rs"]
mod parse;
#[path = "../sockets.rs"]
#[allow(dead_code, reason = "the daemon has more sockets")]
mod sockets;
#[path = "../start.rs"]
mod start;
#[path = "../text.rs"]
mod text;

use core::ffi::CStr;
use core::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{Errno, read, write};
use rustix::net::{self, SendFlags, SocketFlags};
use rustix::termios::{self, ControlModes, OptionalActions};
use selectors_core::{DefaultSelector, Error, Events, KeyId, SelectorCell};
use sockets::error;

#[derive(Clone, Copy)]
enum Role {
    Listener,
    Line,
    Peer,
}

type Selector = DefaultSelector<OwnedFd, Role, 3>;

static SELECTOR: SelectorCell<Selector> = SelectorCell::new();

fn main(arguments: start::Arguments) -> i32 {
    let (call, number) = match run(arguments) {
        Err(Some(Error::Os { call, errno, .. })) => (call, errno.raw_os_error().unsigned_abs()),
        _ => ("usage: serial DEVICE BAUD ADDRESS, error", 22),
    };
    start::complain(text::Text::new().line(call, number.into()).as_bytes());
    1
}

fn run(mut arguments: start::Arguments) -> Result<(), Option<Error>> {
    let device = arguments.nth(1).ok_or(None)?;
    let baud = arguments.next().and_then(|text| parse::number(text.to_bytes())).ok_or(None)?;
    let address = arguments.next().and_then(|text| parse::address(text.to_bytes())).ok_or(None)?;
    let (line, listener) = (open(device, baud)?, sockets::tcp_listener(address.into())?);
    start::complain(text::Text::new().line("port", sockets::port(&listener).into()).as_bytes());

    let selector = SELECTOR.open()?;
    let line = selector.register(line, Events::READ, Role::Line)?.id();
    let listener = selector.register(listener, Events::READ, Role::Listener)?.id();
    let (to_line, to_peer) = (Buffer::new(), Buffer::new());
    Gateway { selector, listener, line, peer: None, to_line, to_peer, starved: false }.serve()?;
    Ok(())
}

/// Opens a serial line without waiting for a carrier, and sets its speed.
///
/// All bytes pass unchanged: eight bits, no parity, no echo.
fn open(device: &CStr, baud: u32) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let line = fs::open(device, flags, Mode::empty()).map_err(error("open"))?;
    let mut settings = termios::tcgetattr(&line).map_err(error("tcgetattr"))?;
    settings.make_raw();
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings.set_speed(baud).map_err(error("baud"))?;
    termios::tcsetattr(&line, OptionalActions::Now, &settings).map_err(error("tcsetattr"))?;
    Ok(line)
}

/// Bytes that were received at one end, and are not sent to the other one yet.
struct Buffer {
    start: usize,
    end: usize,
    bytes: [u8; 256],
}

impl Buffer {
    fn new() -> Self {
        Self { start: 0, end: 0, bytes: [0; 256] }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads once, if all that was read before is sent.
    fn fill(&mut self, from: &OwnedFd) -> Result<(), Errno> {
        if self.is_empty() {
            match read(from, &mut self.bytes) {
                Ok(0) => return Err(Errno::PIPE),
                Ok(count) => (self.start, self.end) = (0, count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Writes once, if there is something to send.
    fn send(&mut self, to: &OwnedFd, role: Role) -> Result<(), Errno> {
        let unsent = self.bytes.get(self.start..self.end).unwrap_or_default();
        let sent = match role {
            _ if unsent.is_empty() => return Ok(()),
            // A socket whose peer has closed would end the process by SIGPIPE.
            Role::Peer => net::send(to, unsent, SendFlags::NOSIGNAL),
            _ => write(to, unsent),
        };
        match sent {
            Ok(count) => self.start += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

struct Gateway<'a> {
    selector: &'a mut Selector,
    listener: KeyId,
    line: KeyId,
    peer: Option<KeyId>,
    to_line: Buffer,
    to_peer: Buffer,
    /// The system had no descriptor for a peer, or no memory for the listener.
    starved: bool,
}

impl Gateway<'_> {
    /// Serves until the line hangs up.
    fn serve(&mut self) -> Result<(), Error> {
        loop {
            // Nothing is reported when a descriptor is free again, so look in a
            // second.
            self.selector.select(self.starved.then_some(Duration::from_secs(1)))?;
            if self.starved {
                self.starved = self.selector.resume(self.listener).is_err();
            }
            while let Some((mut key, _events)) = self.selector.next_ready() {
                match key.data {
                    Role::Listener => {
                        // It accepts no more until this peer has closed.
                        key.pause();
                        self.accept();
                    }
                    Role::Line => {
                        self.to_peer.fill(&key.fileobj).map_err(error("read"))?;
                        self.to_line.send(&key.fileobj, Role::Line).map_err(error("write"))?;
                    }
                    Role::Peer => {
                        let read = self.to_line.fill(&key.fileobj);
                        if read.and_then(|()| self.to_peer.send(&key.fileobj, Role::Peer)).is_err()
                        {
                            drop(key.unregister());
                            self.peer = None;
                            self.starved = self.selector.resume(self.listener).is_err();
                        }
                    }
                }
                self.watch()?;
            }
        }
    }

    fn accept(&mut self) {
        let Some(listener) = self.selector.get_key(self.listener) else { return };
        let peer =
            net::accept_with(&listener.fileobj, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC);
        let key =
            peer.ok().and_then(|peer| self.selector.register(peer, Events::READ, Role::Peer).ok());
        self.peer = key.map(|key| key.id());
        self.starved = self.peer.is_none();
    }

    /// Registers line and peer for what they wait for.
    ///
    /// An end is read only if all that it has sent is written to the other end.
    fn watch(&mut self) -> Result<(), Error> {
        if self.peer.is_none() {
            self.to_peer = Buffer::new();
        }
        let ends = [
            (Some(self.line), &self.to_peer, &self.to_line),
            (self.peer, &self.to_line, &self.to_peer),
        ];
        for (id, received, unsent) in ends {
            let Some(id) = id else { continue };
            let mut events = Events::empty();
            events.set(Events::READ, received.is_empty());
            events.set(Events::WRITE, !unsent.is_empty());
            if events.is_empty() {
                self.selector.pause(id)?;
            } else {
                self.selector.modify(id, events)?;
            }
        }
        Ok(())
    }
}
