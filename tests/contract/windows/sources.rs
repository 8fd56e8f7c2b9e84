//! What the rows' support has of its own on Windows, where only sockets can be
//! watched.

use std::io::{IoSlice, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::windows::io::{
    AsRawSocket, AsSocket, BorrowedSocket, FromRawSocket, IntoRawSocket, OwnedSocket, RawSocket,
};

use rustix::fd::{AsFd, OwnedFd};

/// Two ends of a TCP connection, in place of the sockets that Unix has.
#[derive(Debug)]
pub struct UnixStream(TcpStream);

impl UnixStream {
    pub fn pair() -> Result<(Self, Self)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let one = TcpStream::connect(listener.local_addr()?)?;
        let (two, _) = listener.accept()?;
        // Each byte is sent at once, as the rows expect.
        one.set_nodelay(true)?;
        two.set_nodelay(true)?;
        Ok((Self(one), Self(two)))
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.0.shutdown(how)
    }

    pub fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Read for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Read for &UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        (&self.0).read(buffer)
    }
}

impl Write for UnixStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> Result<usize> {
        self.0.write_vectored(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

impl Write for &UnixStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        (&self.0).write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        (&self.0).flush()
    }
}

impl AsSocket for UnixStream {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

impl AsRawSocket for UnixStream {
    fn as_raw_socket(&self) -> RawSocket {
        self.0.as_raw_socket()
    }
}

impl IntoRawSocket for UnixStream {
    fn into_raw_socket(self) -> RawSocket {
        self.0.into_raw_socket()
    }
}

impl FromRawSocket for UnixStream {
    unsafe fn from_raw_socket(socket: RawSocket) -> Self {
        // SAFETY: the caller keeps the promise.
        Self(unsafe { TcpStream::from_raw_socket(socket) })
    }
}

impl From<UnixStream> for OwnedSocket {
    fn from(stream: UnixStream) -> Self {
        stream.0.into()
    }
}

/// How often a row repeats what happens rarely. A system call of Wine takes as
/// long as twenty of Linux.
pub const fn many(times: u32) -> u32 {
    times.div_ceil(20)
}

/// A source that names a socket and does not own it. A `RawSocket` itself is no
/// source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw(RawSocket);

impl AsRawSocket for Raw {
    fn as_raw_socket(&self) -> RawSocket {
        self.0
    }
}

pub fn raw(socket: RawSocket) -> Raw {
    Raw(socket)
}

pub fn dup(fd: impl AsFd) -> Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// A duplicate. Which number it has can't be chosen, so the rows run one after
/// the other.
pub fn apart(fd: impl AsFd) -> OwnedFd {
    dup(fd).unwrap()
}

pub fn beyond_select(_fd: impl AsFd) -> Option<OwnedFd> {
    None
}
