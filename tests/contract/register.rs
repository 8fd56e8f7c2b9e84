//! register(fileobj, events, data)

use std::os::fd::AsRawFd;

use selectors_core::{Events, Mode, Selector};

use crate::support::{Kernel, Table, agree, pair};

pub fn returns_the_key<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (source, events) in [(&one, Events::READ), (&two, Events::READ | Events::WRITE)] {
        let key = selector.register(source, events, 7).unwrap();
        assert_eq!(
            (key.fileobj.as_raw_fd(), key.fd, key.events, key.mode, key.data),
            (source.as_raw_fd(), source.as_raw_fd(), events, Mode::Level, 7)
        );
        agree(&selector);
    }
}
