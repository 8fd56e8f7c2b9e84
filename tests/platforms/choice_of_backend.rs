//! A backend that is chosen when the program runs: by name, or as the best one
//! that no filter forbids.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use selectors_core::{Error, Events, Kind, Mode};
use selectors_std::AnySelector;

use crate::common::support::{Found, NOW, SOON, pair};

enum Source {
    Listener(TcpListener),
    Peer(TcpStream),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Peer(peer) => peer.as_fd(),
        }
    }
}

/// The kinds that this platform has, the best first.
fn available() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_available())
}

/// An echo server on this selector serves three clients until all have left,
/// and a waker wakes it.
fn echo(mut selector: AnySelector<Source>) {
    const CLIENTS: u8 = 3;
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let waker = selector.waker().unwrap();
    selector.register(Source::Listener(listener), Events::READ, ()).unwrap();
    let clients = (0..CLIENTS).map(|number| {
        let waker = waker.clone();
        thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut response = [0; 1000];
            for round in 0..5 {
                stream.write_all(&[number + round; 1000]).unwrap();
                stream.read_exact(&mut response).unwrap();
                assert_eq!(response, [number + round; 1000]);
            }
            waker.wake().unwrap();
        })
    });
    let clients: Vec<_> = clients.collect();
    let (mut closed, mut buffer) = (0, [0; 300]);
    while closed < CLIENTS {
        assert!(!selector.select(SOON).unwrap().timed_out());
        while let Some((key, events)) = selector.next_ready() {
            assert!(events.contains(Events::READ));
            let fd = key.fd;
            match &key.fileobj {
                Source::Listener(listener) => {
                    let (peer, _) = listener.accept().unwrap();
                    selector.register(Source::Peer(peer), Events::READ, ()).unwrap();
                }
                Source::Peer(peer) => {
                    let mut peer = peer;
                    match peer.read(&mut buffer).unwrap() {
                        0 => {
                            closed += 1;
                            drop(selector.unregister(fd).unwrap());
                        }
                        n => peer.write_all(&buffer[..n]).unwrap(),
                    }
                }
            }
        }
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
}

/// Each kind that this platform has, by its name, as a configuration file has
/// it.
#[test]
fn echo_on_each_by_name() {
    let mut kinds = Vec::new();
    for name in ["epoll", "kqueue", "poll", "select"] {
        let kind: Kind = name.parse().unwrap();
        assert_eq!((kind.name(), kind.to_string().as_str()), (name, name));
        match AnySelector::of_kind(kind) {
            Ok(selector) => {
                assert!(kind.is_available());
                assert_eq!(selector.kind(), kind);
                let own = matches!(kind, Kind::Epoll | Kind::Kqueue);
                assert_eq!(selector.fileno().is_some(), own);
                assert!(format!("{selector:?}").contains(&format!("{kind:?}")));
                echo(selector);
                kinds.push(kind);
            }
            Err(error) => {
                assert_eq!((error, kind.is_available()), (Error::UnknownBackend, false));
            }
        }
    }
    assert!(kinds.contains(&Kind::Poll) && kinds.len() >= 2, "{kinds:?}");
    assert_eq!(kinds, available().collect::<Vec<_>>());
    println!("{kinds:?}");
}

#[test]
fn unknown_names_are_refused() {
    let strange = [
        "iocp", "", " ", "Epoll", "EPOLL", "Poll", "SELECT", "poll ", " poll", "epoll\n", "epol",
        "epolls", "devpoll", "ppoll", "default",
    ];
    for name in strange {
        assert_eq!(name.parse::<Kind>(), Err(Error::UnknownBackend), "{name:?}");
    }
    let error = Error::UnknownBackend.to_string();
    assert!(error.contains("backend") && error.contains("platform"), "{error}");
    assert_eq!(std::io::Error::from(Error::UnknownBackend).kind(), std::io::ErrorKind::NotFound);
}

