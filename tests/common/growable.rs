//! The selectors whose tables grow.
#![allow(unused_imports, unused_macros, reason = "each binary uses a part of it")]

use std::os::unix::net::UnixStream;

use selectors_std::{Growable, Selector};

/// The type of each of these selectors, with `UnixStream` sources.
pub type Growing<B> = Selector<B, UnixStream, u32, Growable>;

/// Runs a test with each of them.
macro_rules! on_every_growable_backend {
    ($($test:ident)*) => { $(mod $test {
        #[test]
        fn on_poll() {
            super::$test(selectors_std::PollSelector::new().unwrap());
        }

        #[test]
        fn on_any() {
            super::$test(selectors_std::AnySelector::new().unwrap());
        }

        selectors_core::if_epoll! {
            #[test]
            fn on_epoll() {
                super::$test(selectors_std::EpollSelector::new().unwrap());
            }
        }

        selectors_core::if_kqueue! {
            #[test]
            fn on_kqueue() {
                super::$test(selectors_std::KqueueSelector::new().unwrap());
            }
        }

        selectors_core::if_select! {
            #[test]
            fn on_select() {
                super::$test(selectors_std::SelectSelector::new().unwrap());
            }
        }
    })* };
}

pub(crate) use on_every_growable_backend;
