//! A port scanner, which tries many ports at a time with a second for each.
//!
//! All attempts take the same time at most, so the deadlines are a queue. A
//! deadline names its attempt by the key's id. An id never names a later
//! registration, so the deadlines of attempts that have ended can stay in the
//! queue.
//!
//! ```text
//! cargo run --example port_scan localhost 1 1023
//! ```
//!
//! It needs the crates selectors-std and rustix. Scan your own machines only.

use std::collections::VecDeque;
use std::error::Error;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};
use std::{env, io};

use rustix::io::Errno;
use selectors_std::{DefaultSelector, Events, connect};

const AT_A_TIME: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(1);

/// How attempts have ended.
#[derive(Default)]
struct Counts {
    open: usize,
    refused: usize,
    timed_out: usize,
    failed: usize,
}

impl Counts {
    fn count(&mut self, address: SocketAddr, error: Option<Errno>) {
        match error {
            None => {
                println!("{address} is open");
                self.open += 1;
            }
            Some(Errno::CONNREFUSED) => self.refused += 1,
            Some(errno) => {
                println!("{address}: {errno}");
                self.failed += 1;
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let [_, host, first, last] = &*env::args().collect::<Vec<_>>() else {
        return Err("usage: port_scan HOST FIRST LAST".into());
    };
    let mut address = (&**host, 0).to_socket_addrs()?.next().ok_or("the host has no address")?;
    let mut ports: VecDeque<u16> = (first.parse()?..=last.parse()?).collect();

    let mut selector = DefaultSelector::<TcpStream, SocketAddr>::new()?;
    let (mut deadlines, mut counts) = (VecDeque::new(), Counts::default());
    loop {
        while selector.get_map().len() < AT_A_TIME {
            let Some(port) = ports.pop_front() else { break };
            address.set_port(port);
            match connect(address)
                .and_then(|s| Ok(selector.register(s, Events::WRITE, address)?.id()))
            {
                Ok(id) => deadlines.push_back((Instant::now() + TIMEOUT, id)),
                // Descriptors or memory are short. They are free again when an
                // attempt has ended.
                Err(error) if is_short(&error) && !selector.get_map().is_empty() => {
                    ports.push_front(port);
                    break;
                }
                Err(error) if is_short(&error) => return Err(error.into()),
                // A peer on the same machine refuses immediately.
                Err(error) => {
                    counts.count(address, Some(Errno::from_io_error(&error).ok_or(error)?));
                }
            }
        }
        let Some(&(deadline, _)) = deadlines.front() else { break };
        selector.select_until(deadline)?;
        while let Some((key, _events)) = selector.next_ready() {
            counts.count(key.data, key.take_error()?);
            drop(key.unregister());
        }
        while deadlines.front().is_some_and(|(deadline, _)| *deadline <= Instant::now()) {
            let Some((_, id)) = deadlines.pop_front() else { break };
            counts.timed_out += usize::from(selector.unregister(id).is_ok());
        }
    }
    let Counts { open, refused, timed_out, failed } = counts;
    println!("{open} open, {refused} refused, {timed_out} timed out, {failed} failed");
    Ok(())
}

/// Returns whether descriptors, ports or memory are short, which passes.
fn is_short(error: &io::Error) -> bool {
    const SHORT: [Errno; 5] =
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|errno| SHORT.contains(&errno))
}