/// What a kind supports by its methods can be registered. The rest is refused
/// with the backend's name.
#[test]
fn each_kind_supports_what_it_says() {
    for kind in available() {
        let (ours, theirs) = pair();
        let mut selector = AnySelector::of_kind(kind).unwrap();
        for (interest, supported) in [
            (Events::READ.edge(), kind.supports_edge()),
            (Events::PRIORITY.with_mode(Mode::Level), kind.supports_priority()),
            (Events::READ.one_shot(), true),
        ] {
            match selector.register(&ours, interest, ()) {
                Ok(key) => assert_eq!((key.interest(), supported), (interest, true), "{kind}"),
                Err(refused) => {
                    let (events, mode) = (interest.events, interest.mode);
                    assert_eq!(refused, Error::Unsupported { backend: kind.name(), events, mode });
                    assert!(refused.to_string().contains(kind.name()));
                    assert!(!supported, "{kind}");
                    continue;
                }
            }
            let _ = selector.unregister(&ours).unwrap();
        }
        selector.register(&ours, Events::READ, ()).unwrap();
        drop(theirs);
        assert_eq!(selector.select(SOON).events(), Ok(1));
        let (_, events) = selector.next_ready().unwrap();
        assert_eq!(
            events.contains(Events::HANGUP),
            kind.reports_hangup() && kind != Kind::Kqueue,
            "{kind}"
        );
        let reported = kind == Kind::Kqueue || kind.supports_read_hangup();
        assert_eq!(events.contains(Events::READ_HANGUP), reported, "{kind}");
    }
    // In the order epoll, kqueue, poll, select.
    assert_eq!(
        Kind::ALL.iter().copied().map(Kind::supports_edge).collect::<Vec<_>>(),
        [true, true, false, false]
    );
    assert_eq!(
        Kind::ALL.iter().copied().map(Kind::supports_priority).collect::<Vec<_>>(),
        [true, false, true, true]
    );
    assert_eq!(
        Kind::ALL.iter().copied().map(Kind::reports_hangup).collect::<Vec<_>>(),
        [true, true, Kind::Poll.reports_hangup(), false]
    );
    assert_eq!(
        Kind::ALL.iter().copied().map(Kind::reports_error).collect::<Vec<_>>(),
        [true, false, Kind::Poll.reports_error(), false]
    );
    // What poll reports depends on the system. Linux's reports everything.
    if Kind::Epoll.is_available() {
        assert!(
            Kind::Poll.reports_hangup()
                && Kind::Poll.reports_error()
                && Kind::Poll.supports_read_hangup()
        );
    }
}

#[test]
fn a_wake_ends_one_wait() {
    for kind in available() {
        let mut selector = AnySelector::<std::fs::File>::of_kind(kind).unwrap();
        let wakers = [selector.waker().unwrap(), selector.waker().unwrap()];
        for waker in wakers.iter().cycle().take(4) {
            waker.wake().unwrap();
            assert_eq!(selector.select(SOON).woken_and(), Ok(0), "{kind}");
            assert!(selector.next_ready().is_none());
            assert_eq!(selector.select(NOW).events(), Ok(0), "{kind}");
        }
    }
}

#[test]
fn a_one_shot_is_armed_by_modify() {
    for kind in available() {
        let (ours, _theirs) = pair();
        let mut selector = AnySelector::of_kind(kind).unwrap();
        selector.register(&ours, Events::WRITE.one_shot(), ()).unwrap();
        for _ in 0..3 {
            assert_eq!(selector.select(SOON).events(), Ok(1), "{kind}");
            assert_eq!(
                selector.next_ready().map(|(_, events)| events),
                Some(Events::WRITE),
                "{kind}"
            );
            assert_eq!(selector.select(NOW).events(), Ok(0), "{kind}");
            selector.modify(&ours, Events::WRITE.one_shot()).unwrap();
        }
    }
}

/// No filter forbids a call here.
#[test]
fn the_best_backend_is_chosen() {
    let mut selector = AnySelector::<std::fs::File>::new().unwrap();
    let best = available().next().unwrap();
    assert_eq!(selector.kind(), best);
    assert_eq!(selector.select(NOW).events(), Ok(0));
    let fixed = selectors_core::AnySelector::<std::fs::File, (), 4>::new().unwrap();
    assert_eq!(fixed.kind(), best);
}

/// Under filters, which hold for one thread.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
mod forbidden {
    use libc::{
        EMFILE, ENOMEM, ENOSYS, EPERM, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
        SYS_ppoll, SYS_pselect6, c_long,
    };
    use rustix::fd::OwnedFd;
    use rustix::io::Errno;
    use selectors_core::{EpollSelector, Error, Events, Kind, SelectorCell};
    use selectors_std::{AnySelector, wait};

    use super::{NOW, Source, echo};
    use crate::common::filter::{self, Call};
    use crate::common::needs;

    /// Does something in a thread whose calls of these numbers fail. The first
    /// filter that the kernel refuses ends the test.
    fn without<T: Send>(
        errno: i32,
        calls: &[c_long],
        work: impl FnOnce() -> T + Send,
    ) -> Option<T> {
        let calls: Vec<_> = calls.iter().map(|call| Call(*call, None)).collect();
        let result = filter::without(&calls, Errno::from_raw_os_error(errno), work);
        result.inspect_err(|refusal| needs::skip(refusal)).ok()
    }

    type New = Result<Kind, Error>;

