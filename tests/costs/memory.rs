//! The memory of a selector without an allocator: the formula on core's first
//! page, and the stack of a wait.

use std::ffi::c_void;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

use selectors_core::backend::Backend;
use selectors_core::storage::Storage;
use selectors_core::{EpollSelector, Events, PollSelector, SelectSelector, Selector, SelectorKey};

/// The size of one key by the formula.
fn key<S, D>() -> usize {
    let align = align_of::<Option<SelectorKey<S, D>>>();
    (8 + size_of::<Option<SelectorKey<S, D>>>()).next_multiple_of(align)
}

/// Asserts that a selector has `each` bytes for each of its `keys` keys, `once`
/// in addition, and at most two hundred more.
fn check(size: usize, keys: usize, each: usize, once: usize) {
    let formula = keys * each + once;
    assert!(
        (formula..=formula + 200).contains(&size),
        "{size} bytes for {keys} keys, not {formula}"
    );
}

fn check_all<S, D>() {
    let event = if cfg!(target_arch = "x86_64") { 12 } else { 16 };
    let (epoll, poll, select) = (key::<S, D>(), key::<S, D>() + 24, key::<S, D>() + 16);
    check(size_of::<EpollSelector<S, D, 1>>(), 1, epoll, 64 * event);
    check(size_of::<EpollSelector<S, D, 64>>(), 64, epoll, 64 * event);
    check(size_of::<EpollSelector<S, D, 1000>>(), 1000, epoll, 64 * event);
    check(size_of::<PollSelector<S, D, 1>>(), 1, poll, 0);
    check(size_of::<PollSelector<S, D, 64>>(), 64, poll, 0);
    check(size_of::<PollSelector<S, D, 1000>>(), 1000, poll, 0);
    check(size_of::<SelectSelector<S, D, 1>>(), 1, select, 3 * 128);
    check(size_of::<SelectSelector<S, D, 64>>(), 64, select, 3 * 128);
    check(size_of::<SelectSelector<S, D, 1000>>(), 1000, select, 3 * 128);
}

#[test]
fn selectors_are_as_large_as_the_formula_says() {
    check_all::<OwnedFd, ()>();
    check_all::<OwnedFd, u32>();
    check_all::<OwnedFd, u64>();
    check_all::<UnixStream, [u8; 200]>();
    check_all::<Box<File>, Option<usize>>();
    println!("a key of an OwnedFd and a number: {} bytes", key::<OwnedFd, u32>());
}

const PAINT: u128 = u128::from_ne_bytes([0xA5; 16]);

/// How much stack a function uses, its callees included; at least as much as
/// the end of a thread does.
fn stack_use<F: FnMut()>(mut function: F) -> usize {
    extern "C" fn run<F: FnMut()>(job: *mut c_void) -> *mut c_void {
        // SAFETY: `stack_use` passes this, and does not touch it until this
        // thread has ended.
        let (function, top) = unsafe { &mut *job.cast::<(&mut F, usize)>() };
        let here = 0_u8;
        *top = ptr::from_ref(&here).addr();
        call(function);
        ptr::null_mut()
    }
    /// Has a frame of its own, so that all of `function` is below `here`.
    #[inline(never)]
    fn call<F: FnMut()>(function: &mut F) {
        function();
    }
    let mut stack = vec![PAINT; 16 * 1024];
    let mut job = (&mut function, 0_usize);
    // SAFETY: the attributes are initialized by the first call and used by the
    // next two; stack and job live, and are not used, until the thread has been
    // joined.
    unsafe {
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
        assert_eq!(libc::pthread_attr_init(attributes.as_mut_ptr()), 0);
        let size = size_of_val(stack.as_slice());
        assert_eq!(
            libc::pthread_attr_setstack(attributes.as_mut_ptr(), stack.as_mut_ptr().cast(), size),
            0
        );
        let argument = (&raw mut job).cast();
        assert_eq!(
            libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run::<F>, argument),
            0
        );
        assert_eq!(libc::pthread_join(thread.assume_init(), ptr::null_mut()), 0);
    }
    let untouched = stack.iter().take_while(|word| **word == PAINT).count();
    assert!(untouched > 0, "the stack was too small");
    job.1 - (stack.as_ptr().addr() + untouched * size_of::<u128>())
}

fn stack_of_select<B: Backend, M: Storage>(mut selector: Selector<B, UnixStream, u32, M>) -> usize {
    let (ours, theirs) = UnixStream::pair().unwrap();
    selector.register(ours, Events::READ, 0).unwrap();
    selector.register(theirs, Events::WRITE, 0).unwrap();
    stack_use(|| {
        // The key is ready. The selector treats timeouts of these lengths
        // differently.
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1)] {
            assert_eq!(selector.select(Some(timeout)).map(|result| result.events()), Ok(1));
            assert!(selector.next_ready().is_some());
        }
    })
}

#[test]
#[ignore = "depends on the compiler: checked by .ci/run"]
fn a_wait_uses_little_stack_whatever_the_capacity() {
    // The measurement notices a large frame.
    let large = || assert_eq!(std::hint::black_box([1_u8; 4096])[0], 1);
    assert!(stack_use(|| {}) < 1024 && stack_use(large) > 4096);
    let epoll = [
        stack_of_select(EpollSelector::<_, _, 2>::new().unwrap()),
        stack_of_select(EpollSelector::<_, _, 64>::new().unwrap()),
        stack_of_select(EpollSelector::<_, _, 1024>::new().unwrap()),
    ];
    let poll = [
        stack_of_select(PollSelector::<_, _, 2>::new().unwrap()),
        stack_of_select(PollSelector::<_, _, 64>::new().unwrap()),
        stack_of_select(PollSelector::<_, _, 1024>::new().unwrap()),
    ];
    let select = [
        stack_of_select(SelectSelector::<_, _, 2>::new().unwrap()),
        stack_of_select(SelectSelector::<_, _, 64>::new().unwrap()),
        stack_of_select(SelectSelector::<_, _, 1024>::new().unwrap()),
    ];
    for (name, used) in [("epoll", epoll), ("poll", poll), ("select", select)] {
        println!("{name}: {used:?} bytes of stack with 2, 64 and 1024 keys");
        assert!(used.iter().all(|bytes| *bytes <= 4096), "{name}: {used:?}");
        assert!(used.iter().max().unwrap() - used.iter().min().unwrap() < 64, "{name}: {used:?}");
    }
}
