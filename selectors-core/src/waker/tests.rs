use core::sync::atomic::Ordering;
use core::time::Duration;

use rustix::fd::{BorrowedFd, RawFd};

use super::WakeCell;
use crate::backend::{Backend, Poll, Queue, Sets};
use crate::error::Error;
use crate::events::Events;
use crate::platform::{NO_FD, WAKE};
use crate::selector::Selector;
use crate::storage::Fixed;

/// The numbers of the cell's descriptors: those in use, and those that a late
/// wake still uses.
fn numbers(cell: &WakeCell) -> (RawFd, RawFd) {
    (cell.ends.read(), cell.late.read())
}

/// As a thread that is in the middle of a wake has counted itself.
fn begin_a_write(cell: &WakeCell) {
    cell.state.writing.fetch_add(1, Ordering::AcqRel);
}

fn end_a_write(cell: &WakeCell) {
    cell.state.writing.fetch_sub(1, Ordering::AcqRel);
}

#[test]
fn a_cell_belongs_to_one_selector_at_a_time() {
    let cell = WakeCell::new();
    assert_eq!(cell.wake(), Err(Error::WakerClosed));
    for _ in 0..3 {
        let attachment = cell.attach().unwrap();
        assert_eq!(cell.attach().unwrap_err(), Error::WakerInUse);
        assert_eq!(cell.wake(), Ok(()));
        assert_eq!(cell.wake_of(Some(attachment)), Ok(()));
        cell.end(attachment);
        assert_eq!(cell.wake(), Err(Error::WakerClosed));
        assert_eq!(numbers(&cell), (NO_FD, NO_FD), "what is closed is forgotten");
    }
}

#[test]
fn a_burst_is_one_write() {
    let cell = WakeCell::new();
    let attachment = cell.attach().unwrap();
    for _ in 0..100 {
        cell.wake().unwrap();
    }
    let mut wake = WAKE.map(|_| 0);
    let mut read = || rustix::io::read(cell.watched().unwrap(), &mut wake).map(|_| wake);
    assert_eq!(read(), Ok(WAKE));
    assert!(cell.state.clear_pending(attachment) && !cell.state.clear_pending(attachment));
    cell.wake().unwrap();
    assert_eq!(read(), Ok(WAKE));
}

#[test]
fn a_wake_of_an_earlier_attachment_changes_nothing() {
    let cell = WakeCell::new();
    let stale = cell.attach().unwrap();
    cell.end(stale);
    let attachment = cell.attach().unwrap();
    for pending in [false, true] {
        assert_eq!(cell.state.open_and_pending(), (true, pending));
        assert_eq!(cell.wake_of(Some(stale)), Err(Error::WakerClosed));
        assert!(!cell.state.clear_pending(stale) && cell.state.is(attachment));
        cell.end(stale);
        assert_eq!(cell.state.open_and_pending(), (true, pending));
        cell.wake_of(Some(attachment)).unwrap();
    }
}

/// The next selector has other descriptors than those that are still written
/// to. They are closed when that is over.
#[test]
fn a_late_write_is_for_none_of_the_next_attachments() {
    let cell = WakeCell::new();
    let mut attachment = cell.attach().unwrap();
    let (first, _) = numbers(&cell);
    begin_a_write(&cell);
    cell.end(attachment);
    assert_eq!(numbers(&cell), (NO_FD, first));
    attachment = cell.attach().unwrap();
    let (second, late) = numbers(&cell);
    assert!(second != first && late == first);
    // There is one slot for them. With a second write that is late, the
    // descriptors are used again, and empty.
    cell.wake().unwrap();
    cell.end(attachment);
    attachment = cell.attach().unwrap();
    assert_eq!(numbers(&cell), (second, first));
    assert_eq!(
        rustix::io::read(cell.watched().unwrap(), &mut [0; 8]),
        Err(rustix::io::Errno::AGAIN)
    );
    end_a_write(&cell);
    cell.end(attachment);
    assert_eq!(numbers(&cell), (NO_FD, NO_FD));
}

/// What another process counted does not keep this one from closing its
/// descriptors.
#[test]
fn writes_of_another_process_are_not_waited_for() {
    let cell = WakeCell::new();
    let attachment = cell.attach().unwrap();
    let inherited = numbers(&cell).0;
    begin_a_write(&cell);
    let writing = cell.state.writing.load(Ordering::Relaxed);
    cell.owner.store(i32::MAX, Ordering::Relaxed);
    cell.end(attachment);
    assert!(cell.state.is(attachment), "what another process has is not ended here");

    let own = cell.attach().unwrap();
    assert!(numbers(&cell).0 != inherited && numbers(&cell).1 == NO_FD);
    assert_eq!(cell.wake_of(Some(attachment)), Err(Error::WakerClosed));
    assert_eq!(cell.wake_of(Some(own)), Ok(()));
    assert_ne!(cell.state.writing.load(Ordering::Relaxed), writing);
    cell.end(own);
    assert_eq!(numbers(&cell), (NO_FD, NO_FD));
}

#[test]
fn numbers_begin_again() {
    let cell = WakeCell::new();
    // The last number but one.
    cell.state.word.store(0xffff_fff0, Ordering::Relaxed);
    let mut before = None;
    for _ in 0..4 {
        let attachment = cell.attach().unwrap();
        assert_ne!(before, Some(attachment));
        assert_eq!(cell.wake_of(Some(attachment)), Ok(()));
        assert!(before.is_none_or(|before| cell.wake_of(Some(before)) == Err(Error::WakerClosed)));
        cell.end(attachment);
        before = Some(attachment);
    }
}

#[allow(unsafe_code)]
fn a_number_is_the_wakers_or_a_keys<B: Backend>(cell: &'static WakeCell) {
    let Ok(mut selector) = Selector::<B, BorrowedFd<'_>, (), Fixed<4>>::new() else {
        return assert_eq!(B::KIND, None, "the platform has it");
    };
    // As if a key's descriptor had been closed, and its number given to the
    // waker's: by two late writes.
    let first = cell.attach().unwrap();
    begin_a_write(cell);
    cell.end(first);
    cell.end(cell.attach().unwrap());
    let fd = numbers(cell).0;
    // SAFETY: the cell keeps it open, because of the write that does not end.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    selector.register(borrowed, Events::READ, ()).unwrap();
    assert_eq!(selector.waker_in(cell).unwrap_err(), Error::AlreadyRegistered { fd });
    let _ = selector.unregister(fd).unwrap();

    let waker = selector.waker_in(cell).unwrap();
    let refused = selector.register(borrowed, Events::READ, ()).unwrap_err();
    assert_eq!(refused, Error::AlreadyRegistered { fd });
    waker.wake().unwrap();
    assert!(selector.select(Some(Duration::from_secs(20))).unwrap().woken());
    assert!(selector.next_ready().is_none() && selector.get_map().is_empty());
}

#[test]
fn a_number_is_watched_once() {
    static CELLS: [WakeCell; 3] = [const { WakeCell::new() }; 3];
    a_number_is_the_wakers_or_a_keys::<Queue<4>>(&CELLS[0]);
    a_number_is_the_wakers_or_a_keys::<Poll<Fixed<4>>>(&CELLS[1]);
    a_number_is_the_wakers_or_a_keys::<Sets<Fixed<4>>>(&CELLS[2]);
}
