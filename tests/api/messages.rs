//! The messages of errors, and the output of `Debug`.

use std::fmt::Debug;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use selectors_core::backend::{Any, Backend, Poll, Token};
use selectors_core::storage::Fixed;
use selectors_core::{
    DefaultSelector, Error, Events, FileKind, Mode, PollSelector, SelectorCell, WakeCell, if_epoll,
    if_kqueue, if_no_queue, if_select,
};

use crate::common::support::{NOW, pair};

const READ: Events = Events::READ;
const PRIORITY: Events = Events::PRIORITY;

#[test]
fn errors_say_what_and_what_to_do() {
    let events = READ | Events::ERROR;
    use std::io::ErrorKind::{
        AlreadyExists, BrokenPipe, InvalidInput, NotFound, OutOfMemory, ResourceBusy, Unsupported,
    };
    let shown = [
        (
            Error::InvalidEvents { events: Events::empty() },
            InvalidInput,
            "no events to watch for; request READ, WRITE, PRIORITY or READ_HANGUP, or pause the key",
        ),
        (
            Error::InvalidEvents { events },
            InvalidInput,
            "ERROR can't be requested; request READ, WRITE, PRIORITY or READ_HANGUP",
        ),
        (
            Error::InvalidFd { fd: -1 },
            InvalidInput,
            "descriptor -1 is negative; pass one that is open",
        ),
        (
            Error::AlreadyRegistered { fd: 7 },
            AlreadyExists,
            "descriptor 7 is registered already; modify or unregister it",
        ),
        (
            Error::NotRegistered { key: 7.into() },
            NotFound,
            "descriptor 7 is not registered; register it first",
        ),
        (
            Error::Full { capacity: 4 },
            OutOfMemory,
            "the key table is full with 4 keys, a waker included; \
             unregister one, or choose a larger capacity",
        ),
        (
            Error::FdOutOfRange { fd: 1024, limit: 1024 },
            Unsupported,
            "select can't watch descriptor 1024, only those below 1024; use poll, epoll or kqueue",
        ),
        (
            Error::Unsupported { backend: "poll", events: READ, mode: Mode::Edge },
            Unsupported,
            "poll does not support edge-triggered mode; \
             use level-triggered or one-shot mode, or epoll or kqueue",
        ),
        (
            Error::Unsupported { backend: "kqueue", events: READ | PRIORITY, mode: Mode::Edge },
            Unsupported,
            "kqueue does not support PRIORITY; use poll or select",
        ),
        (
            Error::Unsupported {
                backend: "select",
                events: Events::READ_HANGUP,
                mode: Mode::Level,
            },
            Unsupported,
            "select does not support READ_HANGUP without READ; request READ too",
        ),
        (
            Error::UnknownBackend,
            NotFound,
            "no such backend on this platform; choose among epoll, kqueue, poll and select",
        ),
        (
            Error::WakerInUse,
            ResourceBusy,
            "the wake cell belongs to another selector, or the selector has another cell; \
             use one cell for each selector",
        ),
        (
            Error::WakerClosed,
            BrokenPipe,
            "the selector of this waker was dropped; drop the waker too",
        ),
        (
            Error::CellInUse,
            ResourceBusy,
            "the cell holds a selector already; use one cell for each selector",
        ),
    ];
    for (error, kind, message) in shown {
        assert_eq!((error.to_string().as_str(), error.errno()), (message, None));
        let error = std::io::Error::from(error);
        assert_eq!((error.to_string().as_str(), error.kind()), (message, kind));
    }
}

