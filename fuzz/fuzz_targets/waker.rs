//! Wakers and selectors that come and go, each wake held against a model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selectors_fuzz::shared::wakes::{self, Program};

fuzz_target!(|program: Program| wakes::run(&program.0));
