//! Waiting under a limit of descriptors.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use selectors_core::{Error, Events};
use selectors_std::{EpollSelector, PollSelector, select, wait};

use crate::common::alone::alone;
use crate::common::support::NOW;

fn limit(most: u64) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).unwrap();
}

fn refused(fd: Option<i32>) -> Error {
    Error::Os { call: "poll", fd, errno: Errno::INVAL, file: None }
}

#[test]
fn the_limit_counts_descriptors_and_not_entries() {
    // The limit holds for all threads.
    alone(the_limit_counts_descriptors_and_not_entries, under_each_limit);
}

fn under_each_limit() {
    let pairs: Vec<_> = (0..20).map(|_| UnixStream::pair().unwrap()).collect();
    let all: Vec<&UnixStream> = pairs.iter().flat_map(|(one, two)| [one, two]).collect();
    let mut epoll = EpollSelector::new().unwrap();
    epoll.register(all[0], Events::READ, ()).unwrap();
    let mut poll = PollSelector::new().unwrap();
    poll.register(all[0], Events::READ, ()).unwrap();
    limit(64);
    for lists in [[&[][..], &all, &[]], [&all, &all, &all]] {
        let (readable, writable, exceptional) = select(lists[0], lists[1], lists[2], NOW).unwrap();
        assert_eq!((readable.len(), writable.len(), exceptional.len()), (0, all.len(), 0));
    }
    let twice = [&all[..], &all[..]].concat();
    assert_eq!(select(&[], &twice, &all, NOW).unwrap().1.len(), twice.len());

    // There may be as many as the limit, and no more.
    limit(all.len() as u64);
    assert_eq!(select(&all, &twice, &[], NOW).unwrap().1.len(), twice.len());
    limit(all.len() as u64 - 1);
    let error = select(&[], &all, &[], NOW).unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&refused(None)));
    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
    assert_eq!(select(&all[1..], &twice[1..all.len()], &[], NOW).unwrap().1.len(), all.len() - 1);

    limit(1);
    let fd = std::os::fd::AsRawFd::as_raw_fd(all[0]);
    assert_eq!(wait(all[0], Events::WRITE, NOW), Ok(Events::WRITE));
    assert_eq!(select(&[all[0]], &[all[0]; 9], &[all[0]], NOW).unwrap().1.len(), 9);
    limit(0);
    assert_eq!(wait(all[0], Events::WRITE, NOW), Err(refused(Some(fd))));
    assert!(select::<UnixStream>(&[], &[], &[], NOW).unwrap().1.is_empty());

    // epoll's limit is another. Only the call that would refine the timeout is
    // refused, so the wait lasts longer.
    for micros in [1, 900, 3_100] {
        let (begun, timeout) = (Instant::now(), Duration::from_micros(micros));
        assert!(epoll.select(Some(timeout)).unwrap().timed_out());
        assert!(begun.elapsed() >= timeout);
    }
    std::io::Write::write_all(&mut &pairs[0].1, b"!").unwrap();
    assert_eq!(epoll.select(Some(Duration::from_micros(3_100))).unwrap().events(), 1);
    assert_eq!(poll.select(NOW), Err(refused(None)));
    assert!(poll.next_ready().is_none());
    limit(1);
    assert_eq!(poll.select(NOW).unwrap().events(), 1);
}
