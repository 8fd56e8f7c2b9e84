//! The cost of a selector next to the bare system calls, mio and polling:
//! `cargo bench -p selectors-std`.
//!
//! All of them do the same work in the same process, a short while each in
//! turn, round after round. The figures are ratios to the first column in the
//! same round, and the median of the rounds. Such figures survive a noisy
//! machine.
//!
//! The program builds and runs itself once for each profile, and writes one
//! page with the rows of all of them.

#[cfg(target_os = "linux")]
mod arrays;
#[cfg(target_os = "linux")]
mod chain;
#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod echo;
#[cfg(target_os = "linux")]
mod keys;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod profiles;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod row;
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
#[cfg(target_os = "linux")]
mod work;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    let code = run::main();
    #[cfg(not(target_os = "linux"))]
    let code = {
        eprintln!("the bare loop of this benchmark needs epoll: Linux only");
        std::process::ExitCode::SUCCESS
    };
    code
}
