//! How many system calls each operation makes, as `strace` counts them.
//!
//! The test runs itself again under strace. There each operation is between two
//! calls of a kind that the test makes nowhere else, so that the log shows
//! which calls belong to which operation.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use selectors_core::backend::Backend;
use selectors_core::{Events, Kind, Selector};

use crate::common::support::{Found, NOW, SOON, Table, pair};
use crate::common::traced::{self, mark, marked};
use crate::common::{Check, every_pair};

/// The system calls of an operation. `wait` stands for the call that the
/// backend waits with.
struct Cost {
    operation: &'static str,
    /// On epoll.
    queue: &'static [&'static str],
    /// On poll and select, which only check whether the descriptor can be
    /// polled.
    sets: &'static [&'static str],
}

const fn cost(
    operation: &'static str,
    queue: &'static [&'static str],
    sets: &'static [&'static str],
) -> Cost {
    Cost { operation, queue, sets }
}

/// With debug assertions, std looks first whether a descriptor is open.
const CLOSE: &[&str] = if cfg!(debug_assertions) {
    &["fcntl", "close", "getpid", "close"]
} else {
    &["close", "getpid", "close"]
};

const COSTS: &[Cost] = &[
    cost("register", &["epoll_ctl"], &["ppoll"]),
    cost("register a registered source", &[], &[]),
    cost("modify to the same", &[], &[]),
    cost("modify", &["epoll_ctl"], &["ppoll"]),
    cost("modify back", &["epoll_ctl"], &["ppoll"]),
    cost("one-shot", &["epoll_ctl"], &["ppoll"]),
    cost("fire", &["wait"], &["wait"]),
    cost("fired, next_ready", &[], &[]),
    cost("re-arm", &["epoll_ctl"], &["ppoll"]),
    cost("look up", &[], &[]),
    cost("wait, nothing ready", &["wait"], &["wait"]),
    cost("wait 3 ms, nothing ready", &["wait"], &["wait"]),
    cost("wait 0.1 ms, nothing ready", &["wait", "ppoll"], &["wait"]),
    cost("wait, ready", &["wait"], &["wait"]),
    cost("next_ready", &[], &[]),
    cost("wait 0.1 ms, ready", &["wait"], &["wait"]),
    cost("wait with events left", &[], &[]),
    cost("wait without a timeout, ready", &["wait"], &["wait"]),
    cost("pause", &["epoll_ctl"], &[]),
    cost("pause again", &[], &[]),
    cost("wait, paused", &["wait"], &["wait"]),
    cost("resume", &["epoll_ctl"], &["ppoll"]),
    cost("resume again", &[], &[]),
    cost("unregister", &["epoll_ctl"], &[]),
    cost("unregister again", &[], &[]),
    cost("waker", &["getpid", "eventfd2", "epoll_ctl"], &["getpid", "eventfd2", "ppoll"]),
    cost("wake", &["write"], &["write"]),
    cost("wake again", &[], &[]),
    cost("woken", &["wait"], &["wait", "read"]),
    cost("burst of 100 wakes", &["write"], &["write"]),
    cost("woken once", &["wait"], &["wait", "read"]),
    cost("not woken again", &["wait"], &["wait"]),
    cost("ready, with a waker", &["wait"], &["wait"]),
    cost("wait for one", &["ppoll"], &["ppoll"]),
    cost("wait 0.1 ms for one", &["ppoll"], &["ppoll"]),
    cost("three lists", &["ppoll"], &["ppoll"]),
    cost("three lists, 0.1 ms", &["ppoll"], &["ppoll"]),
    cost("close", CLOSE, &["getpid", "close"]),
    cost("wake of a closed one", &[], &[]),
];

/// The operations, in the order of `COSTS`. Calls outside of the marks are not
/// compared.
struct Operations;

