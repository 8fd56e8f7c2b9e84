//! libevent's chain of socket pairs, and a ball between two threads.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::limits::PAIRS;
use crate::measure::Plan;
use crate::row::{Called, Contender, Row};
use crate::subjects::{
    BARE, Bare, EDGE, FIXED, Fixed, GROWABLE, Growable, LEVEL, MIO, Mio, POLLING, Pointer, Polling,
    Subject, Watch,
};
use crate::work::mode;

type Pair = (OwnedFd, OwnedFd);

/// Connected pairs of non-blocking sockets.
fn pairs(count: usize) -> Vec<Pair> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    (0..count)
        .map(|_| socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap())
        .collect()
}

/// How a chain is measured.
#[derive(Clone, Copy)]
struct Chain {
    plan: Plan,
    /// How many bytes are on their way at a time.
    active: usize,
    watch: Watch,
}

impl Chain {
    /// Each event reads the bytes of a pair and writes them to the next, until
    /// `WRITES` have been written. The figure is per byte: a share of a wait, a
    /// read and a write.
    fn round<'a, S: Subject<'a>>(self, chain: &'a [Pair]) -> f64 {
        const WRITES: usize = 50;
        let mut subject = S::open();
        for (index, (reader, _)) in (0_u64..).zip(chain) {
            subject.add(reader.as_fd(), self.watch, index);
        }
        // Where the bytes start. In the end all pairs have had their turn.
        let mut start = 0;
        // No more bytes are on their way, so that one read drains a pair, as
        // edges need.
        let mut bytes = [0; 128];
        self.plan.time(|| {
            for relay in 0..self.active {
                send(&chain[(start + relay * chain.len() / self.active) % chain.len()].1, b"e");
            }
            let (mut left, mut received) = (WRITES, 0);
            while received < self.active + WRITES {
                subject.wait(true, |fd, index| {
                    let read = rustix::io::read(fd, &mut bytes).unwrap();
                    received += read;
                    let forward = read.min(left);
                    if forward > 0 {
                        left -= forward;
                        let next = usize::try_from(*index).unwrap() + 1;
                        send(&chain[next % chain.len()].1, &bytes[..forward]);
                    }
                });
            }
            start = (start + WRITES) % chain.len();
            received
        })
    }

    fn contender<'a, S: Subject<'a>>(
        self,
        name: &'static str,
        called: Called,
        chain: &'a [Pair],
    ) -> Contender<'a> {
        Contender::new(name, move || match called {
            Called::Inlined => self.round::<S>(chain),
            Called::Pointer => self.round::<Pointer<S>>(chain),
        })
    }
}

fn send(fd: impl AsFd, bytes: &[u8]) {
    rustix::io::write(fd, bytes).unwrap();
}

/// Two threads, each of which waits on its own selector for the other's byte.
/// Per round trip.
fn ping_pong<'a, S: Subject<'a>>(plan: Plan, watch: Watch, [here, there]: &'a [Pair; 2]) -> f64 {
    fn receive<'a, S: Subject<'a>>(subject: &mut S) -> u8 {
        let mut byte = [0];
        let read = |fd: BorrowedFd<'a>, _: &mut u64| {
            rustix::io::read(fd, &mut byte).unwrap();
        };
        assert_eq!(subject.wait(true, read), 1);
        byte[0]
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut subject = S::open();
            subject.add(there.0.as_fd(), watch, 0);
            while receive(&mut subject) == b'e' {
                send(&here.1, b"e");
            }
        });
        let mut subject = S::open();
        subject.add(here.0.as_fd(), watch, 0);
        let time = plan.time(|| {
            send(&there.1, b"e");
            receive(&mut subject);
            1
        });
        send(&there.1, b".");
        time
    })
}

fn chains(plan: Plan, rows: &mut impl FnMut(Row)) {
    for (count, active) in [(100, 1), (100, 100), (PAIRS.fitting(), 1), (PAIRS.fitting(), 100)] {
        let pairs = &pairs(count)[..];
        for watch in [LEVEL, EDGE] {
            for called in Called::BOTH {
                let chain = Chain { plan, active, watch };
                let mut contenders = vec![
                    chain.contender::<Bare<'_>>(BARE, called, pairs),
                    chain.contender::<Growable<'_>>(GROWABLE, called, pairs),
                    chain.contender::<Fixed<'_, 10_240>>(FIXED, called, pairs),
                    chain.contender::<Polling<'_>>(POLLING, called, pairs),
                ];
                if watch.edge {
                    contenders.push(chain.contender::<Mio<'_>>(MIO, called, pairs));
                }
                let work = format!("chain, {count} pairs, {active} active, {}", mode(watch.edge));
                rows(Row::measure(&work, "ns/byte", called, plan, contenders));
            }
        }
    }
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    chains(plan, rows);
    let [one, two] = [pairs(1), pairs(1)];
    let [Some(one), Some(two)] = [one, two].map(|mut pair| pair.pop()) else { return };
    let both = &[one, two];
    // A thread has to be started, and the scheduler's decisions to be averaged.
    let plan = Plan { slice: plan.slice.max(Duration::from_millis(4)), ..plan };
    for watch in [LEVEL, EDGE] {
        let mut contenders = vec![
            Contender::new(BARE, || ping_pong::<Bare<'_>>(plan, watch, both)),
            Contender::new(GROWABLE, || ping_pong::<Growable<'_>>(plan, watch, both)),
            Contender::new(FIXED, || ping_pong::<Fixed<'_, 64>>(plan, watch, both)),
            Contender::new(POLLING, || ping_pong::<Polling<'_>>(plan, watch, both)),
        ];
        if watch.edge {
            contenders.push(Contender::new(MIO, || ping_pong::<Mio<'_>>(plan, watch, both)));
        }
        let work = format!("ping-pong between two threads, {}", mode(watch.edge));
        rows(Row::measure(&work, "ns/round trip", Called::Inlined, plan, contenders));
    }
}
