//! What the Python programs printed, and how it is compared.

use std::collections::BTreeMap;

pub const SELECTORS_SERVER: &str = r"
starting up on localhost port 10000
waiting for I/O
waiting for I/O
accept(('127.0.0.1', 59850))
waiting for I/O
read(('127.0.0.1', 59850))
  received b'This is the message.  It will be repeated.'
waiting for I/O
read(('127.0.0.1', 59850))
  closing
shutting down
";

pub const SELECTORS_CLIENT: &str = r"
connecting to localhost port 10000
waiting for I/O
client(('127.0.0.1', 10000))
  ready to write
  sending b'This is the message.  '
waiting for I/O
client(('127.0.0.1', 10000))
  ready to write
  sending b'It will be repeated.'
waiting for I/O
client(('127.0.0.1', 10000))
  ready to write
  switching to read-only
waiting for I/O
client(('127.0.0.1', 10000))
  ready to read
  received b'This is the message.  It will be repeated.'
shutting down
";

// Python's servers printed the address of the latest connection whichever was
// closed; here the address closed is the one that is printed.
pub const SELECT_SERVER: &str = r"
starting up on localhost port 10000
waiting for the next event
  connection from ('127.0.0.1', 61003)
waiting for the next event
  connection from ('127.0.0.1', 61004)
waiting for the next event
  received b'This is the message. ' from ('127.0.0.1', 61003)
  received b'This is the message. ' from ('127.0.0.1', 61004)
waiting for the next event
  sending b'This is the message. ' to ('127.0.0.1', 61003)
  sending b'This is the message. ' to ('127.0.0.1', 61004)
waiting for the next event
   ('127.0.0.1', 61003) queue empty
   ('127.0.0.1', 61004) queue empty
waiting for the next event
  received b'It will be sent ' from ('127.0.0.1', 61003)
  received b'It will be sent ' from ('127.0.0.1', 61004)
waiting for the next event
  sending b'It will be sent ' to ('127.0.0.1', 61003)
  sending b'It will be sent ' to ('127.0.0.1', 61004)
waiting for the next event
   ('127.0.0.1', 61003) queue empty
   ('127.0.0.1', 61004) queue empty
waiting for the next event
  received b'in parts.' from ('127.0.0.1', 61003)
waiting for the next event
  received b'in parts.' from ('127.0.0.1', 61004)
  sending b'in parts.' to ('127.0.0.1', 61003)
waiting for the next event
   ('127.0.0.1', 61003) queue empty
  sending b'in parts.' to ('127.0.0.1', 61004)
waiting for the next event
   ('127.0.0.1', 61004) queue empty
waiting for the next event
  closing ('127.0.0.1', 61003)
  closing ('127.0.0.1', 61004)
waiting for the next event
";

pub const MULTICLIENT: &str = r"
connecting to localhost port 10000
('127.0.0.1', 61003): sending b'This is the message. '
('127.0.0.1', 61004): sending b'This is the message. '
('127.0.0.1', 61003): received b'This is the message. '
('127.0.0.1', 61004): received b'This is the message. '
('127.0.0.1', 61003): sending b'It will be sent '
('127.0.0.1', 61004): sending b'It will be sent '
('127.0.0.1', 61003): received b'It will be sent '
('127.0.0.1', 61004): received b'It will be sent '
('127.0.0.1', 61003): sending b'in parts.'
('127.0.0.1', 61004): sending b'in parts.'
('127.0.0.1', 61003): received b'in parts.'
('127.0.0.1', 61004): received b'in parts.'
";

pub const TIMEOUT_SERVER: &str = r"
starting up on localhost port 10000
waiting for the next event
  timed out, do some other work here
waiting for the next event
  connection from ('127.0.0.1', 61144)
waiting for the next event
  timed out, do some other work here
waiting for the next event
  received b'Part one of the message.' from ('127.0.0.1', 61144)
waiting for the next event
  sending b'Part one of the message.' to ('127.0.0.1', 61144)
waiting for the next event
('127.0.0.1', 61144) queue empty
waiting for the next event
  timed out, do some other work here
waiting for the next event
  received b'Part two of the message.' from ('127.0.0.1', 61144)
waiting for the next event
  sending b'Part two of the message.' to ('127.0.0.1', 61144)
waiting for the next event
('127.0.0.1', 61144) queue empty
waiting for the next event
  timed out, do some other work here