impl Check for Operations {
    fn check<B: Backend, M: Table>(&mut self, pair_name: &str) {
        let (ours, mut theirs) = pair();
        let mut selector = Selector::<B, &UnixStream, u8, M>::new().unwrap();
        let waking = M::cell();
        mark(&format!("{pair_name}: {}", selector.kind()));

        // The table has grown, so that memory needs no call.
        selector.register(&ours, Events::READ, 0).unwrap();
        let _ = selector.unregister(&ours).unwrap();

        marked("register", || selector.register(&ours, Events::READ, 1).is_ok());
        marked("register a registered source", || {
            selector.register(&ours, Events::READ, 1).is_err()
        });
        marked("modify to the same", || selector.modify(&ours, Events::READ)).unwrap();
        marked("modify", || selector.modify(&ours, Events::READ | Events::WRITE)).unwrap();
        marked("modify back", || selector.modify(&ours, Events::READ)).unwrap();
        marked("one-shot", || selector.modify(&ours, Events::WRITE.one_shot())).unwrap();
        marked("fire", || selector.select(SOON)).unwrap();
        assert!(marked("fired, next_ready", || selector.next_ready().is_some()));
        marked("re-arm", || selector.modify(&ours, Events::READ)).unwrap();
        marked("look up", || {
            *selector.get_key_mut(&ours).unwrap().data_mut() += 1;
            selector.get_map().iter().map(|key| key.data).sum::<u8>()
        });
        assert_eq!(marked("wait, nothing ready", || selector.select(NOW)).events(), Ok(0));
        let long = Some(Duration::from_millis(3));
        assert_eq!(marked("wait 3 ms, nothing ready", || selector.select(long)).events(), Ok(0));
        let short = Some(Duration::from_micros(100));
        assert_eq!(marked("wait 0.1 ms, nothing ready", || selector.select(short)).events(), Ok(0));
        theirs.write_all(b"!").unwrap();
        assert_eq!(marked("wait, ready", || selector.select(SOON)).events(), Ok(1));
        assert!(marked("next_ready", || selector.next_ready().is_some()
            && selector.next_ready().is_none()));
        assert_eq!(marked("wait 0.1 ms, ready", || selector.select(short)).events(), Ok(1));
        assert_eq!(marked("wait with events left", || selector.select(None)).events(), Ok(1));
        assert!(selector.next_ready().is_some());
        assert_eq!(
            marked("wait without a timeout, ready", || selector.select(None)).events(),
            Ok(1)
        );
        marked("pause", || selector.pause(&ours)).unwrap();
        marked("pause again", || selector.pause(&ours)).unwrap();
        assert!(marked("wait, paused", || selector.select(NOW)).unwrap().timed_out());
        marked("resume", || selector.resume(&ours)).unwrap();
        marked("resume again", || selector.resume(&ours)).unwrap();
        assert!(marked("unregister", || selector.unregister(&ours).is_ok()));
        assert!(marked("unregister again", || selector.unregister(&ours).is_err()));

        let waker = marked("waker", || selector.waker_in(waking)).unwrap();
        marked("wake", || waker.wake()).unwrap();
        marked("wake again", || waker.wake()).unwrap();
        assert_eq!(marked("woken", || selector.select(SOON)).woken_and(), Ok(0));
        marked("burst of 100 wakes", || (0..100).try_for_each(|_| waker.wake())).unwrap();
        assert_eq!(marked("woken once", || selector.select(SOON)).woken_and(), Ok(0));
        assert_eq!(marked("not woken again", || selector.select(NOW)).events(), Ok(0));
        selector.register(&ours, Events::READ, 0).unwrap();
        assert_eq!(marked("ready, with a waker", || selector.select(SOON)).events(), Ok(1));

        let one = marked("wait for one", || selectors_core::wait(&ours, Events::READ, None));
        assert_eq!(one, Ok(Events::READ));
        let one =
            marked("wait 0.1 ms for one", || selectors_core::wait(&theirs, Events::READ, short));
        assert_eq!(one, Ok(Events::empty()));
        let lists = marked("three lists", || {
            selectors_std::select(&[&ours], &[&ours, &theirs], &[&ours], SOON)
        });
        assert_eq!(lists.unwrap().1.len(), 2);
        let lists =
            marked("three lists, 0.1 ms", || selectors_std::select(&[&theirs], &[], &[], short));
        assert!(lists.unwrap().0.is_empty());
        marked("close", || selector.close());
        assert!(marked("wake of a closed one", || waker.wake()).is_err());
    }
}