#[test]
fn refusals_of_the_kernel_come_with_advice() {
    let (regular, directory, device, other) = (
        Some(FileKind::Regular),
        Some(FileKind::Directory),
        Some(FileKind::Device),
        Some(FileKind::Other),
    );
    let shown = [
        ("fcntl", Errno::BADF, None, "the descriptor is closed; keep it open while it is watched"),
        (
            "poll",
            Errno::BADF,
            regular,
            "the descriptor is open but can't be polled; open it without O_PATH",
        ),
        (
            "epoll_ctl",
            Errno::PERM,
            None,
            "the file can't be polled, as regular files and directories, or a sandbox forbids the call; use poll",
        ),
        (
            "epoll_ctl",
            Errno::PERM,
            regular,
            "a regular file is always ready; read it without a selector, or use poll",
        ),
        (
            "epoll_ctl",
            Errno::PERM,
            directory,
            "a directory can't be polled; read it without a selector",
        ),
        (
            "epoll_ctl",
            Errno::PERM,
            device,
            "this device can't be polled; read it without a selector, or use poll",
        ),
        (
            "epoll_ctl",
            Errno::PERM,
            other,
            "a sandbox forbids the call, or the file can't be polled; use AnySelector, or poll",
        ),
        ("poll", Errno::PERM, None, ""),
        (
            "epoll_create1",
            Errno::NOSYS,
            None,
            "the kernel or a sandbox forbids the call; use AnySelector, or poll",
        ),
        (
            "epoll_ctl",
            Errno::LOOP,
            None,
            "selectors are nested too deeply or form a cycle; unregister one of them",
        ),
        (
            "epoll_create1",
            Errno::MFILE,
            None,
            "the process has no descriptor left; close some, or raise RLIMIT_NOFILE",
        ),
        (
            "epoll_ctl",
            Errno::NOSPC,
            None,
            "the user watches too many descriptors; raise /proc/sys/fs/epoll/max_user_watches",
        ),
        (
            "epoll_ctl",
            Errno::NOENT,
            None,
            "the descriptor was closed, and another file has its number; unregister it",
        ),
        ("open", Errno::NOENT, None, ""),
        (
            "poll",
            Errno::INVAL,
            None,
            "perhaps there are more descriptors than RLIMIT_NOFILE; watch fewer, or raise it",
        ),
        ("epoll_ctl", Errno::INVAL, None, ""),
        ("epoll_ctl", Errno::NOMEM, None, ""),
    ];
    for (call, errno, file, advice) in shown {
        let advice = if advice.is_empty() { String::new() } else { format!(": {advice}") };
        let with = Error::Os { call, fd: Some(7), errno, file };
        assert_eq!(with.to_string(), format!("{call} of descriptor 7: {errno}{advice}"));
        let without = Error::Os { call, fd: None, errno, file };
        assert_eq!(without.to_string(), format!("{call}: {errno}{advice}"));
        assert_eq!(
            (without.errno(), std::io::Error::from(without).kind()),
            (Some(errno), errno.kind())
        );
    }
}

#[test]
fn an_unregistered_key_is_named_by_its_id() {
    let (ours, _theirs) = pair();
    let mut selector = PollSelector::<_, _, 4>::new().unwrap();
    let id = selector.register(ours, READ, ()).unwrap().id();
    drop(selector.unregister(id).unwrap());
    let missing = selector.unregister(id).unwrap_err();
    assert_eq!(missing, Error::NotRegistered { key: id.into() });
    assert_eq!(
        missing.to_string(),
        format!("{id:?} is not registered; it was unregistered, or is another selector's")
    );
}

#[test]
fn debug_of_keys_and_tables() {
    let (ours, _theirs) = pair();
    let fd = ours.as_raw_fd();
    let mut selector = PollSelector::<_, _, 4>::new().unwrap();
    let refused = selector.try_register(ours.as_fd(), Events::empty(), "data").unwrap_err();
    assert_eq!(
        format!("{refused:?}"),
        "RegisterError { error: InvalidEvents { events: Events(0x0) }, .. }"
    );
    assert_eq!(std::io::Error::from(refused).kind(), std::io::ErrorKind::InvalidInput);
    selector.register(ours.as_fd(), Events::WRITE, "data").unwrap();
    let id = selector.get_key(fd).unwrap().id();
    let key =
        format!("events: Events(WRITE), mode: Level, paused: false, id: {id:?}, data: \"data\" }}");
    let fileobj = format!("{{ fileobj: {:?}, fd: {fd}, {key}", ours.as_fd());
    assert_eq!(format!("{:?}", selector.get_key(fd).unwrap()), format!("SelectorKey {fileobj}"));
    selector.select(NOW).unwrap();
    assert_eq!(
        format!("{:?}", selector.next_ready().unwrap().0),
        format!("KeyMut(SelectorKey {fileobj})")
    );
    let keys = format!("{{{fd}: Interest {{ events: Events(WRITE), mode: Level }}}}");
    assert_eq!(format!("{:?}", selector.get_map()), keys);
    assert_eq!(format!("{:?}", selector.get_map().iter()), keys);
    let stats = "Stats { waits: 1, interrupted: 0, wakes: 0, events: 1, stale: 0, rebuilds: 0, \
                 failed_rebuilds: 0 }";
    assert_eq!(
        format!("{selector:?}"),
        format!("Selector {{ kind: Poll, keys: {keys}, waker: false, stats: {stats} }}")
    );
    assert_eq!(
        format!("{:?}", selector.walk()),
        keys.replace(&format!("{{{fd}"), &format!("{{{id:?}"))
    );
    selector.pause(id).unwrap();
    let paused = "{fd}: Paused(Interest { events: Events(WRITE), mode: Level })";
    let keys = format!("{{{}}}", paused.replace("{fd}", &fd.to_string()));
    assert_eq!(format!("{:?}", selector.get_map()), keys);
    assert_eq!(format!("{:?}", selector.get_map().iter()), keys);
    assert!(
        format!("{selector:?}")
            .starts_with(&format!("Selector {{ kind: Poll, keys: {keys}, waker"))
    );
    assert_eq!(
        format!("{:?}", selector.walk()),
        format!("{{{}}}", paused.replace("{fd}", &format!("{id:?}")))
    );
}

