//! The start of the process, and the functions that the compiler calls.
//!
//! libc and std have these in other programs. This is the only file with unsafe
//! code. To support another processor, add its `_start`.

#![allow(unsafe_code)]

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char, c_int};

/// The arguments, which begin with the program's name.
pub struct Arguments {
    next: *const *const c_char,
}

impl Iterator for Arguments {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: `next` points into the kernel's array of strings, which lives
        // as long as the process. The array ends with a null pointer, where
        // this stops.
        unsafe {
            let argument = *self.next;
            if argument.is_null() {
                return None;
            }
            self.next = self.next.add(1);
            Some(CStr::from_ptr(argument))
        }
    }
}

/// Writes to the standard error.
#[allow(dead_code, reason = "the smallest program prints nothing")]
pub fn complain(text: &[u8]) {
    // SAFETY: this program never closes it. If it was closed at the start, the
    // kernel refuses the call.
    let _ = rustix::io::write(unsafe { rustix::stdio::stderr() }, text);
}

/// Calls `main`. The stack has the number of arguments, and then the arguments.
extern "C" fn enter(stack: *const *const c_char) -> c_int {
    // SAFETY: the kernel has put the arguments one word above.
    let next = unsafe { stack.add(1) };
    crate::main(Arguments { next })
}

// Each calls `enter` with the stack pointer, and then `exit_group` with the
// result.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start: mov rdi, rsp",
    "call {}",
    "mov edi, eax",
    "mov eax, 231",
    "syscall",
    sym enter
);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start: mov x0, sp", "bl {}", "mov x8, #94", "svc #0", sym enter);
#[cfg(target_arch = "arm")]
global_asm!(".globl _start", "_start: mov r0, sp", "bl {}", "mov r7, #248", "svc #0", sym enter);
#[cfg(target_arch = "riscv64")]
global_asm!(".globl _start", "_start: mv a0, sp", "call {}", "li a7, 94", "ecall", sym enter);

/// Ends the process by a signal, so that its supervisor restarts it.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: an illegal instruction, for which the kernel sends SIGILL.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("ud2", options(noreturn));
        #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
        asm!("udf #0", options(noreturn));
        #[cfg(target_arch = "riscv64")]
        asm!("unimp", options(noreturn));
    }
}

/// Named by core's unwinding tables, which are not used with `panic = "abort"`.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr0() {}

// The compiler calls these by itself. It does not replace the loops in
// functions of these names by calls of the same functions.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: the caller must ensure that there are `count` bytes at both,
        // as in the functions below.
        unsafe { *to.add(at) = *from.add(at) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr() <= from.addr() {
        // SAFETY: each byte is read before something is written there.
        return unsafe { memcpy(to, from, count) };
    }
    for at in (0..count).rev() {
        // SAFETY: as in memcpy.
        unsafe { *to.add(at) = *from.add(at) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: as in memcpy.
        unsafe { *to.add(at) = byte as u8 };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    for at in 0..count {
        // SAFETY: as in memcpy.
        let (left, right) = unsafe { (*left.add(at), *right.add(at)) };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: as memcmp.
    unsafe { memcmp(left, right, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the text ends with a zero.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    length
}
