//! Keys that act: what `next_ready` and `get_key_mut` return reads, writes,
//! changes and unregisters.

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use std::io::{IoSlice, IoSliceMut, Read, Write};

use selectors_core::{Events, KeyMut, Selector, SelectorType};

use crate::support::{Found, Kernel, NOW, SOON, Table, agree, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// Has `Read` and `Write` of its own, which need exclusive access, as a child's
/// output and TLS have it.
struct Exclusive(UnixStream, usize);

impl AsFd for Exclusive {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Exclusive {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 += 1;
        self.0.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> std::io::Result<usize> {
        self.1 += 10;
        self.0.read_vectored(buffers)
    }
}

impl Write for Exclusive {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.1 += 100;
        self.0.write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> std::io::Result<usize> {
        self.1 += 1000;
        self.0.write_vectored(buffers)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.1 += 10_000;
        self.0.flush()
    }
}

pub fn a_key_reads_and_writes<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(Exclusive(one, 0), READ, Vec::new()).unwrap();
    two.write_all(b"hello").unwrap();
    selector.select(SOON).unwrap();
    let (mut key, _) = selector.next_ready().unwrap();
    let mut buffer = [0; 3];
    assert_eq!((key.read(&mut buffer).unwrap(), &buffer), (3, b"hel"));
    assert_eq!(key.read_vectored(&mut [IoSliceMut::new(&mut buffer)]).unwrap(), 2);
    assert_eq!(key.read(&mut buffer).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(key.write(b"wor").unwrap(), 3);
    assert_eq!(key.write_vectored(&[IoSlice::new(b"l"), IoSlice::new(b"d")]).unwrap(), 2);
    key.flush().unwrap();
    assert_eq!(key.fileobj.1, 11_112, "each call is the source's own");
    // Source and data together.
    let count = key.with_source(|source, data| {
        data.extend_from_slice(b"data");
        source.1 = 7;
        data.len()
    });
    assert_eq!((count, key.fileobj.1, key.data.as_slice()), (4, 7, &b"data"[..]));
    two.read_exact(&mut [0; 5]).unwrap();
    agree(&selector);
    drop(two);
    selector.select(SOON).unwrap();
    let (mut key, events) = selector.next_ready().unwrap();
    assert!(events.contains(READ) && key.read(&mut buffer).unwrap() == 0);
    drop(key.unregister());
    agree(&selector);
}

/// A key that acts can be passed to a function, whatever the selector.
pub fn a_function_takes_a_key<B: Kernel, M: Table>() {
    fn echo<Sel: SelectorType<Source = UnixStream, Data = usize>>(
        mut key: KeyMut<'_, Sel>,
    ) -> usize {
        let mut buffer = [0; 8];
        match key.read(&mut buffer) {
            Ok(0) => key.unregister().data,
            Ok(n) => {
                key.write_all(&buffer[..n]).unwrap();
                *key.data_mut() += n;
                0
            }
            Err(error) => panic!("{error}"),
        }
    }
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one, READ, 0).unwrap();
    for _ in 0..3 {
        two.write_all(b"hello").unwrap();
        selector.select(SOON).unwrap();
        while let Some((key, _)) = selector.next_ready() {
            assert_eq!(echo(key), 0);
        }
        two.read_exact(&mut [0; 5]).unwrap();
    }
    two.shutdown(std::net::Shutdown::Write).unwrap();
    selector.select(SOON).unwrap();
    assert_eq!(selector.next_ready().map(|(key, _)| echo(key)), Some(15));
    assert!(selector.get_map().is_empty());
    agree(&selector);
}

/// In a batch, each key does something else to itself, and no look-up is
/// needed.
pub fn each_key_of_a_batch_acts<B: Kernel, M: Table>() {
    let pairs = [(); 12].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (number, (one, _)) in pairs.iter().enumerate() {
        selector.register(one, WRITE, number).unwrap();
    }
    assert_eq!(selector.select(SOON).events(), Ok(12));
    let mut handled = 0;
    while let Some((mut key, events)) = selector.next_ready() {
        assert_eq!((events, key.is_paused()), (WRITE, false));
        handled += 1;
        match key.data % 4 {
            0 => drop(key.unregister()),
            1 => {
                key.pause();
                assert!(key.is_paused());
            }
            2 => {
                key.pause();
                key.resume().unwrap();
                key.modify(READ).unwrap();
                assert_eq!(key.interest(), READ.into());
            }
            _ => *key.data_mut() += 100,
        }
    }
    assert_eq!((handled, selector.get_map().len()), (12, 9));
    agree(&selector);
    for _ in 0..2 {
        selector.select(SOON).unwrap();
        let mut reported = Vec::new();
        while let Some((key, _)) = selector.next_ready() {
            reported.push(key.data);
        }
        reported.sort_unstable();
        assert_eq!(reported, [103, 107, 111]);
    }
    for (one, _) in &pairs {
        if let Some(key) = selector.get_key_mut(one) {
            assert_eq!(key.unregister().fd, one.as_raw_fd());
        }
    }
    assert!(selector.get_map().is_empty() && ready(&mut selector, NOW).is_empty());
    agree(&selector);
}
