//! What is reported of a descriptor: one table, and the same results on every
//! backend.

use rustix::fd::{AsRawFd, OwnedFd};
use std::ffi::{CStr, c_char, c_int};
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
#[cfg(unix)]
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketType};
#[cfg(unix)]
use rustix::pty::OpenptFlags;
use selectors_core::platform::{CONNECTING, flag};
use selectors_core::{Error, Events, Kind, Mode, Selector};

use crate::support::{Found, Kernel, NOW, Reports, SOON, Table, agree, pair, ready, tcp};

const NONE: Events = Events::empty();
const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;
const PRIORITY: Events = Events::PRIORITY;
const ERROR: Events = Events::ERROR;
const HANGUP: Events = Events::HANGUP;
const ENDS: Events = HANGUP.union(ERROR);
const READ_HANGUP: Events = Events::READ_HANGUP;

/// A descriptor to watch, and what must stay open with it.
type Scene = (OwnedFd, Option<OwnedFd>);

struct Row {
    what: &'static str,
    scene: fn() -> Scene,
    /// Reported for READ, for WRITE and for PRIORITY; for several of them, the
    /// union is.
    reported: [Events; 3],
    /// Of these, what only the hang-up says. It is lost where hang-ups are not
    /// reported.
    by_hangup: Events,
    /// Whether both filters of a kqueue report an end, of which the others
    /// report an error only.
    at_an_end: bool,
    pending: Result<Option<Errno>, Errno>,
}

/// The table.
#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |what, scene, reported, pending| Row { what, scene, reported, pending, by_hangup: NONE, at_an_end: false };
    let refused = Ok(Some(Errno::CONNREFUSED));
    // Windows returns it from the next call only.
    let reset = Ok(cfg!(unix).then_some(Errno::CONNRESET));
    let socket = Ok(None);
    #[cfg(unix)]
    let no_socket = Err(Errno::NOTSOCK);
    let mut rows = vec![
        row("nothing", nothing, [NONE, WRITE, NONE], socket),
        row("bytes", bytes, [READ, WRITE, NONE], socket),
        row("out-of-band byte", out_of_band, [NONE, WRITE, PRIORITY], socket),
        row("half-close, unix", half_close_unix, [READ | READ_HANGUP, WRITE, NONE], socket),
        row("half-close, tcp", half_close_tcp, [READ | READ_HANGUP, WRITE, NONE], socket),
        row("socket closed", socket_closed, [READ | READ_HANGUP | HANGUP, WRITE | HANGUP, HANGUP], socket),
        row("connection reset", connection_reset, [READ | READ_HANGUP | ENDS, WRITE | ENDS, ENDS], reset),
        row("connection refused", connection_refused, [READ | READ_HANGUP | ENDS, WRITE | ENDS, ENDS], refused),
        row("connect finished", connect_finished, [NONE, WRITE, NONE], socket),
        row("listener ready", listener_ready, [READ, NONE, NONE], socket),
    ];
    #[cfg(unix)]
    rows.extend([
        row("datagram refused", datagram_refused, [READ | ERROR, WRITE | ERROR, ERROR], refused),
        Row { by_hangup: WRITE, ..row("pipe without writer", no_writer, [READ | HANGUP, WRITE | HANGUP, HANGUP], no_socket) },
        Row { at_an_end: true, ..row("pipe without reader", no_reader, [READ | ERROR, WRITE | ERROR, ERROR], no_socket) },
        row("terminal's master", master, [READ | HANGUP, WRITE | HANGUP, HANGUP], no_socket),
        row("terminal's slave", slave, [READ | ENDS, WRITE | ENDS, ENDS], no_socket),
    ]);
    rows
}

impl Row {
    /// What a backend of this kind reports for an interest.
    fn expected(&self, kind: Kind, reports: Reports, requested: Events) -> Events {
        if kind == Kind::Kqueue {
            return self.expected_of_filters(requested);
        }
        let columns = [READ, WRITE, PRIORITY].into_iter().zip(self.reported);
        let mut reported: Events = columns
            .filter(|(column, _)| requested.contains(*column))
            .map(|(_, reported)| reported)
            .collect();
        if !reports.error {
            reported.remove(ERROR);
        }
        if !reports.read_hangup {
            reported.remove(READ_HANGUP);
        }
        if !reports.hangup {
            reported.remove(HANGUP | self.by_hangup);
        }
        reported
    }

