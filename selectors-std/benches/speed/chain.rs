//! libevent's chain of socket pairs, and a ball between two threads.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::measure::{BARE, Contender, FIXED, GROWABLE, MIO, POLLING, Plan, Row};
use crate::pool::pairs;
use crate::subjects::{Bare, Fixed, Growable, LEVEL, Mio, Polling, Subject};

type Pair = (OwnedFd, OwnedFd);

fn send(fd: impl AsFd) {
    rustix::io::write(fd, b"e").unwrap();
}

/// Each event reads a byte and writes one to the next pair, until `WRITES` have been written;
/// `active` of these relays run at a time. Per event, which is a wait's share, a read and a write.
fn chain<'a, S: Subject<'a>>(plan: Plan, chain: &'a [Pair], active: usize) -> f64 {
    const WRITES: usize = 50;
    let mut subject = S::open();
    for (index, (reader, _)) in (0_u64..).zip(chain) {
        subject.add(reader.as_fd(), LEVEL, index);
    }
    // Where the next relay starts: in the end all pairs have had their turn.
    let mut start = 0;
    plan.time(|| {
        for relay in 0..active {
            send(&chain[(start + relay * chain.len() / active) % chain.len()].1);
        }
        let (mut left, mut read) = (WRITES, 0);
        while read < active + WRITES {
            read += subject.wait(true, |fd, index| {
                rustix::io::read(fd, &mut [0; 1]).unwrap();
                if left > 0 {
                    left -= 1;
                    let next = usize::try_from(*index).unwrap() + 1;
                    send(&chain[next % chain.len()].1);
                }
            });
        }
        start = (start + WRITES) % chain.len();
        read
    })
}

/// Two threads, each waiting on its own selector for the other's byte. Per round trip.
fn ping_pong<'a, S: Subject<'a>>(plan: Plan, [here, there]: &'a [Pair; 2]) -> f64 {
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
            subject.add(there.0.as_fd(), LEVEL, 0);
            while receive(&mut subject) == b'e' {
                send(&here.1);
            }
        });
        let mut subject = S::open();
        subject.add(here.0.as_fd(), LEVEL, 0);
        let time = plan.time(|| {
            send(&there.1);
            receive(&mut subject);
            1
        });
        rustix::io::write(&there.1, b".").unwrap();
        time
    })
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for count in [100, 9000] {
        let pairs = pairs(count);
        for active in [1, 100] {
            let contenders = vec![
                Contender::new(BARE, || chain::<Bare<'_>>(plan, &pairs, active)),
                Contender::new(GROWABLE, || chain::<Growable<'_>>(plan, &pairs, active)),
                Contender::new(FIXED, || chain::<Fixed<'_, 10_240>>(plan, &pairs, active)),
                Contender::new(MIO, || chain::<Mio<'_>>(plan, &pairs, active)),
                Contender::new(POLLING, || chain::<Polling<'_>>(plan, &pairs, active)),
            ];
            let work = format!("chain, {count} pairs, {active} active");
            rows(Row::measure(work, "event", plan, contenders));
        }
    }
    let [one, two] = [pairs(1), pairs(1)];
    let [Some(one), Some(two)] = [one, two].map(|mut pair| pair.pop()) else { return };
    let both = [one, two];
    // A thread has to be started, and the scheduler to be averaged over.
    let plan = Plan { slice: plan.slice.max(Duration::from_millis(4)), ..plan };
    let contenders = vec![
        Contender::new(BARE, || ping_pong::<Bare<'_>>(plan, &both)),
        Contender::new(GROWABLE, || ping_pong::<Growable<'_>>(plan, &both)),
        Contender::new(FIXED, || ping_pong::<Fixed<'_, 64>>(plan, &both)),
        Contender::new(MIO, || ping_pong::<Mio<'_>>(plan, &both)),
        Contender::new(POLLING, || ping_pong::<Polling<'_>>(plan, &both)),
    ];
    let work = "ping-pong between two threads".to_owned();
    rows(Row::measure(work, "round trip", plan, contenders));
}