    fn new() -> New {
        let fixed = selectors_core::AnySelector::<Source, (), 4>::new();
        let growable = AnySelector::<Source>::new();
        assert_eq!(
            fixed.as_ref().map(|fixed| fixed.kind()).ok(),
            growable.as_ref().map(|any| any.kind()).ok()
        );
        growable.map(|selector| {
            let kind = selector.kind();
            assert!(format!("{selector:?}").contains(&format!("{kind:?}")));
            echo(selector);
            kind
        })
    }

    /// A filter or a container refuses calls, and an emulator does not know
    /// them.
    const REFUSALS: [i32; 2] = [EPERM, ENOSYS];

    fn refused(call: &'static str, errno: i32) -> Error {
        Error::Os { call, fd: None, errno: Errno::from_raw_os_error(errno), file: None }
    }

    #[test]
    fn without_epoll_it_is_poll() {
        for errno in REFUSALS {
            let Some(kind) = without(errno, &[SYS_epoll_create1], new) else { return };
            assert_eq!(kind, Ok(Kind::Poll));
            println!("errno {errno}: {}", kind.unwrap());
            let named = move || {
                (
                    selectors_std::EpollSelector::<Source>::new().err(),
                    AnySelector::<Source>::of_kind(Kind::Epoll).err(),
                )
            };
            let error = refused("epoll_create1", errno);
            assert_eq!(
                without(errno, &[SYS_epoll_create1], named),
                Some((Some(error), Some(error)))
            );
        }
    }

    /// The kernel opens an epoll instance, and refuses every call that uses it.
    #[test]
    fn with_an_epoll_that_can_only_be_opened_it_is_poll() {
        let used: [&[c_long]; 3] =
            [&[SYS_epoll_ctl], &[SYS_epoll_pwait], &[SYS_epoll_ctl, SYS_epoll_pwait]];
        for (errno, calls) in
            REFUSALS.into_iter().flat_map(|errno| used.map(|calls| (errno, calls)))
        {
            let Some(kind) = without(errno, calls, new) else { return };
            assert_eq!(kind, Ok(Kind::Poll), "{calls:?}");
            // By name, it is opened.
            let named = || {
                let epoll = AnySelector::<Source>::of_kind(Kind::Epoll).unwrap().kind();
                (epoll, selectors_std::EpollSelector::<Source>::new().is_ok())
            };
            assert_eq!(without(errno, calls, named), Some((Kind::Epoll, true)));
        }
        for calls in [&[SYS_epoll_ctl, SYS_ppoll], &[SYS_epoll_pwait, SYS_ppoll]] {
            assert_eq!(without(ENOSYS, calls, new), Some(Ok(Kind::Select)), "{calls:?}");
        }
    }

    #[test]
    fn without_poll_either_it_is_select() {
        for errno in REFUSALS {
            let Some(kind) = without(errno, &[SYS_epoll_create1, SYS_ppoll], new) else { return };
            assert_eq!(kind, Ok(Kind::Select));
        }
    }

    #[test]
    fn without_any_there_is_a_clear_error() {
        for errno in REFUSALS {
            let all = &[SYS_epoll_create1, SYS_ppoll, SYS_pselect6];
            let Some(kind) = without(errno, all, new) else { return };
            assert_eq!(kind, Err(refused("select", errno)));
            let text = kind.unwrap_err().to_string();
            assert!(text.starts_with("select: "), "{text}");
            println!("{text}");
        }
    }

    /// A shortage may be over in a moment, so it does not select a worse
    /// backend.
    #[test]
    fn a_shortage_is_an_error() {
        for errno in [EMFILE, ENOMEM] {
            let Some(kind) = without(errno, &[SYS_epoll_create1], new) else { return };
            assert_eq!(kind, Err(refused("epoll_create1", errno)));
        }
    }

    #[test]
    fn a_cell_without_a_selector_may_be_tried_again() {
        static CELL: SelectorCell<EpollSelector<OwnedFd, (), 4>> = SelectorCell::new();
        let open = || CELL.open().err();
        let Some(result) = without(EMFILE, &[SYS_epoll_create1], open) else { return };
        assert_eq!(result, Some(refused("epoll_create1", EMFILE)));
        assert_eq!(CELL.open().unwrap().select(NOW).map(|result| result.timed_out()), Ok(true));
    }

    #[test]
    fn a_wait_for_one_that_is_refused() {
        let wait = || wait(std::io::stdout(), Events::WRITE, NOW);
        let Some(result) = without(ENOMEM, &[SYS_ppoll], wait) else { return };
        assert_eq!(
            result,
            Err(Error::Os { call: "poll", fd: Some(1), errno: Errno::NOMEM, file: None })
        );
    }
}
