//! The languages and models of `tests/model`, which run there on stable Rust,
//! too.

#[path = "../../tests/model/shared/mod.rs"]
pub mod shared;

/// Makes a write to a pipe without a reader an error, not the end of the
/// process.
///
/// Rust's `main` does so. libFuzzer has its own.
pub fn ignore_sigpipe() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: changes one disposition, to one that runs nothing.
    ONCE.call_once(|| unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    });
}
