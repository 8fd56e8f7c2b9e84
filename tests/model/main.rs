//! Random programs over selectors, each answer held against a model. The fuzz targets run the same.
//! The model is of Linux, epoll's bits and all.
#![cfg(target_os = "linux")]

mod shared;

use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use shared::language::Step;
use shared::program;

/// How often a property is tried here; the fuzz targets try more. `MODEL_CASES` says otherwise.
fn cases(number: u32) -> Config {
    let cases = std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: cases.unwrap_or(number), failure_persistence: None, ..Config::default() }
}

/// The same programs in every run, unless `MODEL_SEED` is set: a test that fails must fail again.
fn runner(number: u32) -> TestRunner {
    let seed: u8 = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    TestRunner::new_with_rng(cases(number), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// What a fuzz target would read from these bytes. A part that shrinks by itself.
fn part<T: for<'a> Arbitrary<'a> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<[u8; 16]>().prop_map(|bytes| T::arbitrary(&mut Unstructured::new(&bytes)).unwrap())
}

#[test]
fn every_selector_answers_as_its_model() {
    runner(250)
        .run(&vec(part::<Step>(), 1..120), |steps| {
            program::run_all(&steps);
            Ok(())
        })
        .unwrap();
}

/// What the fuzz targets found, and what was thought of before they could.
mod found {
    use selectors_core::{Events, Mode};

    use super::program::run_all;
    use super::shared::language::{Asked, Sort, Step};

    const READ: Asked = Asked::new(Events::READ, Mode::Level);
    const BOTH: Asked = Asked::new(Events::READ.union(Events::WRITE), Mode::Level);

    /// The kernel still watches (file, number) for a registration that is gone, so it refused to add the same: `EEXIST`.
    #[test]
    fn a_number_that_comes_back_is_registered_again() {
        use Step::{Close, Dup, Open, Register, Select, Settle, Unregister, Write};
        run_all(&[
            Open(0, Sort::Unix),
            Register(0, READ),
            Dup(0, 1),
            Close(0),
            Unregister(0),
            Dup(1, 0),
            Register(0, BOTH),
            Write(0),
            Select(9),
            Settle,
            Unregister(0),
            Settle,
        ]);
    }
}

#[test]
fn key_tables_answer_as_a_btreemap() {
    runner(300)
        .run(&vec(part::<shared::tables::Step>(), 1..400), |steps| {
            shared::tables::run_all(&steps);
            Ok(())
        })
        .unwrap();
}

#[test]
fn wakers_wake_whom_they_belong_to() {
    runner(200)
        .run(&vec(part::<shared::wakes::Step>(), 1..60), |steps| {
            shared::wakes::run(&steps);
            Ok(())
        })
        .unwrap();
}
