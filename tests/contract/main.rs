//! What every selector answers, on every backend of the platform and with both key tables.
//!
//! A row is a function, generic over backend and table, in one of the files beside this one. It is
//! run on every pair: `rows` below is the one list of rows, and at the end is the one list of pairs,
//! with a line for each.
#![allow(unsafe_code, reason = "raw registration is part of the contract")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

mod cpython;
mod register;
mod support;

/// The rows, by file.
macro_rules! pair {
    ($pair:ident, $backend:ty, $table:ty) => {
        mod $pair {
            rows! { $backend, $table =>
                cpython: register, unregister;
                register: returns_the_key;
            }
        }
    };
}

macro_rules! rows {
    ($backend:ty, $table:ty => $($file:ident: $($row:ident),+ $(,)?;)+) => {
        $(mod $file {
            $(#[test]
            fn $row() {
                crate::$file::$row::<$backend, $table>();
            })+
        })+
    };
}
use rows;

type Fixed = selectors_core::storage::Fixed<64>;
type Growable = selectors_std::Growable;

selectors_core::if_epoll! {
    pair! { epoll_fixed, selectors_core::backend::Epoll, crate::Fixed }
    pair! { epoll_growable, selectors_core::backend::Epoll<256>, crate::Growable }
}
selectors_core::if_kqueue! {
    pair! { kqueue_fixed, selectors_core::backend::Kqueue, crate::Fixed }
    pair! { kqueue_growable, selectors_core::backend::Kqueue<256>, crate::Growable }
}
selectors_core::if_select! {
    pair! { select_fixed, selectors_core::backend::Select<crate::Fixed>, crate::Fixed }
    pair! { select_growable, selectors_core::backend::Select<crate::Growable>, crate::Growable }
}
pair! { poll_fixed, selectors_core::backend::Poll<crate::Fixed>, crate::Fixed }
pair! { poll_growable, selectors_core::backend::Poll<crate::Growable>, crate::Growable }
pair! { any_fixed, selectors_core::backend::Any<crate::Fixed>, crate::Fixed }
pair! { any_growable, selectors_core::backend::Any<crate::Growable, 256>, crate::Growable }
