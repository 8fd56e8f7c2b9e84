//! A closed descriptor with a number beyond the kernel's table of the process's
//! descriptors. The `select` call neither refuses nor checks it, and leaves its
//! bits set. Linux gives a smaller table to a child, and to a thread that stops
//! sharing the table.

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use selectors_core::backend::Backend;
use selectors_core::{Events, Kind, Selector};

use crate::common::alone::alone;
use crate::common::needs;
use crate::common::support::{Found, NOW, SOON, Table, pair};
use crate::common::{Check, every_pair};

/// Whether the kernel, or a container's filter, refuses to give a thread a
/// table of its own.
struct Shrunk(Result<(), Errno>);

impl Check for Shrunk {
    fn check<B: Backend, M: Table>(&mut self, name: &str) {
        let check = || {
            let (ours, mut theirs) = pair();
            let far = RawFd::try_from(needs::limit() - 1).unwrap().min(900);
            let [stays, goes] =
                [3, far].map(|least| rustix::io::fcntl_dupfd_cloexec(&ours, least).unwrap());
            let mut selector = Selector::<B, RawFd, &str, M>::new().unwrap();
            for (fd, data) in [(&stays, "stays"), (&goes, "goes")] {
                // SAFETY: one is open until the selector is dropped. The other
                // is closed below, and nothing else is opened at such a number.
                unsafe { selector.register_raw(fd.as_raw_fd(), Events::READ, data) }.unwrap();
            }
            drop(goes);
            // SAFETY: the new table has all that is open now, and the thread
            // ends here.
            unsafe { unshare_unsafe(UnshareFlags::FILES) }?;

            let (begun, wait) = (Instant::now(), Duration::from_millis(20));
            assert_eq!(selector.select(Some(wait)).events(), Ok(0), "{name}");
            assert!(begun.elapsed() >= wait, "{name} does not wait");
            theirs.write_all(b"!").unwrap();
            let reported = selector.select(SOON).unwrap();
            let mut all = Vec::new();
            while let Some((key, events)) = selector.next_ready() {
                all.push((key.data, events));
            }
            // epoll reports the file as long as it is open in any table.
            all.retain(|(data, _)| *data == "stays" || selector.kind() != Kind::Epoll);
            assert_eq!(
                (reported.events() > 0, all),
                (true, vec![("stays", Events::READ)]),
                "{name}"
            );
            rustix::io::read(&ours, &mut [0; 8]).unwrap();
            assert_eq!(selector.select(NOW).events(), Ok(0), "{name}");
            Ok(())
        };
        self.0 = thread::scope(|scope| scope.spawn(check).join()).unwrap();
    }
}

#[test]
fn a_number_beyond_the_table_is_not_reported() {
    alone(a_number_beyond_the_table_is_not_reported, || {
        let mut shrunk = Shrunk(Ok(()));
        every_pair(&mut shrunk);
        if let Err(refused) = shrunk.0 {
            needs::skip(&format!("unshare is refused: {refused}"));
        }
    });
}
