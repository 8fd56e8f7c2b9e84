//! `wait` and `select` of lists, which need no selector.

use rustix::io::Errno;
use selectors_core::{Error, Events};
use selectors_std::{select, wait};

use super::kernel::{POLL, os, under};
use super::{Cells, ERRNOS, NOW, pair};

pub(crate) fn all(cells: &mut Cells) {
    let (one, _two) = pair();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&one);
    for errno in ERRNOS {
        let one_answer = under(&[POLL], errno, || wait(&one, Events::WRITE, NOW));
        let lists =
            under(&[POLL], errno, || select(&[&one], &[&one], &[], NOW).map(|ready| ready.1.len()));
        if errno == Errno::INTR {
            assert_eq!((one_answer, lists.unwrap()), (Ok(Events::empty()), 0));
        } else {
            assert_eq!(one_answer, Err(os("poll", Some(fd), errno)));
            let error = lists.unwrap_err();
            assert_eq!(error.kind(), errno.kind());
            let inner = error.get_ref().unwrap().downcast_ref::<Error>();
            assert_eq!(inner, Some(&os("poll", None, errno)));
        }
        cells.ran("no selector", "wait");
        cells.ran("no selector", "select of lists");
    }
}
