//! Wakers, the selectors they wake, and those that come after them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use rustix::event::{EventfdFlags, eventfd};
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::{Error, Events, SelectResult, Selector, WakeCell, Waker};
use selectors_std::Growable;

use super::language::steps;

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Step {
    /// A new selector at this place, of this backend; the old one is dropped
    /// first.
    Open(u8, u8),
    Drop(u8),
    /// The selector attaches the cell.
    Take(u8, u8),
    Wake(u8),
    WakeTwice(u8),
    /// From so many threads, while the selector waits.
    WakeFromThreads(u8, u8),
    /// Makes, or ends, the readiness of something else that the selector
    /// watches.
    Ready(u8, bool),
    Select(u8),
    /// Consumes no event, so that the next wait makes no system call.
    SelectAndLeave(u8),
}

#[derive(Debug)]
pub struct Program(pub Vec<Step>);

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        steps(input, 100).map(Self)
    }
}

const PLACES: usize = 3;
const CELLS: usize = 2;

trait Woken {
    fn take(&mut self, cell: Arc<WakeCell>) -> Result<Waker<Arc<WakeCell>>, Error>;
    fn select(&mut self, timeout: Duration) -> Result<SelectResult, Error>;
    fn next_ready(&mut self) -> Option<(i32, Events)>;
}

impl<B: Backend> Woken for Selector<B, Arc<OwnedFd>, (), Growable> {
    fn take(&mut self, cell: Arc<WakeCell>) -> Result<Waker<Arc<WakeCell>>, Error> {
        self.waker_in(cell)
    }

    fn select(&mut self, timeout: Duration) -> Result<SelectResult, Error> {
        self.select(Some(timeout))
    }

    fn next_ready(&mut self) -> Option<(i32, Events)> {
        self.next_ready().map(|(key, events)| (key.fd, events))
    }
}

struct Place {
    selector: Box<dyn Woken>,
    /// How many events a wait returns.
    room: usize,
    source: Arc<OwnedFd>,
    /// Which cell it has, if any.
    cell: Option<usize>,
    ready: bool,
    /// An event was left by the last wait.
    left: bool,
    /// No wait has been ended by the wakes yet: surely; perhaps, as a wait may
    /// have ended before the last of them.
    woken: bool,
    perhaps: bool,
}

impl Place {
    fn open(backend: u8) -> Self {
        let source = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap());
        fn made<B: Backend + 'static>(source: &Arc<OwnedFd>) -> Box<dyn Woken> {
            let mut selector = Selector::<B, _, _, Growable>::new().unwrap();
            selector.register(source.clone(), Events::READ, ()).unwrap();
            Box::new(selector)
        }
        let (selector, room) = match backend % 4 {
            0 => (made::<Epoll<256>>(&source), 256),
            1 => (made::<Epoll<1>>(&source), 1),
            2 => (made::<Poll<Growable>>(&source), usize::MAX),
            _ => (made::<Select<Growable>>(&source), usize::MAX),
        };
        Self {
            selector,
            room,
            source,
            cell: None,
            ready: false,
            left: false,
            woken: false,
            perhaps: false,
        }
    }

    /// Waits without waiting.
    fn select(&mut self, take: bool) {
        if self.left {
            let result = self.selector.select(Duration::ZERO).unwrap();
            assert_eq!((result.events(), result.woken()), (1, false), "what was left comes first");
        } else {
            self.wait();
        }
        if take {
            self.take_all();
        }
    }

    fn wait(&mut self) {
        let result = self.selector.select(Duration::ZERO).unwrap();
        let (events, woken) = (result.events(), result.woken());
        assert!(events <= usize::from(self.ready), "{result:?}");
        assert!(!woken || self.woken || self.perhaps, "nothing has woken it");
        // If the batch has no room for both, it has one of them.
        let full = events + usize::from(woken) == self.room;
        assert!(full || events == usize::from(self.ready) && woken >= self.woken, "{result:?}");
        if woken || !full {
            (self.woken, self.perhaps) = (false, false);
        }
        assert_eq!(result.timed_out(), events == 0 && !woken);
        self.left = events > 0;
    }

    fn take_all(&mut self) {
        let mut delivered = 0;
        while let Some((_, events)) = self.selector.next_ready() {
            assert_eq!(events, Events::READ);
            delivered += 1;
        }
        assert!(delivered <= 1 && (delivered == 1 || !self.left));
        self.left = false;
    }
}