#[test]
fn debug_of_cells() {
    static SELECTOR: SelectorCell<DefaultSelector<File, (), 4>> = SelectorCell::new();
    assert_eq!(format!("{SELECTOR:?}"), "SelectorCell { taken: false }");
    let cell = WakeCell::new();
    assert_eq!(format!("{cell:?}"), "WakeCell { open: false, pending: false, .. }");
    // Leaked, as the selector borrows it for as long as the program runs.
    let cell: &'static WakeCell = Box::leak(Box::new(cell));
    let mut selector = DefaultSelector::<File, (), 4>::new().unwrap();
    let waker = selector.waker_in(cell).unwrap();
    assert_eq!(format!("{cell:?}"), "WakeCell { open: true, pending: false, .. }");
    waker.wake().unwrap();
    assert_eq!(format!("{cell:?}"), "WakeCell { open: true, pending: true, .. }");
}

/// The output of `Debug` for a backend that watches this descriptor.
fn shown<B: Backend + Debug>(fd: BorrowedFd<'_>) -> String {
    // SAFETY: what is added stays open as long as the backend.
    let mut backend = unsafe { B::new() }.unwrap();
    // SAFETY: as above.
    unsafe { backend.add(fd, Token::from_u64(1 << 32), Events::WRITE.into()) }.unwrap();
    format!("{backend:?}")
}

/// The output has the number of the queue itself, which the test does not know.
#[allow(dead_code, reason = "not every system has one")]
fn queues<B: Backend + Debug>(name: &str) {
    let (ours, _theirs) = pair();
    for shown in [shown::<B>(ours.as_fd()), shown::<Any<Fixed<4>>>(ours.as_fd())] {
        let rest = shown.strip_prefix(name).and_then(|rest| rest.strip_prefix(" { fd: "));
        let rest = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        assert_eq!(rest, Some(", pending: 0 }"), "{shown}");
    }
}

#[test]
fn debug_of_poll() {
    let (ours, _theirs) = pair();
    assert_eq!(shown::<Poll<Fixed<4>>>(ours.as_fd()), format!("Poll {{{}}}", ours.as_raw_fd()));
}

if_select! {
    #[test]
    fn debug_of_select() {
        use selectors_core::backend::Select;
        let (ours, _theirs) = pair();
        assert_eq!(shown::<Select<Fixed<4>>>(ours.as_fd()), format!("Select {{{}}}", ours.as_raw_fd()));
    }
}

if_epoll! {
    #[test]
    fn debug_of_epoll() {
        queues::<selectors_core::backend::Epoll>("Epoll");
    }
}

if_kqueue! {
    #[test]
    fn debug_of_kqueue() {
        queues::<selectors_core::backend::Kqueue>("Kqueue");
    }
}

if_no_queue! {
    #[test]
    fn debug_of_any() {
        let (ours, _theirs) = pair();
        assert_eq!(shown::<Any<Fixed<4>>>(ours.as_fd()), format!("Poll {{{}}}", ours.as_raw_fd()));
    }
}
