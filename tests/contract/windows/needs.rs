//! What a test needs of the machine. Windows has no limit on sockets.

/// Descriptors that a test has to itself.
pub struct Descriptors;

pub fn limit() -> usize {
    usize::MAX
}

pub fn number(_number: usize) -> bool {
    true
}

pub fn descriptors(_number: usize) -> Option<Descriptors> {
    Some(Descriptors)
}

pub fn fdinfo() -> bool {
    false
}
