//! The tests of CPython's `test_selectors.py`, by their names there.

use std::os::fd::AsRawFd;

use selectors_core::{Error, Events, Selector};

use crate::support::{Kernel, Table, agree, pair};

pub fn register<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let key = selector.register(one, Events::READ, "data").unwrap();
    assert_eq!((key.fileobj.as_raw_fd(), key.fd, key.events, key.data), (fd, fd, Events::READ, "data"));
    agree(&selector);
}

pub fn unregister<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one, Events::READ, ()).unwrap();
    let key = selector.unregister(fd).unwrap();
    assert_eq!(key.fileobj.as_raw_fd(), fd);
    assert_eq!(selector.unregister(fd).unwrap_err(), Error::NotRegistered { fd });
    agree(&selector);
}