    /// What a backend of this kind may report as well. What ends a connection
    /// is known exactly of epoll and kqueue, and of Linux's poll and select.
    /// Elsewhere poll reports some errors as hang-ups, and select some hang-ups
    /// as exceptional.
    fn permitted(&self, kind: Kind, reports: Reports, requested: Events) -> Events {
        let all = self.reported.into_iter().fold(NONE, |all, reported| all | reported);
        if reports.exact || !all.intersects(ENDS | READ_HANGUP) {
            return NONE;
        }
        requested | if kind == Kind::Poll { ENDS | READ_HANGUP } else { NONE }
    }

    /// What the two filters of a kqueue report, each of which knows of its own
    /// direction only.
    fn expected_of_filters(&self, requested: Events) -> Events {
        let [read, write, _] = self.reported;
        let mut reported = requested & (read | write) & (READ | WRITE);
        if requested.contains(READ) && (self.at_an_end || read.intersects(HANGUP | READ_HANGUP)) {
            reported |= READ_HANGUP;
        }
        if requested.contains(WRITE) && (self.at_an_end || write.contains(HANGUP)) {
            reported |= HANGUP;
        }
        reported
    }
}

pub fn the_table<B: Kernel, M: Table>() {
    for row in rows() {
        for bits in 1..8 {
            for mode in [Mode::Level, Mode::OneShot, Mode::Edge] {
                let requested = Events::from_bits_retain(bits);
                let mut selector = Selector::<B, _, _, M>::new().unwrap();
                let kind = selector.kind();
                if requested.contains(PRIORITY) && !kind.supports_priority()
                    || mode == Mode::Edge && !kind.supports_edge()
                {
                    continue;
                }
                let (watched, _other) = (row.scene)();
                let fd = watched.as_raw_fd();
                selector.register(watched, requested.with_mode(mode), ()).unwrap();

                let reported = row.expected(kind, B::reports(kind), requested);
                let timeout = if reported.is_empty() { NOW } else { SOON };
                let mut result = ready(&mut selector, timeout);
                let found = result.remove(&fd).unwrap_or_default();
                assert!(result.is_empty(), "{result:?}");
                let unexpected =
                    found - reported - row.permitted(kind, B::reports(kind), requested);
                assert!(
                    found.contains(reported) && unexpected.is_empty(),
                    "{} requested {requested:?} {mode:?}: {found:?}, not {reported:?}",
                    row.what
                );

                let pending = selector.get_key(fd).unwrap().take_error();
                assert_eq!(
                    pending.map_err(|error| error.errno().unwrap()),
                    row.pending,
                    "{}",
                    row.what
                );
            }
        }
    }
}

pub fn read_and_write_arrive_in_one_item<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    two.write_all(b"!").unwrap();
    selector.register(&one, READ | WRITE, ()).unwrap();
    for _ in 0..3 {
        assert_eq!(selector.select(SOON).events(), Ok(1));
        let (key, events) = selector.next_ready().unwrap();
        assert_eq!((key.fd, events), (one.as_raw_fd(), READ | WRITE));
        assert!(selector.next_ready().is_none());
    }
}

pub fn an_event_is_masked_when_it_is_returned<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    two.write_all(b"!").unwrap();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ, ()).unwrap();
    for (at_the_wait, now, reported) in [
        (READ | WRITE, READ, Some(READ)),
        (READ | WRITE, WRITE, Some(WRITE)),
        (READ, READ | WRITE, Some(READ)),
        (READ, WRITE, None),
        (WRITE, READ, None),
    ] {
        selector.modify(&one, at_the_wait).unwrap();
        assert_eq!(selector.select(SOON).events(), Ok(1));
        selector.modify(&one, now).unwrap();
        assert_eq!(
            selector.next_ready().map(|(_, events)| events),
            reported,
            "{at_the_wait:?}, then {now:?}"
        );
        assert!(selector.next_ready().is_none());
        agree(&selector);
    }
    assert_eq!(selector.stats().stale, 2);
}

#[cfg(unix)]
pub fn take_error_returns_an_error_once<B: Kernel, M: Table>() {
    let (watched, _) = datagram_refused();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(watched, READ, ()).unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    let (key, _) = selector.next_ready().unwrap();
    assert_eq!(key.take_error(), Ok(Some(Errno::CONNREFUSED)));
    assert_eq!(key.take_error(), Ok(None));
    assert!(
        ready(&mut selector, NOW).is_empty(),
        "the error was consumed, and nothing is there to read"
    );
}

