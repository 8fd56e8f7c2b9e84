//! Four threads wake one selector many thousand times each, and no wake is
//! lost.
//!
//! Wakes may coalesce, so counting those that arrive proves nothing. Each
//! thread therefore counts what it has announced, wakes, and sometimes waits
//! until the selecting thread has seen that count. Between wakes the selecting
//! thread waits without a timeout. If a wake is lost, all of them wait until
//! the test fails.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use selectors_core::backend::Backend;
use selectors_core::{Events, Selector, Stats, Waker};

use crate::common::support::{Table, pair};
use crate::common::{Check, every_pair, soak_seconds};

const THREADS: usize = 4;

/// How often each thread wakes: a hundred thousand times in a long run.
fn wakes() -> u64 {
    (4000 * soak_seconds()).min(100_000)
}

/// After how many wakes a thread waits until its count is seen. At times this
/// is after each wake, so that the wakes of other threads do not hide a lost
/// one for long, and at times after many, which coalesce.
fn patience(number: u64) -> u64 {
    [1, 2, 5, 10, 20, 50, 100, 100, 500, 1000][(number / 1000 % 10) as usize]
}

#[derive(Default)]
struct Line {
    announced: AtomicU64,
    seen: AtomicU64,
}

#[derive(Default)]
struct Shared {
    lines: [Line; THREADS],
    ended: AtomicUsize,
    woken: AtomicU64,
}

/// One of the threads. Sends a byte sometimes, so that waits end for other
/// reasons, too.
fn wake<W>(shared: &Shared, own: usize, waker: &Waker<W>, theirs: Option<&UnixStream>)
where
    W: std::ops::Deref<Target = selectors_core::WakeCell>,
{
    let (line, wakes) = (&shared.lines[own], wakes());
    for number in 1..=wakes {
        // Relaxed, as the wake alone must make the selecting thread see it.
        line.announced.store(number, Ordering::Relaxed);
        waker.wake().unwrap();
        if let Some(theirs) = theirs.filter(|_| number % 64 == own as u64) {
            send(theirs, b"!", SendFlags::empty()).unwrap();
        }
        if number % patience(number) == 0 || number == wakes {
            while line.seen.load(Ordering::Relaxed) < number {
                thread::yield_now();
            }
        }
    }
    shared.woken.fetch_add(wakes, Ordering::Relaxed);
    shared.ended.fetch_add(1, Ordering::Relaxed);
    waker.wake().unwrap();
}

fn storm<B: Backend, M: Table>(traffic: bool) -> Stats {
    let (ours, theirs) = pair();
    theirs.set_nonblocking(false).unwrap();
    let theirs = traffic.then(|| Arc::new(theirs));
    let shared = Arc::new(Shared::default());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    if traffic {
        selector.register(ours, Events::READ, ()).unwrap();
    }
    let waker = selector.waker_in(M::cell()).unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|own| {
            let (shared, waker, theirs) = (shared.clone(), waker.clone(), theirs.clone());
            thread::spawn(move || wake(&shared, own, &waker, theirs.as_deref()))
        })
        .collect();

    let (mut bytes, mut buffer) = (0, [0; 64]);
    while shared.ended.load(Ordering::Relaxed) < THREADS {
        selector.select(None).unwrap();
        for line in &shared.lines {
            line.seen.store(line.announced.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        while let Some((key, _events)) = selector.next_ready() {
            bytes += recv(&key.fileobj, &mut buffer, RecvFlags::empty()).unwrap().1;
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(shared.woken.load(Ordering::Relaxed), THREADS as u64 * wakes());
    if traffic {
        // The rest of the bytes may have come with the last wake.
        while bytes < THREADS * (wakes() as usize / 64) {
            selector.select(Some(Duration::from_secs(20))).unwrap();
            let (key, _events) = selector.next_ready().expect("a byte was lost");
            bytes += recv(&key.fileobj, &mut buffer, RecvFlags::empty()).unwrap().1;
        }
    }
    selector.stats()
}

/// Does something that must not take more than a minute.
fn watched<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    match result.recv_timeout(Duration::from_secs(60)) {
        Ok(result) => result,
        Err(error) => panic!("{what}: a wake was lost, or it is far too slow ({error})"),
    }
}

#[test]
fn no_wake_is_lost() {
    struct Storm;
    impl Check for Storm {
        fn check<B: Backend, M: Table>(&mut self, pair: &str) {
            let stats = watched(pair, || storm::<B, M>(true));
            println!("{pair}: {} wakes, {} waits", THREADS as u64 * wakes(), stats.waits);
        }
    }
    every_pair(&mut Storm);
}

#[cfg(target_os = "linux")]
#[test]
fn a_wake_is_one_write_at_most() {
    use selectors_core::backend::Epoll;
    use selectors_std::Growable;

    use crate::common::traced;

    let storm = || {
        let stats = storm::<Epoll<256>, Growable>(false);
        println!("{} waits", stats.waits);
    };
    let Some(table) = traced::summary(a_wake_is_one_write_at_most, storm) else { return };
    let wakes = THREADS as u64 * wakes();
    let writes = traced::calls(&table, "write");
    println!("{wakes} wakes, {writes} writes\n{table}");
    assert!((1..=wakes).contains(&writes), "{table}");
}
