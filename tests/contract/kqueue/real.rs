//! Where there is a kqueue: what the backend relies on, tested on the kernel.

mod facts;

use rustix::event::kqueue as kqueue_sys;

fn on_each_kernel(fact: fn()) {
    fact();
}
