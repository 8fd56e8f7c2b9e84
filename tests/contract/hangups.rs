//! `READ_HANGUP` without `READ`: the peer's end, while its data stays unread.

use rustix::fd::AsRawFd;
use std::io::{Read, Write};
use std::net::Shutdown;

use selectors_core::{Error, Events, Kind, Mode, Selector, wait};

use crate::pauses::modes;
use crate::support::{Found, Kernel, NOW, SOON, Table, agree, pair, ready};

const READ: Events = Events::READ;
const READ_HANGUP: Events = Events::READ_HANGUP;

/// With a hang-up that is reported alone and in every mode, where the backend
/// knows it.
pub fn the_end_is_reported_without_reading<B: Kernel, M: Table>() {
    let kind = Selector::<B, std::fs::File, (), M>::new().unwrap().kind();
    for mode in modes(kind) {
        let (one, mut two) = pair();
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        let interest = READ_HANGUP.with_mode(mode);
        if !B::reports(kind).read_hangup {
            let backend = kind.name();
            let unsupported = Error::Unsupported { backend, events: READ_HANGUP, mode };
            assert_eq!(selector.register(&one, interest, ()).unwrap_err(), unsupported);
            selector.register(&one, READ, ()).unwrap();
            assert_eq!(selector.modify(&one, interest), Err(unsupported));
            assert_eq!(selector.get_key(&one).unwrap().events, READ);
            agree(&selector);
            continue;
        }
        selector.register(&one, interest, ()).unwrap();
        agree(&selector);
        two.write_all(b"not read yet").unwrap();
        assert!(selector.select(NOW).unwrap().timed_out(), "{mode:?}: data");
        two.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), READ_HANGUP)].into(), "{mode:?}");
        let again = usize::from(mode == Mode::Level);
        assert_eq!(ready(&mut selector, NOW).len(), again, "{mode:?}");
        drop(two);
        if mode == Mode::OneShot {
            assert!(selector.select(NOW).unwrap().timed_out());
            selector.modify(&one, interest).unwrap();
        }
        let whole = ready(&mut selector, SOON)[&one.as_raw_fd()];
        assert!(whole.contains(READ_HANGUP | Events::HANGUP) && !whole.contains(READ), "{whole:?}");
        // Nothing was read before.
        assert_eq!((&one).read(&mut [0; 99]).unwrap(), 12);
        selector.modify(&one, READ | READ_HANGUP).unwrap();
        assert!(ready(&mut selector, SOON)[&one.as_raw_fd()].contains(READ | READ_HANGUP));
        agree(&selector);
    }
}

/// `READ` includes it, on every backend: to request both is to request `READ`.
pub fn with_read_it_is_requested_everywhere<B: Kernel, M: Table>() {
    let kind = Selector::<B, std::fs::File, (), M>::new().unwrap().kind();
    for mode in modes(kind) {
        let (one, mut two) = pair();
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        let interest = (READ | READ_HANGUP).with_mode(mode);
        assert_eq!(selector.register(&one, interest, ()).unwrap().interest(), interest);
        agree(&selector);
        assert!(selector.select(NOW).unwrap().timed_out());
        two.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), READ)].into());
        two.shutdown(Shutdown::Write).unwrap();
        selector.modify(&one, interest).unwrap();
        let end = ready(&mut selector, SOON)[&one.as_raw_fd()];
        assert!(end.contains(READ));
        let reported = kind == Kind::Kqueue || B::reports(kind).read_hangup;
        // A poll that can't watch for it alone may report it all the same.
        let exact = kind != Kind::Poll || reported;
        assert!(!exact || end.contains(READ_HANGUP) == reported, "{kind}: {end:?}");
    }
}

/// It may be requested with `WRITE`, which is reported whenever the socket
/// accepts more.
pub fn with_other_events<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let events = READ_HANGUP | Events::WRITE;
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let (kind, mode) = (selector.kind(), Mode::Level);
    let registered = selector.register(&one, events, ()).map(|key| key.events);
    if !B::reports(kind).read_hangup {
        let unsupported = Error::Unsupported { backend: kind.name(), events, mode };
        return assert_eq!(registered, Err(unsupported));
    }
    assert_eq!(registered, Ok(events));
    assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), Events::WRITE)].into());
    two.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), events)].into());
    // What is reported is what the key is interested in when it is handled.
    assert_eq!(selector.select(SOON).events(), Ok(1));
    selector.modify(&one, READ_HANGUP).unwrap();
    assert_eq!(selector.next_ready().unwrap().1, READ_HANGUP);
    selector.modify(&one, Events::WRITE).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), Events::WRITE)].into());
    selector.pause(&one).unwrap();
    assert!(selector.select(NOW).unwrap().timed_out());
}

/// `wait` accepts it where a selector on poll does.
pub fn a_wait_for_one_accepts_it<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    if !Kind::Poll.supports_read_hangup() {
        return assert!(matches!(wait(&one, READ_HANGUP, NOW), Err(Error::Unsupported { .. })));
    }
    two.write_all(b"!").unwrap();
    assert_eq!(wait(&one, READ_HANGUP, NOW), Ok(Events::empty()));
    assert_eq!(wait(&one, READ | READ_HANGUP, SOON), Ok(READ));
    two.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wait(&one, READ_HANGUP, SOON), Ok(READ_HANGUP));
    assert_eq!(wait(&one, READ_HANGUP | Events::WRITE, SOON), Ok(READ_HANGUP | Events::WRITE));
    assert_eq!(wait(&one, READ, SOON), Ok(READ | READ_HANGUP));
    drop(two);
    assert!(wait(&one, READ_HANGUP, SOON).unwrap().contains(READ_HANGUP | Events::HANGUP));
}