/// Runs the steps, and compares each result with the model.
pub fn run(steps: &[Step]) {
    let cells: Vec<_> = (0..CELLS).map(|_| Arc::new(WakeCell::new())).collect();
    let mut places: Vec<Option<Place>> = (0..PLACES).map(|_| None).collect();
    for step in steps {
        one(*step, &cells, &mut places);
    }
    drop(places);
    assert!(cells.iter().all(|cell| Arc::strong_count(cell) == 1), "a cell is kept");
    assert!(cells.iter().all(|cell| cell.wake() == Err(Error::WakerClosed)));
}

fn one(step: Step, cells: &[Arc<WakeCell>], places: &mut [Option<Place>]) {
    let holder = |places: &[Option<Place>], cell: usize| {
        places.iter().position(|place| place.as_ref().is_some_and(|place| place.cell == Some(cell)))
    };
    match step {
        Step::Open(place, backend) => {
            places[usize::from(place) % PLACES] = None;
            places[usize::from(place) % PLACES] = Some(Place::open(backend));
        }
        Step::Drop(place) => places[usize::from(place) % PLACES] = None,
        Step::Take(place, cell) => {
            let cell = usize::from(cell) % CELLS;
            let held = holder(places, cell);
            let number = usize::from(place) % PLACES;
            let Some(place) = &mut places[number] else { return };
            let report = place.selector.take(cells[cell].clone()).map(|_| ());
            let free = if place.cell.is_some() { held == Some(number) } else { held.is_none() };
            assert_eq!(report, if free { Ok(()) } else { Err(Error::WakerInUse) });
            if free && place.cell.is_none() {
                (place.cell, place.woken, place.perhaps) = (Some(cell), false, false);
            }
        }
        Step::Wake(cell) | Step::WakeTwice(cell) => {
            let cell = usize::from(cell) % CELLS;
            let held = holder(places, cell);
            for _ in 0..if matches!(step, Step::WakeTwice(_)) { 2 } else { 1 } {
                assert_eq!(cells[cell].wake().is_ok(), held.is_some());
            }
            if let Some(place) = held.and_then(|place| places[place].as_mut()) {
                place.woken = true;
            }
        }
        Step::WakeFromThreads(place, threads) => {
            let Some(place) = &mut places[usize::from(place) % PLACES] else { return };
            let (Some(cell), false, false) = (place.cell, place.left, place.ready) else { return };
            std::thread::scope(|scope| {
                let wake = || assert_eq!(cells[cell].wake(), Ok(()));
                let threads: Vec<_> = (0..=threads % 3).map(|_| scope.spawn(wake)).collect();
                let result = place.selector.select(Duration::from_secs(20)).unwrap();
                assert!(result.woken() && result.events() == 0, "not woken: {result:?}");
                place.take_all();
                // A scope waits for what they run, not for their end, which a
                // leak checker would see.
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            // The later ones may have come after the wait.
            (place.woken, place.perhaps) = (false, true);
        }
        Step::Ready(place, ready) => {
            let Some(place) = &mut places[usize::from(place) % PLACES] else { return };
            if ready {
                rustix::io::write(&place.source, &1_u64.to_ne_bytes()).unwrap();
            } else {
                let _ = rustix::io::read(&place.source, &mut [0; 8]);
            }
            place.ready = ready;
        }
        Step::Select(place) | Step::SelectAndLeave(place) => {
            if let Some(place) = &mut places[usize::from(place) % PLACES] {
                place.select(matches!(step, Step::Select(_)));
            }
        }
    }
}