waiting for the next event
closing ('127.0.0.1', 61144)
waiting for the next event
  timed out, do some other work here
";

pub const SLOW_CLIENT: &str = r"
connecting to localhost port 10000
sending b'Part one of the message.'
sending b'Part two of the message.'
received b'Part one of the '
received b'message.Part two'
received b' of the message.'
closing socket
";

pub const POLL_SERVER: &str = r"
starting up on localhost port 10000
waiting for the next event
waiting for the next event
waiting for the next event
waiting for the next event
  connection ('127.0.0.1', 61253)
waiting for the next event
  connection ('127.0.0.1', 61254)
waiting for the next event
  received b'This is the message. ' from ('127.0.0.1', 61253)
  received b'This is the message. ' from ('127.0.0.1', 61254)
waiting for the next event
  sending b'This is the message. ' to ('127.0.0.1', 61253)
  sending b'This is the message. ' to ('127.0.0.1', 61254)
waiting for the next event
('127.0.0.1', 61253) queue empty
('127.0.0.1', 61254) queue empty
waiting for the next event
  received b'It will be sent ' from ('127.0.0.1', 61253)
  received b'It will be sent ' from ('127.0.0.1', 61254)
waiting for the next event
  sending b'It will be sent ' to ('127.0.0.1', 61253)
  sending b'It will be sent ' to ('127.0.0.1', 61254)
waiting for the next event
('127.0.0.1', 61253) queue empty
('127.0.0.1', 61254) queue empty
waiting for the next event
  received b'in parts.' from ('127.0.0.1', 61253)
  received b'in parts.' from ('127.0.0.1', 61254)
waiting for the next event
  sending b'in parts.' to ('127.0.0.1', 61253)
  sending b'in parts.' to ('127.0.0.1', 61254)
waiting for the next event
('127.0.0.1', 61253) queue empty
('127.0.0.1', 61254) queue empty
waiting for the next event
  closing ('127.0.0.1', 61253)
waiting for the next event
  closing ('127.0.0.1', 61254)
waiting for the next event
";

/// A transcript's lines with addresses and bytes written as Rust does.
///
/// The tests give the number of an address, because the first address of
/// localhost is an IPv6 one on some systems.
pub fn transcript(python: &str) -> Vec<String> {
    let python = python.replace("localhost", "127.0.0.1");
    let lines = python.trim_matches('\n').lines().map(|line| {
        let mut parts = line.split("('127.0.0.1', ");
        let mut rust = parts.next().unwrap().to_owned();
        for part in parts {
            rust += "127.0.0.1:";
            rust += &part.replacen(')', "", 1);
        }
        rust.replace('\'', "\"")
    });
    numbered(lines)
}

/// The lines with port numbers replaced by their order of appearance: `#0`,
/// `#1`.
pub fn numbered<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut ports: Vec<String> = Vec::new();
    let number = |line: S| {
        let mut result = String::new();
        let mut rest = line.as_ref();
        while let Some(at) = ["127.0.0.1:", " port "]
            .iter()
            .filter_map(|mark| Some(rest.find(mark)? + mark.len()))
            .min()
        {
            let digits = rest[at..].bytes().take_while(u8::is_ascii_digit).count();
            let port = &rest[at..at + digits];
            let index = ports.iter().position(|known| known == port);
            let index = index.unwrap_or_else(|| {
                ports.push(port.to_owned());
                ports.len() - 1
            });
            result += &format!("{}#{index}", &rest[..at]);
            rest = &rest[at + digits..];
        }
        result + rest
    };
    lines.into_iter().map(number).collect()
}

/// The lines without what depends on how long a server was idle.
pub fn without_idling(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| line.trim_start() != "timed out, do some other work here");
    lines.dedup_by(|next, line| next.starts_with("waiting for ") && next == line);
    lines
}

/// The lines about each connection, in order, where a server and a client run
/// freely.
///
/// The scheduler decides how the lines of the connections mingle, and whether
/// the next message comes before the server sees that a queue is empty.
pub fn by_connection(lines: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut connections = BTreeMap::<_, Vec<_>>::new();
    for line in lines.iter().filter(|line| !line.ends_with("queue empty")) {
        if let Some((_, rest)) = line.split_once("127.0.0.1:") {
            let name = rest.split_once(' ').map_or(rest, |(name, _)| name);
            connections.entry(name).or_default().push(&**line);
        }
    }
    connections
}
