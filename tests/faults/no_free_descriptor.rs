//! A process that has used up its descriptors while a selector has to recreate
//! its set.
#![allow(unsafe_code, reason = "a raw registration that is closed")]

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::{read, write};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use selectors_core::backend::Backend;
use selectors_core::{Events, Kind, Selector};

use crate::common::alone::alone;
use crate::common::support::{NOW, SOON, Table, pair, ready};
use crate::common::{Check, every_pair};

struct Starved;

impl Check for Starved {
    fn check<B: Backend, M: Table>(&mut self, name: &str) {
        let mut selector = Selector::<B, RawFd, (), M>::new().unwrap();
        let epoll = u64::from(selector.kind() == Kind::Epoll);
        let (healthy, peer) = pair();
        let (closed, mut its_peer) = pair();
        for fd in [healthy.as_raw_fd(), closed.as_raw_fd()] {
            // SAFETY: the first one stays open. The other one is closed, and
            // nothing else gets its number before it is unregistered.
            unsafe { selector.register_raw(fd, Events::READ, ()) }.unwrap();
        }
        let duplicate = closed.try_clone().unwrap();
        let number = closed.as_raw_fd();
        drop(closed);
        let _ = selector.unregister(number).unwrap();
        std::io::Write::write_all(&mut its_peer, b"!").unwrap();
        assert_eq!(selector.select(NOW).unwrap().events() as u64, epoll, "{name}");
        assert!(selector.next_ready().is_none(), "{name}");

        let all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(UnixStream::pair().is_err());
        for _ in 0..50 {
            let (begun, timeout) = (Instant::now(), Duration::from_micros(500));
            assert!(selector.select(Some(timeout)).unwrap().timed_out(), "{name}");
            assert!(begun.elapsed() >= timeout, "{name}");
            write(&peer, b"!").unwrap();
            assert_eq!(
                ready(&mut selector, SOON),
                [(healthy.as_raw_fd(), Events::READ)].into(),
                "{name}"
            );
            read(&healthy, &mut [0; 8]).unwrap();
        }
        assert_eq!(
            (selector.stats().rebuilds, selector.stats().failed_rebuilds > 0),
            (0, epoll > 0)
        );
        drop(all);
        for _ in 0..100 {
            assert!(selector.select(NOW).unwrap().timed_out(), "{name}");
        }
        assert_eq!(selector.stats().rebuilds, epoll, "{name}");
        write(&peer, b"!").unwrap();
        assert_eq!(selector.select(SOON).unwrap().events(), 1, "{name}");
        drop(duplicate);
    }
}

#[test]
fn healthy_keys_are_reported_without_a_free_descriptor() {
    // The other tests would get no descriptors either.
    alone(healthy_keys_are_reported_without_a_free_descriptor, || {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
        every_pair(&mut Starved);
    });
}
