//! What a selector costs beside the bare system call, mio and polling: `cargo bench -p selectors-std`.
//!
//! All of them do the same work in the same process, a short while each in turn, round after round; what
//! is reported is the median, over the rounds, of the ratio to the bare call in the same round. That
//! is what survives a noisy machine.

#[cfg(target_os = "linux")]
mod arrays;
#[cfg(target_os = "linux")]
mod chain;
#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod instructions;
#[cfg(target_os = "linux")]
mod keys;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod subjects;
#[cfg(target_os = "linux")]
mod targets;
#[cfg(target_os = "linux")]
mod waits;
#[cfg(target_os = "linux")]
mod wakes;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    let code = run::main();
    #[cfg(not(target_os = "linux"))]
    let code = {
        eprintln!("the bare loop of this benchmark is epoll's: Linux only");
        std::process::ExitCode::SUCCESS
    };
    code
}
