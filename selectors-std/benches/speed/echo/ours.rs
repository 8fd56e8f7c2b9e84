use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use selectors_core::storage::{self, Storage};
use selectors_std::Selector;
use selectors_std::backend::{Backend, Epoll};

use super::{Server, accept};
use crate::subjects::{Watch, interest};

/// A selector, which owns the sockets.
pub(super) struct Ours<B: Backend, M: Storage> {
    selector: Box<Selector<B, OwnedFd, Role, M>>,
    watch: Watch,
}

pub(super) type Growable = Ours<Epoll<256>, selectors_std::Growable>;
pub(super) type Fixed = Ours<Epoll<64>, storage::Fixed<5120>>;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    Listener,
    Connection,
}

impl<B: Backend, M: Storage> Server for Ours<B, M> {
    fn open(listener: OwnedFd, watch: Watch) -> Self {
        let mut selector = Box::new(Selector::new().unwrap());
        let _ = selector.register(listener, interest(watch), Role::Listener).unwrap();
        Self { selector, watch }
    }

    #[inline(always)]
    fn turn(&mut self, mut serve: impl FnMut(BorrowedFd<'_>) -> bool) {
        self.selector.select(None).unwrap();
        while let Some((key, _ready)) = self.selector.next_ready() {
            if key.data == Role::Connection {
                if !serve(key.fileobj.as_fd()) {
                    let _ = key.unregister();
                }
                continue;
            }
            let listener = key.id();
            while let Some(connection) =
                self.selector.get_key(listener).and_then(|key| accept(&key.fileobj))
            {
                let _ = self
                    .selector
                    .register(connection, interest(self.watch), Role::Connection)
                    .unwrap();
            }
        }
    }
}
