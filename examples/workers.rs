//! An echo server with worker threads.
//!
//! An acceptor hands each connection to the worker that has the fewest.
//!
//! Each thread has its own selector. Connections and questions go to the
//! workers through channels, which wake their selectors. Reports come back
//! through another channel. If all workers are full, the acceptor pauses the
//! listener, and further connections wait in its queue. SIGUSR1 prints
//! statistics. SIGTERM closes the listener, and the workers send what they have
//! received before they end.
//!
//! ```text
//! # Four workers with a thousand connections each.
//! cargo run --example workers 127.0.0.1:10000 4 1000
//! ```
//!
//! It needs the crates selectors-std, signal-hook and socket2 (feature all).

use std::env;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use selectors_std::{DefaultSelector, Events, Inbox, Sender, channel};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use socket2::Socket;

/// How long peers may take to read the remaining data at the end.
const GRACE: Duration = Duration::from_secs(3);

enum Command {
    Serve(Socket),
    Report,
}

/// A report that a worker, with its number, sends to the acceptor.
enum Report {
    Closed(usize),
    Statistics(usize, Statistics),
}

#[derive(Clone, Copy, Default)]
struct Statistics {
    open: usize,
    served: usize,
    bytes: usize,
    waits: u64,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, served, bytes, waits } = self;
        write!(f, "{served} served, {open} open, {bytes} bytes, {waits} waits")
    }
}

#[derive(Clone, Copy)]
enum Role {
    Listener,
    Terminate,
    Report,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:10000".to_owned());
    let workers: usize = env::args().nth(2).unwrap_or("2".to_owned()).parse()?;
    let most: usize = env::args().nth(3).unwrap_or("1000".to_owned()).parse()?;

    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {} with {workers} workers", listener.local_addr()?);
    let mut selector = DefaultSelector::<Socket, Role>::new()?;
    let listener = selector.register(listener.into(), Events::READ, Role::Listener)?.id();
    for (signal, role) in [(SIGTERM, Role::Terminate), (SIGUSR1, Role::Report)] {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal, theirs)?;
        selector.register(ours.into(), Events::READ, role)?;
    }

    let (sender, mut reports) = channel(&mut selector)?;
    let (mut threads, mut commands, mut loads) = (Vec::new(), Vec::new(), vec![0; workers]);
    for number in 0..workers {
        let mut selector = DefaultSelector::new()?;
        let (command, inbox) = channel(&mut selector)?;
        commands.push(command);
        let worker = Worker {
            number,
            selector,
            inbox,
            reports: sender.clone(),
            statistics: Statistics::default(),
        };
        threads.push(thread::spawn(move || worker.run()));
    }

    'accept: loop {
        let has_room = loads.iter().any(|&load| load < most);
        let is_paused = selector.get_key(listener).is_some_and(|key| key.is_paused());
        // The listener may be paused though a worker has room, if no descriptor
        // was free. Then it is tried again in a moment.
        selector.select((has_room && is_paused).then_some(Duration::from_millis(100)))?;
        for report in reports.try_iter() {
            match report {
                Report::Closed(number) => loads[number] -= 1,
                Report::Statistics(number, statistics) => println!("worker {number}: {statistics}"),
            }
        }
        if loads.iter().any(|&load| load < most) {
            let _ = selector.resume(listener); // if that fails, it stays paused
        }
        while let Some((mut key, _events)) = selector.next_ready() {
            match key.data {
                Role::Terminate => break 'accept,
                Role::Report => {
                    let _ = key.read(&mut [0; 64]);
                    for command in &commands {
                        command.send(Command::Report).map_err(|_| "a worker has ended")?;
                    }
                }
                Role::Listener => {
                    let least = loads.iter_mut().zip(&commands).min_by_key(|(load, _)| **load);
                    let Some((load, worker)) = least.filter(|(load, _)| **load < most) else {
                        key.pause();
                        continue;
                    };
                    match accept(&key.fileobj) {
                        Ok(peer) => {
                            worker.send(Command::Serve(peer)).map_err(|_| "a worker has ended")?;
                            *load += 1;
                        }
                        Err(_) => key.pause(),
                    }
                }
            }
        }
    }

    println!("ending");
    drop(selector.unregister(listener)?);
    drop(commands); // the channels are closed, which wakes the workers
    for (number, thread) in threads.into_iter().enumerate() {
        let statistics = thread.join().map_err(|_| "a worker panicked")??;
        println!("worker {number} has ended: {statistics}");
    }
    Ok(())
}

fn accept(listener: &Socket) -> io::Result<Socket> {
    let (peer, _address) = listener.accept()?;
    peer.set_nonblocking(true)?;
    Ok(peer)
}

struct Worker {
    number: usize,
    /// The data are bytes that the peer has not read yet.
    selector: DefaultSelector<Socket, Vec<u8>>,
    inbox: Inbox<Command>,
    reports: Sender<Report>,
    statistics: Statistics,
}

impl Worker {
    /// Serves until the channel is closed, and what was received is sent.
    fn run(mut self) -> io::Result<Statistics> {
        let (mut buffer, mut deadline) = (vec![0; 16 << 10], None);
        loop {
            self.selector.select_until(deadline)?;
            self.obey();
            while let Some((mut key, _events)) = self.selector.next_ready() {
                let (peer, unsent) = key.parts();
                let next = echo(peer, unsent, &mut buffer).and_then(|(events, sent)| {
                    self.statistics.bytes += sent;
                    Ok(key.modify(events)?)
                });
                if next.is_err() {
                    drop(key.unregister()); // the peer has closed, or reset the connection
                    let _ = self.reports.send(Report::Closed(self.number));
                }
            }
            if self.inbox.is_closed() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + GRACE);
                self.selector.retain(|key| !key.data.is_empty());
                if self.selector.get_map().is_empty() || Instant::now() >= deadline {
                    return Ok(self.statistics());
                }
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.inbox.try_recv() {
            // If the acceptor has ended, no report is needed.
            let _ = match command {
                Command::Report => {
                    self.reports.send(Report::Statistics(self.number, self.statistics()))
                }
                Command::Serve(peer) => {
                    self.statistics.served += 1;
                    match self.selector.register(peer, Events::READ, Vec::new()) {
                        Ok(_) => continue,
                        Err(_) => self.reports.send(Report::Closed(self.number)),
                    }
                }
            };
        }
    }

    fn statistics(&self) -> Statistics {
        let (open, waits) = (self.selector.get_map().len(), self.selector.stats().waits);
        Statistics { open, waits, ..self.statistics }
    }
}

/// Echoes what there is, and keeps what the peer does not read yet. Then
/// nothing more is read.
///
/// Returns what to wait for next, and how many bytes were sent.
fn echo(mut peer: &Socket, unsent: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<(Events, usize)> {
    if unsent.is_empty() {
        match peer.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => unsent.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((Events::READ, 0)),
            Err(error) => return Err(error),
        }
    }
    let sent = match peer.write(unsent) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        result => result?,
    };
    unsent.drain(..sent);
    Ok((if unsent.is_empty() { Events::READ } else { Events::WRITE }, sent))
}
