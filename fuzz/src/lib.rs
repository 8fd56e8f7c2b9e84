//! The languages and models of `tests/model`, which run there on stable Rust, too.

#[path = "../../tests/model/shared/mod.rs"]
pub mod shared;

/// libFuzzer has a `main` of its own, so nobody has done what Rust's does: a write to a pipe that nobody reads is an
/// error, not the end of the process.
pub fn ignore_sigpipe() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: changes one disposition, to one that runs nothing.
    ONCE.call_once(|| unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    });
}
