//! System calls that fail because of a seccomp filter, which holds only for the
//! thread that installs it.
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

use std::env::consts::ARCH;
use std::thread;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// A system call. If only some of them are to fail, an argument of these, which
/// is counted from 0, and its value.
#[derive(Clone, Copy)]
pub struct Call(pub i64, pub Option<(u8, u64)>);

/// Runs `work` in a thread in which these calls fail with this error.
///
/// # Errors
///
/// Returns why the kernel refuses the filter. Emulators and some containers do
/// not support filters.
pub fn without<T: Send>(
    calls: &[Call],
    errno: Errno,
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    let rules = |(argument, value)| {
        let (length, same) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        let condition = SeccompCondition::new(argument, length, same, value).unwrap();
        SeccompRule::new(vec![condition]).unwrap()
    };
    let filter = SeccompFilter::new(
        calls.iter().map(|call| (call.0, call.1.map(rules).into_iter().collect())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.raw_os_error().unsigned_abs()),
        ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    thread::scope(|scope| {
        let filtered = scope.spawn(|| {
            apply_filter(&program)
                .map_err(|error| format!("the kernel refuses a filter: {error}"))?;
            Ok(work())
        });
        filtered.join().unwrap()
    })
}