pub fn priority_is_unsupported_or_reported<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let kind = selector.kind();
    let result = selector.register(&one, READ | PRIORITY, ()).map(|key| key.events);
    let unsupported =
        Error::Unsupported { backend: kind.name(), events: READ | PRIORITY, mode: Mode::Level };
    assert_eq!(
        result,
        if kind.supports_priority() { Ok(READ | PRIORITY) } else { Err(unsupported) }
    );
    agree(&selector);
}

fn nothing() -> Scene {
    let (one, two) = pair();
    (one.into(), Some(two.into()))
}

fn bytes() -> Scene {
    let (one, mut two) = pair();
    two.write_all(b"!").unwrap();
    (one.into(), Some(two.into()))
}

fn out_of_band() -> Scene {
    let (one, two) = tcp();
    rustix::net::send(&two, b"!", SendFlags::OOB).unwrap();
    (seen(one, flag::PRIORITY), Some(two.into()))
}

fn half_close_unix() -> Scene {
    let (one, two) = pair();
    two.shutdown(Shutdown::Write).unwrap();
    (one.into(), Some(two.into()))
}

fn half_close_tcp() -> Scene {
    let (one, two) = tcp();
    two.shutdown(Shutdown::Write).unwrap();
    (seen(one, PollFlags::IN), Some(two.into()))
}

fn socket_closed() -> Scene {
    (pair().0.into(), None)
}

fn connection_reset() -> Scene {
    let (one, two) = tcp();
    rustix::net::sockopt::set_socket_linger(&two, Some(Duration::ZERO)).unwrap();
    drop(two);
    (seen(one, PollFlags::IN), None)
}

fn connect_to(port: u16) -> OwnedFd {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::io::ioctl_fionbio(&socket, true).unwrap();
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    assert!(matches!(rustix::net::connect(&socket, &address), Ok(()) | Err(CONNECTING)));
    socket
}

fn connection_refused() -> Scene {
    // A closed listener's port, which its connection keeps. To some systems'
    // sockets that are bound and do not listen a connection is not refused: it
    // times out.
    let kept = tcp().1;
    let port = kept.local_addr().unwrap().port();
    (seen(connect_to(port), PollFlags::IN), Some(kept.into()))
}

fn datagram_refused() -> Scene {
    let (one, two) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)), UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    let (one, two) = (one.unwrap(), two.unwrap());
    one.connect(two.local_addr().unwrap()).unwrap();
    drop(two);
    one.send(b"!").unwrap();
    (seen(one, PollFlags::IN), None)
}

fn connect_finished() -> Scene {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let socket = connect_to(listener.local_addr().unwrap().port());
    (seen(socket, PollFlags::OUT), Some(listener.into()))
}

fn listener_ready() -> Scene {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (seen(listener, PollFlags::IN), Some(socket.into()))
}

#[cfg(unix)]
fn no_writer() -> Scene {
    let (reader, _) = std::io::pipe().unwrap();
    (reader.into(), None)
}

#[cfg(unix)]
fn no_reader() -> Scene {
    let (_, writer) = std::io::pipe().unwrap();
    (writer.into(), None)
}

// Not on every system through rustix.
#[cfg(unix)]
unsafe extern "C" {
    fn ptsname(master: c_int) -> *const c_char;
}

#[cfg(unix)]
fn terminal() -> (OwnedFd, OwnedFd) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = {
        // One buffer is all the C library has for the names.
        static NAME: Mutex<()> = Mutex::new(());
        let _alone = NAME.lock();
        // SAFETY: the name stays as it is until the next call, which the lock
        // keeps away.
        let name = unsafe { CStr::from_ptr(ptsname(master.as_raw_fd())) };
        rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap()
    };
    (master, slave)
}

#[cfg(unix)]
fn master() -> Scene {
    let (master, _) = terminal();
    (seen(master, PollFlags::IN), None)
}

#[cfg(unix)]
fn slave() -> Scene {
    let (_, slave) = terminal();
    (seen(slave, PollFlags::IN), None)
}

/// Waits until the kernel reports this, or an end or an error, which some
/// systems report as data to read only.
fn seen(fd: impl Into<OwnedFd>, flags: PollFlags) -> OwnedFd {
    let fd = fd.into();
    let mut requested = [PollFd::new(&fd, flags)];
    rustix::event::poll(&mut requested, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap();
    let ends = PollFlags::HUP | PollFlags::ERR;
    assert!(requested[0].revents().intersects(flags | ends), "{:?}", requested[0].revents());
    fd
}
