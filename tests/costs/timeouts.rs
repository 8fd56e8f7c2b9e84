//! The timeouts of the system calls, as `strace` shows them.
//!
//! `epoll_wait` counts in milliseconds, and `ppoll` waits for a fraction of
//! one. strace also makes a call return what happens rarely: an error of
//! `ppoll`, or the result after another reader was faster.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use selectors_core::backend::Backend;
use selectors_core::{Events, Kind, Selector};

use crate::common::support::{Table, pair};
use crate::common::traced::{self, mark, marked};
use crate::common::{Check, every_pair};

/// Microseconds.
const fn micros(time: u64) -> Duration {
    Duration::from_micros(time)
}

/// A wait of a selector with one key.
struct Wait {
    timeout: Option<Duration>,
    /// Whether the key is ready.
    ready: bool,
    /// Whether a signal ends it.
    interrupted: bool,
}

fn wait<B: Backend, M: Table>(name: &str, wait: &Wait) {
    let (ours, mut theirs) = pair();
    let mut selector = Selector::<B, &UnixStream, (), M>::new().unwrap();
    selector.register(&ours, Events::READ, ()).unwrap();
    if wait.ready {
        theirs.write_all(b"!").unwrap();
    }
    mark(&format!("{name}: {}", selector.kind()));
    let begun = Instant::now();
    let result = marked("wait", || selector.select(wait.timeout)).unwrap();
    assert_eq!(result.interrupted(), wait.interrupted, "{name}");
    assert_eq!(result.events(), usize::from(wait.ready && !wait.interrupted), "{name}");
    if result.timed_out() {
        assert!(begun.elapsed() >= wait.timeout.unwrap(), "{name}");
    }
    assert_eq!(selector.stats().interrupted, u64::from(wait.interrupted), "{name}");
}

/// A call with its timeout.
type Timed = (&'static str, Option<Duration>);

/// A kind of selector, and the calls of its wait.
type Waited<'a> = (Kind, Vec<(&'a str, Option<Duration>)>);

/// The calls between two marks, and the kind of the selector that made them.
fn calls(log: &[traced::Call]) -> Vec<Waited<'_>> {
    let mut all = Vec::new();
    let mut lines = log.iter();
    while let Some(title) = lines.next() {
        let Some((_, kind)) = title.path().and_then(|path| path.split_once(": ")) else { continue };
        let begun = lines.next().unwrap();
        assert_eq!(begun.path(), Some("wait("));
        let calls = lines.by_ref().take_while(|line| line.path() != Some(")"));
        let calls = calls.map(|call| (call.name.as_str(), call.timeout())).collect();
        all.push((kind.parse().unwrap(), calls));
    }
    all
}

const fn epoll(milliseconds: u64) -> Timed {
    ("epoll_pwait", Some(Duration::from_millis(milliseconds)))
}

const fn ppoll(time: Duration) -> Timed {
    ("ppoll", Some(time))
}

/// Timeouts, and the calls on epoll if nothing is ready. If something is ready,
/// there is only the first of them.
const TIMEOUTS: &[(Duration, &[Timed])] = &[
    (Duration::ZERO, &[epoll(0)]),
    (Duration::from_nanos(1), &[epoll(0), ppoll(Duration::from_nanos(1))]),
    (micros(100), &[epoll(0), ppoll(micros(100))]),
    (micros(900), &[epoll(0), ppoll(micros(900))]),
    (micros(1_000), &[epoll(1)]),
    (micros(1_001), &[epoll(1), ppoll(micros(1))]),
    (micros(3_000), &[epoll(3)]),
    (micros(3_100), &[epoll(3), ppoll(micros(100))]),
    (Duration::from_nanos(3_999_999), &[epoll(3), ppoll(Duration::from_nanos(999_999))]),
];

struct Waits;

impl Check for Waits {
    fn check<B: Backend, M: Table>(&mut self, pair: &str) {
        for (timeout, _) in TIMEOUTS {
            for ready in [false, true] {
                wait::<B, M>(pair, &Wait { timeout: Some(*timeout), ready, interrupted: false });
            }
        }
        wait::<B, M>(pair, &Wait { timeout: None, ready: true, interrupted: false });
    }
}

