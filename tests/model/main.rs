//! Random programs over selectors, each answer held against a model. The fuzz targets run the same.

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
    runner(250).run(&vec(part::<Step>(), 1..120), |steps| {
        program::run_all(&steps);
        Ok(())
    })
    .unwrap();
}
