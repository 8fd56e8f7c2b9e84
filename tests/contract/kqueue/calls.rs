//! How many system calls a change takes.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use selectors_core::storage::Fixed;
use selectors_core::{Events, Mode, Selector};

use super::inject::{Failure, calls, counted, failing};
use super::tests::interests;
use super::{Kqueue, System};
use crate::support::{Found, NOW, SOON, agree, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

type KqueueSelector<'a> = Selector<Kqueue<4>, &'a UnixStream, (), Fixed<8>>;

/// A selector that knows by a first change whether the kernel has receipts.
fn selector(stream: &UnixStream) -> KqueueSelector<'_> {
    let mut selector = KqueueSelector::new().unwrap();
    let fd = selector.register(stream, READ, ()).unwrap().fd;
    let _ = selector.unregister(fd).unwrap();
    selector
}

fn on_each_system(test: impl Fn()) {
    for system in System::ALL {
        println!("{system:?}");
        system.run(&test);
    }
}

#[test]
fn each_change_is_one_call() {
    on_each_system(|| {
        for (before, after) in
            interests().flat_map(|before| interests().map(move |after| (before, after)))
        {
            let streams = pair();
            let one = &streams.0;
            let mut selector = selector(one);
            let of = |calls: u32, expected: u32, what: &str| {
                assert_eq!(calls, expected, "{what}, {before:?} {after:?}");
            };
            of(counted(|| _ = selector.register(one, before, ()).unwrap()).1, 1, "register");
            let same = before == after && before.mode != Mode::Edge;
            of(counted(|| selector.modify(one, after).unwrap()).1, u32::from(!same), "modify");
            of(counted(|| selector.pause(one).unwrap()).1, 1, "pause");
            of(counted(|| selector.resume(one).unwrap()).1, 1, "resume");
            if after.events.contains(WRITE) {
                assert_eq!(selector.select(NOW).events(), Ok(1));
                let disarms = after.mode == Mode::OneShot && after.events.contains(READ);
                let (_, calls) = counted(|| assert!(selector.next_ready().is_some()));
                of(calls, u32::from(disarms), "next_ready");
                let arms = after.mode != Mode::Level;
                of(
                    counted(|| selector.modify(one, after).unwrap()).1,
                    u32::from(arms),
                    "arming it again",
                );
            }
            agree(&selector);
            of(counted(|| _ = selector.unregister(one).unwrap()).1, 1, "unregister");
        }
    });
}

#[test]
fn a_refusal_is_undone_by_one_more() {
    for (before, after) in
        interests().flat_map(|before| interests().map(move |after| (before, after)))
    {
        for refused in 0..4 {
            let failure = Failure::One(refused, Errno::NOMEM);
            let streams = pair();
            let one = &streams.0;
            let mut selector = selector(one);
            let ((registered, calls), _) =
                failing(0, failure, || counting(|| selector.register(one, before, ()).is_ok()));
            assert_eq!(calls, if registered { 1 } else { 2 }, "{before:?}, {refused}");
            if !registered {
                selector.register(one, before, ()).unwrap();
            }
            let ((modified, calls), _) =
                failing(0, failure, || counting(|| selector.modify(one, after).is_ok()));
            assert!(
                calls <= if modified { 1 } else { 2 },
                "{before:?} {after:?}, {refused}: {calls}"
            );
            let now = if modified { after } else { before };
            assert_eq!(selector.get_key(one).unwrap().interest(), now);
            agree(&selector);
        }
    }
}

/// Does something that may fail, and returns how many calls it made.
fn counting<T>(action: impl FnOnce() -> T) -> (T, u32) {
    let start = calls();
    let result = action();
    (result, calls() - start)
}

#[test]
fn without_receipts_the_first_change_is_two_calls() {
    System::NoReceipts.run(|| {
        let streams = pair();
        let mut selector = KqueueSelector::new().unwrap();
        let (_, calls) = counted(|| _ = selector.register(&streams.0, READ | WRITE, ()).unwrap());
        assert_eq!(calls, 2);
        let (_, calls) = counted(|| _ = selector.register(&streams.1, READ | WRITE, ()).unwrap());
        assert_eq!(calls, 1);
    });
}

/// A kernel that does not know receipts has room for events then.
#[test]
fn an_event_in_place_of_a_receipt_is_not_lost() {
    for mode in [Mode::Edge, Mode::OneShot] {
        let (streams, mut peers): (Vec<_>, Vec<_>) = [(); 3].map(|()| pair()).into_iter().unzip();
        let mut selector = KqueueSelector::new().unwrap();
        for stream in &streams[..2] {
            selector.register(stream, READ.with_mode(mode), ()).unwrap();
        }
        for peer in &mut peers[..2] {
            peer.write_all(b"!").unwrap();
        }
        let (registered, failed) = failing(0, Failure::NoReceipts, || {
            selector.register(&streams[2], (READ | WRITE).with_mode(mode), ()).is_ok()
        });
        assert!(registered && failed);
        let mut all = ready(&mut selector, SOON);
        all.append(&mut ready(&mut selector, NOW));
        let expected = [(&streams[0], READ), (&streams[1], READ), (&streams[2], WRITE)];
        assert_eq!(all, expected.map(|(stream, events)| (stream.as_raw_fd(), events)).into());
        assert!(ready(&mut selector, NOW).is_empty(), "{mode:?}");
        agree(&selector);
    }
}

/// A refusal is known without receipts, too, and all is as before.
#[test]
fn without_receipts_a_refusal_is_an_error() {
    System::NoReceipts.run(|| {
        let file = std::fs::File::open("/dev/null").unwrap();
        let streams = pair();
        let mut selector =
            Selector::<Kqueue<4>, &dyn std::os::fd::AsFd, (), Fixed<8>>::new().unwrap();
        for _ in 0..3 {
            let refused = selector
                .register(&file as &dyn std::os::fd::AsFd, READ, ())
                .map(|_| ())
                .unwrap_err();
            assert_eq!(refused.errno(), Some(Errno::INVAL));
            agree(&selector);
        }
        let fd = selector.register(&streams.0 as &dyn std::os::fd::AsFd, WRITE, ()).unwrap().fd;
        assert_eq!(ready(&mut selector, SOON), [(fd, WRITE)].into());
    });
}