#[test]
fn every_timeout_is_what_the_calls_get() {
    let Some(log) = traced::log(every_timeout_is_what_the_calls_get, || every_pair(&mut Waits))
    else {
        return;
    };
    let mut found = calls(&log).into_iter();
    for _ in 0..8 {
        for (timeout, calls) in TIMEOUTS {
            for ready in [false, true] {
                let (kind, found) = found.next().unwrap();
                let expected = match kind {
                    Kind::Epoll if ready => &calls[..1],
                    Kind::Epoll => calls,
                    Kind::Poll => &[("ppoll", Some(*timeout))],
                    _ => &[("pselect6", Some(*timeout))],
                };
                assert_eq!(found, expected, "{kind}, {timeout:?}, ready: {ready}");
            }
        }
        let (kind, found) = found.next().unwrap();
        assert_eq!(found.iter().map(|(_, timeout)| *timeout).collect::<Vec<_>>(), [None], "{kind}");
    }
    assert!(found.next().is_none(), "every backend with both tables");
}

/// On other processors std itself makes a `ppoll` when a program starts, and
/// would loop.
#[cfg(target_arch = "x86_64")]
mod injected {
    use selectors_core::Kind;
    use selectors_core::backend::Epoll;
    use selectors_std::Growable;

    use super::{Timed, Wait, calls, epoll, micros, ppoll, traced, wait};
    use crate::common::Fixed;

    /// Waits on epoll while strace injects something, and compares the calls.
    fn injected(test: impl Fn(), inject: &[&str], case: &Wait, expected: &[Timed]) {
        let options: Vec<_> = inject.iter().flat_map(|one| ["-e", one]).collect();
        let log = traced::log_with(&options, test, || {
            wait::<Epoll, Fixed>("fixed", case);
            wait::<Epoll<256>, Growable>("growable", case);
        });
        let Some(log) = log else { return };
        assert_eq!(
            calls(&log),
            [(Kind::Epoll, expected.to_vec()), (Kind::Epoll, expected.to_vec())]
        );
    }

    const NOTHING: Wait = Wait { timeout: Some(micros(3_100)), ready: false, interrupted: false };
    const WHOLE: Timed = epoll(3);
    const FRACTION: Timed = ppoll(micros(100));

    /// The first call of each wait returns 0, as if the key had become ready
    /// after it.
    #[test]
    fn what_comes_in_the_fraction_is_fetched() {
        let test = what_comes_in_the_fraction_is_fetched;
        let case = Wait { ready: true, ..NOTHING };
        injected(
            test,
            &["inject=epoll_pwait:retval=0:when=1+2"],
            &case,
            &[WHOLE, FRACTION, epoll(0)],
        );
    }

    /// Something is ready in the fraction, and then it is not: another reader
    /// was faster. How much time is left is not known, so the wait is as long
    /// as if there had been no second call.
    #[test]
    fn another_reader_is_faster() {
        let expected = [WHOLE, FRACTION, epoll(0), epoll(1)];
        injected(another_reader_is_faster, &["inject=ppoll:retval=1"], &NOTHING, &expected);
    }

    #[test]
    fn the_refinement_is_forbidden() {
        let expected = [WHOLE, FRACTION, epoll(1)];
        injected(the_refinement_is_forbidden, &["inject=ppoll:error=EPERM"], &NOTHING, &expected);
    }

    #[test]
    fn the_refinement_is_unknown() {
        let expected = [WHOLE, FRACTION, epoll(1)];
        injected(the_refinement_is_unknown, &["inject=ppoll:error=ENOSYS"], &NOTHING, &expected);
    }

    /// The kernel returns this error under a limit of no descriptors.
    #[test]
    fn the_refinement_is_invalid() {
        let expected = [WHOLE, FRACTION, epoll(1)];
        injected(the_refinement_is_invalid, &["inject=ppoll:error=EINVAL"], &NOTHING, &expected);
    }

    #[test]
    fn a_signal_ends_the_fraction() {
        let case = Wait { interrupted: true, ..NOTHING };
        injected(
            a_signal_ends_the_fraction,
            &["inject=ppoll:error=EINTR"],
            &case,
            &[WHOLE, FRACTION],
        );
    }

    #[test]
    fn a_signal_ends_the_whole_milliseconds() {
        let case = Wait { interrupted: true, ..NOTHING };
        injected(
            a_signal_ends_the_whole_milliseconds,
            &["inject=epoll_pwait:error=EINTR"],
            &case,
            &[WHOLE],
        );
    }

    /// The last call of a wait that another reader has disturbed.
    #[test]
    fn a_signal_ends_the_last_call() {
        let case = Wait { interrupted: true, ..NOTHING };
        let expected = [WHOLE, FRACTION, epoll(0)];
        let inject = ["inject=ppoll:retval=1", "inject=epoll_pwait:error=EINTR:when=2+2"];
        injected(a_signal_ends_the_last_call, &inject, &case, &expected);
    }
}
