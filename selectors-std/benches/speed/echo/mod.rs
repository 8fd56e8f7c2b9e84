//! An echo server under load, on each library. Its client is a process of its
//! own, the same for all servers.

mod bare;
pub(crate) mod client;
mod mio;
mod ours;
mod polling;

use std::env;
use std::hint::black_box;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{self, Command};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::time::{ClockId, clock_gettime};

use self::client::MESSAGE;
use crate::limits::CONNECTIONS;
use crate::measure::{Plan, count};
use crate::row::{Called, Row};
use crate::subjects::{BARE, EDGE, FIXED, GROWABLE, LEVEL, MIO, POLLING, Watch};
use crate::work::mode;

/// A server, as a program on this library is written.
pub(crate) trait Server {
    /// Watches the listening socket.
    fn open(listener: OwnedFd, watch: Watch) -> Self;
    /// Waits, accepts what has connected, and calls `serve` for each connection
    /// that is ready. Closes it if that returns false.
    fn turn(&mut self, serve: impl FnMut(BorrowedFd<'_>) -> bool);
}

/// Accepts one connection, if one is pending.
pub(crate) fn accept(listener: impl AsFd) -> Option<OwnedFd> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(connection) => Some(connection),
        Err(Errno::AGAIN) => None,
        Err(error) => panic!("accept: {error}"),
    }
}

/// What a server has done.
#[derive(Default)]
struct Served {
    messages: usize,
    closed: usize,
}

impl Served {
    /// Sends back what a connection has received: once, or for edges until
    /// nothing is left. Returns false at its end.
    ///
    /// The client waits for each message before it sends the next one, so that
    /// a write always has space.
    #[inline(always)]
    fn echo(&mut self, connection: BorrowedFd<'_>, watch: Watch) -> bool {
        let mut buffer = [0; 4 * MESSAGE];
        loop {
            let read = match rustix::io::read(connection, &mut buffer) {
                // The client resets its connections in the end.
                Ok(0) | Err(Errno::CONNRESET) => break,
                Ok(read) => read,
                Err(Errno::AGAIN) => return true,
                Err(error) => panic!("read: {error}"),
            };
            match rustix::io::write(connection, &buffer[..read]) {
                Ok(written) if written == read => self.messages += 1,
                Err(Errno::CONNRESET | Errno::PIPE) => break,
                other => panic!("write of {read} bytes: {other:?}"),
            }
            if !watch.edge {
                return true;
            }
        }
        self.closed += 1;
        false
    }
}

/// When the server had which time, and how much of the processor.
#[derive(Clone, Copy)]
struct Mark {
    messages: usize,
    at: Instant,
    processor: f64,
}

impl Mark {
    fn new(served: &Served) -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let time = Duration::try_from(time).unwrap_or_default();
        Self { messages: served.messages, at: Instant::now(), processor: time.as_secs_f64() * 1e9 }
    }
}

/// Serves a load. `Load::round` has the figures.
type Round = fn(Load) -> [f64; 2];

/// A load, and how it is served.
#[derive(Clone, Copy)]
struct Load {
    plan: Plan,
    connections: usize,
    watch: Watch,
    called: Called,
}

impl Load {
    /// Nanoseconds per message: of time, and of the server's thread on a
    /// processor.
    fn round<S: Server>(self) -> [f64; 2] {
        let (listener, port) = client::listen();
        // A window far longer than the scheduler's turns.
        let window = self.plan.slice * 10;
        let client = start_client(port, self.connections, window);
        let mut server = S::open(listener, self.watch);
        let (mut served, mut begin, mut end) = (Served::default(), None, None);
        while served.closed < self.connections {
            match self.called {
                Called::Inlined => server.turn(|connection| served.echo(connection, self.watch)),
                Called::Pointer => {
                    let mut serve =
                        |connection: BorrowedFd<'_>| served.echo(connection, self.watch);
                    let serve: &mut dyn FnMut(BorrowedFd<'_>) -> bool = black_box(&mut serve);
                    server.turn(serve);
                }
            }
            // Once each connection has had a message, all are accepted, and the
            // load is constant.
            if begin.is_none() && served.messages >= self.connections {
                begin = Some(Mark::new(&served));
            }
            if end.is_none() && served.closed > 0 {
                end = Some(Mark::new(&served));
            }
        }
        client.join().unwrap();
        let (begin, end) = (begin.unwrap(), end.unwrap());
        let messages = count(end.messages - begin.messages);
        let time = (end.at - begin.at).as_secs_f64() * 1e9;
        [time / messages, (end.processor - begin.processor) / messages]
    }

    /// Two rows of one measurement.
    fn rows(self, rows: &mut impl FnMut(Row)) {
        let Self { plan, connections, watch, called } = self;
        let mut servers: Vec<(&str, Round)> = vec![
            (BARE, Self::round::<bare::Bare>),
            (GROWABLE, Self::round::<ours::Growable>),
            (FIXED, Self::round::<ours::Fixed>),
            (POLLING, Self::round::<polling::Polling>),
        ];
        if watch.edge {
            servers.push((MIO, Self::round::<mio::Mio>));
        }
        let many = servers.len();
        let empty =
            || servers.iter().map(|&(name, _)| (name.to_owned(), Vec::new())).collect::<Vec<_>>();
        let mut both = [empty(), empty()];
        for round in 0..plan.rounds.div_ceil(2) {
            for turn in 0..many {
                let turn = (turn + round) % many;
                let figures = servers[turn].1(self);
                for (samples, figure) in both.iter_mut().zip(figures) {
                    samples[turn].1.push(figure);
                }
            }
        }
        let [time, processor] = both;
        let plural = if connections == 1 { "" } else { "s" };
        let work = format!("echo, {connections} connection{plural}, {}", mode(watch.edge));
        rows(Row::new(&work, "ns/message", called, time));
        rows(Row::new(&format!("{work}, processor time"), "ns/message", called, processor));
    }
}

/// Starts the client. The thread ends with it, and ends this program if the
/// client fails: the server would wait for it.
fn start_client(port: u16, connections: usize, window: Duration) -> JoinHandle<()> {
    let arguments = [port.to_string(), connections.to_string(), window.as_millis().to_string()];
    let program = env::current_exe().unwrap();
    let mut client = Command::new(program).arg(client::CLIENT).args(arguments).spawn().unwrap();
    thread::spawn(move || {
        if !client.wait().is_ok_and(|status| status.success()) {
            eprintln!("the client of the echo server failed");
            process::exit(1);
        }
    })
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for connections in [1, 100, CONNECTIONS.fitting()] {
        for watch in [LEVEL, EDGE] {
            for called in Called::BOTH {
                Load { plan, connections, watch, called }.rows(rows);
            }
        }
    }
}
