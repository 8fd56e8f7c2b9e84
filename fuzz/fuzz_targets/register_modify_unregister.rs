//! Random registrations, modifications and removals against a model, on every backend and table.
#![no_main]

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Error, Events, Interest, Mode, Selector};
use selectors_std::Growable;

#[derive(Arbitrary, Debug)]
enum Step {
    Register { source: u8, events: u8, mode: u8 },
    Modify { source: u8, events: u8, mode: u8 },
    Unregister { source: u8 },
    Write { source: u8 },
    /// Waits without waiting, and takes at most so many.
    Select { take: u8 },
}

const SOURCES: usize = 8;
const ROOM: usize = 5;

/// What a key is, and whether it may tell something: a one-shot that fired may not.
type Model = BTreeMap<RawFd, (Interest, bool)>;

fn interest(events: u8, mode: u8) -> Interest {
    let mode = [Mode::Level, Mode::Edge, Mode::OneShot][usize::from(mode) % 3];
    Events::from_bits_retain((events % 16).into()).with_mode(mode)
}

/// What must be answered before the kernel is asked.
fn refusal<B: Backend, M: Storage>(
    selector: &Selector<B, &UnixStream, u8, M>,
    asked: Interest,
) -> Option<Error> {
    let Interest { events, mode } = asked;
    if events.is_empty() || !(Events::READ | Events::WRITE | Events::PRIORITY).contains(events) {
        return Some(Error::InvalidEvents { events });
    }
    let backend = selector.kind();
    let unsupported = mode == Mode::Edge && !backend.supports_edge();
    unsupported.then_some(Error::Unsupported { backend: backend.name(), events, mode })
}

fn run<B: Backend, M: Storage>(steps: &[Step], room: usize) {
    let pairs: Vec<_> = (0..SOURCES).map(|_| UnixStream::pair().unwrap()).collect();
    let source = |number: u8| &pairs[usize::from(number) % SOURCES];
    let mut selector = Selector::<B, &UnixStream, u8, M>::new().unwrap();
    let mut model = Model::new();
    for step in steps {
        match *step {
            Step::Register { source: number, events, mode } => {
                let (one, asked) = (&source(number).0, interest(events, mode));
                let fd = one.as_raw_fd();
                let expected = refusal(&selector, asked)
                    .or(model.contains_key(&fd).then_some(Error::AlreadyRegistered { fd }))
                    .or((model.len() == room).then_some(Error::Full { capacity: room }));
                let answer = selector.register(one, asked, number).map(|key| key.interest());
                match answer {
                    Ok(kept) => {
                        assert_eq!((kept, expected), (asked, None));
                        model.insert(fd, (asked, true));
                    }
                    Err(refused) => {
                        assert_eq!((refused.fileobj.as_raw_fd(), refused.data), (fd, number));
                        assert_eq!(Some(refused.error), expected);
                    }
                }
            }
            Step::Modify { source: number, events, mode } => {
                let (one, asked) = (&source(number).0, interest(events, mode));
                let fd = one.as_raw_fd();
                let expected = refusal(&selector, asked)
                    .or((!model.contains_key(&fd)).then_some(Error::NotRegistered { fd }));
                assert_eq!(selector.modify(one, asked).err(), expected);
                if expected.is_none() {
                    model.insert(fd, (asked, true));
                }
            }
            Step::Unregister { source: number } => {
                let fd = source(number).0.as_raw_fd();
                let expected = model.remove(&fd).map(|(asked, _)| asked);
                match selector.unregister(fd) {
                    Ok(key) => assert_eq!(Some(key.interest()), expected),
                    Err(error) => assert_eq!((error, expected), (Error::NotRegistered { fd }, None)),
                }
            }
            Step::Write { source: number } => {
                use std::io::Write;
                source(number).1.set_nonblocking(true).unwrap();
                let _ = (&source(number).1).write(&[number]);
            }
            Step::Select { take } => {
                selector.select(Some(Duration::ZERO)).unwrap();
                for _ in 0..take {
                    let Some((key, events)) = selector.next_ready() else { break };
                    let (asked, armed) = model.get_mut(&key.fd).expect("an event for nobody");
                    assert!(*armed && asked.events.contains(events) && !events.is_empty());
                    *armed = asked.mode != Mode::OneShot;
                }
            }
        }
        let keys: Vec<_> = selector.get_map().iter().map(|key| (key.fd, key.interest())).collect();
        assert_eq!(keys.len(), model.len());
        assert!(keys.iter().all(|(fd, asked)| model[fd].0 == *asked));
    }
}

fuzz_target!(|steps: Vec<Step>| {
    run::<Epoll<3>, Fixed<ROOM>>(&steps, ROOM);
    run::<Poll<Fixed<ROOM>>, Fixed<ROOM>>(&steps, ROOM);
    run::<Select<Fixed<ROOM>>, Fixed<ROOM>>(&steps, ROOM);
    run::<Epoll<256>, Growable>(&steps, SOURCES + 1);
    run::<Poll<Growable>, Growable>(&steps, SOURCES + 1);
    run::<Select<Growable>, Growable>(&steps, SOURCES + 1);
});
