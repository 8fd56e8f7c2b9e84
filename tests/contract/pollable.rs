//! Descriptors that can't be polled.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use selectors_core::{Error, Events, FileKind, Kind, Selector};

use crate::refused::{NO_CHANGE, refused};
use crate::support::{Kernel, NOW, SOON, Table, agree, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// Descriptors that only name a file.
fn paths() -> Vec<(OwnedFd, FileKind)> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{Mode, OFlags, open};
        let path = |name: &str| open(name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let program = std::env::current_exe().unwrap();
        vec![
            (path("/"), FileKind::Directory),
            (path(program.to_str().unwrap()), FileKind::Regular),
            (path("/dev/null"), FileKind::Device),
        ]
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Vec::new()
}

/// They are refused alike on every backend, and not accepted as keys that are
/// never reported, or always.
pub fn a_path_is_refused<B: Kernel, M: Table>() {
    for (path, kind) in paths() {
        let fd = path.as_raw_fd();
        let mut selector = Selector::<B, OwnedFd, _, M>::new().unwrap();
        let refused = selector.try_register(path, READ, "path").unwrap_err();
        let Error::Os { fd: about, errno, file, .. } = refused.error else { panic!("{refused}") };
        assert_eq!((about, errno, file), (Some(fd), Errno::BADF, Some(kind)));
        let text = refused.to_string();
        assert!(text.contains("open but can't be polled"), "{text}");
        assert_eq!((refused.fileobj.as_raw_fd(), refused.data), (fd, "path"));
        assert!(selector.get_map().is_empty());
        agree(&selector);
        assert!(selector.select(NOW).unwrap().timed_out());

        // At the number of a key. Only `modify` can notice that.
        let (one, _peer) = pair();
        let number = selector.register(one.into(), WRITE, "key").unwrap().fd;
        // SAFETY: the number stays open, and belongs to the key until it is
        // unregistered.
        let mut key = std::mem::ManuallyDrop::new(unsafe {
            <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number)
        });
        rustix::io::dup2(&refused.fileobj, &mut key).unwrap();
        let error = selector.modify(number, READ).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::BADF), "{error}");
        assert_eq!(selector.unregister(number).unwrap().data, "key");
        assert!(selector.select(NOW).unwrap().timed_out());
        agree(&selector);
    }
}

/// epoll refuses these with one error number, and the message says what is the
/// matter. poll and select accept them.
pub fn files_that_are_always_ready<B: Kernel, M: Table>() {
    let program = std::env::current_exe().unwrap();
    let files = [
        (program.to_str().unwrap(), FileKind::Regular, "a regular file is always ready"),
        ("/", FileKind::Directory, "a directory can't be polled"),
        ("/dev/null", FileKind::Device, "this device can't be polled"),
    ];
    let mut selector = Selector::<B, OwnedFd, _, M>::new().unwrap();
    for (path, kind, advice) in files {
        let file = OwnedFd::from(File::open(path).unwrap());
        let fd = file.as_raw_fd();
        match selector.kind() {
            Kind::Epoll => {
                let refused = selector.try_register(file, READ, "file").unwrap_err();
                let (call, file) = ("epoll_ctl", Some(kind));
                assert_eq!(
                    refused.error,
                    Error::Os { call, fd: Some(fd), errno: Errno::PERM, file }
                );
                assert!(refused.to_string().contains(advice), "{refused}");
            }
            Kind::Poll | Kind::Select => {
                selector.register(file, READ, "file").unwrap();
                assert!(ready(&mut selector, SOON).contains_key(&fd), "{path}");
            }
            _ => {}
        }
    }
    agree(&selector);
}

/// The fourth reason for `EPERM`.
pub fn a_sandbox_that_forbids_the_call<B: Kernel, M: Table>() {
    let mut selector = Selector::<B, OwnedFd, _, M>::new().unwrap();
    if selector.kind() == Kind::Kqueue {
        return; // its call is another
    }
    let (one, _peer) = pair();
    let fd = one.as_raw_fd();
    let registered =
        refused(NO_CHANGE, || selector.try_register(one.into(), WRITE, "key").map(|key| key.fd));
    match registered {
        Some(Err(refused)) => {
            assert_eq!(selector.kind(), Kind::Epoll);
            let (call, file) = ("epoll_ctl", Some(FileKind::Other));
            assert_eq!(refused.error, Error::Os { call, fd: Some(fd), errno: Errno::PERM, file });
            assert!(refused.to_string().contains("a sandbox forbids the call"), "{refused}");
            agree(&selector);
            selector.register(refused.fileobj, WRITE, refused.data).unwrap();
        }
        Some(Ok(_)) => assert_ne!(selector.kind(), Kind::Epoll),
        None => return,
    }
    assert_eq!(ready(&mut selector, SOON), [(fd, WRITE)].into());
}
