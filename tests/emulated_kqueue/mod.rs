//! The source of the kqueue backend, compiled once more over an emulation,
//! where there is no kqueue.
//!
//! `selectors-core/src/backend/kqueue.rs` takes all it uses from the module
//! above it. There that is rustix, here it is `sys`, with the same names and
//! results. So the contract, the models and the fuzz targets run through the
//! backend's own code, and errors can be injected at each of its calls. What a
//! real kernel does is known as far as `queue` has it.
//!
//! Included by its path, by the tests and by the fuzz package.
#![allow(unsafe_code, reason = "the backend's and rustix's interfaces are")]
#![allow(unreachable_pub, dead_code, reason = "each user has its part")]

mod files;
pub mod inject;
#[path = "../common/layer.rs"]
pub mod layer;
pub mod queue;
pub mod sys;
pub mod systems;

#[path = "../../selectors-core/src/backend/kqueue.rs"]
mod backend;

pub use backend::Kqueue;

// What `backend` finds above itself.
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::fs::FileType;
use rustix::io::Errno;
use selectors_core::backend::{Backend, Rebuilt, Token, Watched};
use selectors_core::{Error, Events, FileKind, Interest, Kind, Mode};
use sys as kqueue_sys;

fn os(call: &'static str, fd: Option<RawFd>, errno: Errno) -> Error {
    Error::Os { call, fd, errno, file: None }
}

fn os_about(call: &'static str, fd: BorrowedFd<'_>, errno: Errno) -> Error {
    let kind = |stat: rustix::fs::Stat| match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        _ => FileKind::Other,
    };
    let explains = matches!(errno, Errno::PERM | Errno::BADF);
    let file = if explains { rustix::fs::fstat(fd).ok().map(kind) } else { None };
    Error::Os { call, fd: Some(fd.as_raw_fd()), errno, file }
}
