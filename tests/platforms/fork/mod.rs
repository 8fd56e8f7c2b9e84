//! Wakers in processes that fork. No wake of the parent is lost or ends a wait
//! of the child, and the child has its own.
//!
//! A row is run on every pair of a backend and a table, in a process of its
//! own. Without a kqueue, it also runs on the emulated one, which shows the
//! part of the waker. A real kqueue is not inherited, so a child forgets its
//! selector on both. The state of the emulation after a fork is not tested.

mod daemons;
mod process;
mod rows;

use crate::common::{self, alone::alone};

selectors_core::if_epoll! {
    #[path = "../../emulated_kqueue/mod.rs"]
    mod emulated_kqueue;

    fn emulated(row: &mut impl common::Check) {
        row.check::<emulated_kqueue::Kqueue, common::Fixed>("emulated kqueue, fixed");
        row.check::<emulated_kqueue::Kqueue<256>, selectors_std::Growable>("emulated kqueue, growable");
    }
}
selectors_core::if_kqueue! {
    fn emulated(_row: &mut impl common::Check) {}
}
selectors_core::if_no_queue! {
    fn emulated(_row: &mut impl common::Check) {}
}

macro_rules! rows {
    ($($file:ident: $($row:ident),+ $(,)?;)+) => {
        $($(#[test]
        fn $row() {
            struct Row;
            impl common::Check for Row {
                fn check<B: selectors_core::backend::Backend, M: common::support::Table>(&mut self, pair: &str) {
                    println!("{}: {pair}", stringify!($row));
                    $file::$row::<B, M>();
                }
            }
            alone($row, || {
                process::ends_within(120);
                common::every_pair(&mut Row);
                emulated(&mut Row);
            });
        })+)+
    };
}

rows! {
    rows:
    a_child_with_its_own_selector,
    a_child_that_only_drops_what_it_inherits,
    a_child_that_ends_at_once,
    parent_and_child_wait_at_the_same_time,
    children_of_children,
    a_cell_that_is_free_at_the_fork,
    an_inherited_waker_and_the_next_selector_of_the_parent,
    an_inherited_waker_that_is_used_before_the_cell_is_attached,
    an_inherited_selector_that_is_used_after_the_cell_is_attached,
    forks_in_the_middle_of_wakes,
    nothing_is_left_open;
    daemons:
    a_daemon_that_drops_its_selectors_first,
    a_daemon_that_resets_its_cell,
    a_reset_without_a_fork;
}
