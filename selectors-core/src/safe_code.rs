//! What safe code can't do: make a selector watch a descriptor that it does not
//! own.
//!
//! Each program here is a test twice. It compiles with the word `unsafe`, and
//! does not compile without it.

macro_rules! only_unsafe {
    ($name:ident: $code:literal, $before:literal, $after:literal) => {
        #[doc = concat!("```compile_fail,", $code, "\n", $before, $after, "\n```\n")]
        #[doc = concat!("```\n", $before, "unsafe ", $after, "\n```\n")]
        mod $name {}
    };
}

// A backend outside of a selector, whose `add` keeps a number for longer than
// the borrow.
only_unsafe!(
    new: "E0133",
    "use selectors_core::{backend::{Backend, Poll}, storage::Fixed};
    let backend = ",
    "{ Poll::<Fixed<4>>::new()? };
    # Ok::<(), selectors_core::Error>(())"
);
only_unsafe!(
    add: "E0133",
    "use selectors_core::{Error, Events, backend::{Backend, Token}};
    fn add<B: Backend>(backend: &mut B, fd: rustix::fd::BorrowedFd<'_>) -> Result<(), Error> {",
    "{ backend.add(fd, Token::from_u64(0), Events::READ.into()) }
    }"
);
only_unsafe!(
    modify: "E0133",
    "use selectors_core::{Error, Events, backend::{Backend, Watched}};
    fn modify<B: Backend>(backend: &mut B, watched: &Watched<'_>) -> Result<(), Error> {",
    "{ backend.modify(watched, Events::READ.into()) }
    }"
);
only_unsafe!(
    rebuild: "E0133",
    "use selectors_core::backend::{Backend, Rebuilt, Watched};
    fn rebuild<B: Backend>(backend: &mut B, watched: Watched<'static>) -> Rebuilt {",
    "{ backend.rebuild(std::iter::once(watched)) }
    }"
);

// A number instead of a source.
only_unsafe!(
    register_raw: "E0133",
    "use selectors_core::{DefaultSelector, Events};
    let mut selector = DefaultSelector::<rustix::fd::RawFd, (), 4>::new()?;
    let registered = ",
    "{ selector.register_raw(0, Events::READ, ()).is_ok() };
    # Ok::<(), selectors_core::Error>(())"
);

// A backend that reports what it likes.
only_unsafe!(
    backend: "E0200",
    "use rustix::{event::Timespec, fd::BorrowedFd, io};
    use selectors_core::backend::{Backend, Kind, Token, Watched};
    use selectors_core::{Error, Events, Interest};
    struct Mine;
    ",
    "impl Backend for Mine {
        const KIND: Option<Kind> = None;
        unsafe fn new() -> Result<Self, Error> { Ok(Self) }
        fn kind(&self) -> Kind { Kind::Poll }
        unsafe fn add(&mut self, _: BorrowedFd<'_>, _: Token, _: Interest) -> Result<(), Error> { Ok(()) }
        unsafe fn modify(&mut self, _: &Watched<'_>, _: Interest) -> Result<(), Error> { Ok(()) }
        fn remove(&mut self, _: &Watched<'_>) {}
        fn disarm(&mut self, _: &Watched<'_>) {}
        fn wait(&mut self, _: Option<&Timespec>) -> io::Result<usize> { Ok(0) }
        fn peek(&mut self) -> Option<(Token, Events)> { None }
        fn advance(&mut self) {}
        fn pending(&self) -> usize { 0 }
        fn take_wake(&mut self, _: Token) -> bool { false }
    }"
);

// A list whose `pop` does nothing, so that the numbers of removed keys stay in
// it.
only_unsafe!(
    list: "E0200",
    "use selectors_core::storage::List;
    use std::ops::{Deref, DerefMut};
    struct Lazy<T>(Vec<T>);
    impl<T> Default for Lazy<T> { fn default() -> Self { Self(Vec::new()) } }
    impl<T> Deref for Lazy<T> { type Target = [T]; fn deref(&self) -> &[T] { &self.0 } }
    impl<T> DerefMut for Lazy<T> { fn deref_mut(&mut self) -> &mut [T] { &mut self.0 } }
    ",
    "impl<T> List<T> for Lazy<T> {
        fn push(&mut self, item: T) -> Result<(), T> { self.0.push(item); Ok(()) }
        fn pop(&mut self) -> Option<T> { None }
    }"
);

// An index that panics while a descriptor is registered.
only_unsafe!(
    index: "E0200",
    "use selectors_core::storage::Index;
    #[derive(Default)]
    struct Bomb;
    ",
    "impl Index for Bomb {
        fn find(&self, _: i32, scan: impl FnOnce() -> Option<u32>) -> Option<u32> { scan() }
        fn reserve(&mut self, _: usize) -> bool { true }
        fn insert(&mut self, _: i32, _: u32, _: impl FnOnce() -> Option<u32>, _: impl Iterator<Item = (i32, u32)>) -> Option<u32> { panic!() }
    }"
);

// A storage whose cell is another one each time.
only_unsafe!(
    storage: "E0200",
    "use selectors_core::{WakeCell, storage::{FixedList, Scan, Storage}};
    enum Mine {}
    ",
    "impl Storage for Mine {
        type List<T> = FixedList<T, 8>;
        type Index = Scan;
        type Wake = &'static WakeCell;
    }"
);