#[test]
fn what_each_operation_costs() {
    let Some(log) = traced::log(what_each_operation_costs, || every_pair(&mut Operations)) else {
        return;
    };
    let mut pairs = 0;
    let mut lines = log.iter().peekable();
    while let Some(title) = lines.next() {
        let Some((pair, kind)) = title.path().and_then(|path| path.split_once(": ")) else {
            continue;
        };
        let kind: Kind = kind.parse().unwrap();
        pairs += 1;
        println!("{pair}");
        for cost in COSTS {
            let begin = format!("{}(", cost.operation);
            let found = lines.find(|line| line.path().is_some_and(|path| path.ends_with('(')));
            assert_eq!(found.and_then(|line| line.path()), Some(&*begin), "{pair}");
            let mut calls = Vec::new();
            for line in lines.by_ref().take_while(|line| line.path() != Some(")")) {
                calls.push(line.name.as_str());
            }
            let expected = if kind == Kind::Epoll { cost.queue } else { cost.sets };
            let expected: Vec<_> = expected
                .iter()
                .map(|call| match (*call, kind) {
                    ("wait", Kind::Epoll) => "epoll_pwait",
                    ("wait", Kind::Poll) => "ppoll",
                    ("wait", _) => "pselect6",
                    (call, _) => call,
                })
                .collect();
            println!("  {}: {} {}", cost.operation, calls.len(), calls.join(" "));
            assert_eq!(calls, expected, "{pair}: {}", cost.operation);
        }
    }
    assert_eq!(pairs, 8, "every backend with both tables");
}

/// A signal may interrupt the write of a wake, before it has written.
#[test]
fn an_interrupted_wake_is_tried_again() {
    // strace interrupts the first, third, fifth write of each thread, and so
    // on. All writes here are tried again, those of the test harness too, so
    // each is interrupted once.
    let interrupt = ["-e", "inject=write:error=EINTR:when=1+2"];
    let log = traced::log_with(&interrupt, an_interrupted_wake_is_tried_again, || {
        struct Wakes;
        impl Check for Wakes {
            fn check<B: Backend, M: Table>(&mut self, pair_name: &str) {
                let mut selector = Selector::<B, &UnixStream, (), M>::new().unwrap();
                let waker = selector.waker_in(M::cell()).unwrap();
                for _ in 0..2 {
                    marked("wake", || waker.wake()).unwrap();
                    // The first wake is pending, so this one makes no call.
                    marked("again", || waker.wake()).unwrap();
                    assert_eq!(selector.select(SOON).woken_and(), Ok(0), "{pair_name}");
                    assert_eq!(selector.select(NOW).events(), Ok(0), "{pair_name}");
                }
            }
        }
        every_pair(&mut Wakes);
    });
    let Some(log) = log else { return };
    let mut wakes = 0;
    let mut lines = log.iter();
    while let Some(line) = lines.next() {
        let Some(mark @ ("wake(" | "again(")) = line.path() else { continue };
        let calls = lines.by_ref().take_while(|line| line.path() != Some(")"));
        let writes: Vec<_> =
            calls.map(|call| (call.name.as_str(), call.failed_with("EINTR"))).collect();
        let expected: &[_] =
            if mark == "wake(" { &[("write", true), ("write", false)] } else { &[] };
        assert_eq!(writes, expected);
        wakes += usize::from(mark == "wake(");
    }
    assert_eq!(wakes, 16, "two with each backend and table");
}
