//! User-space instructions per operation, counted by valgrind: every run has
//! the same counts.
//!
//! The program runs itself under callgrind, which counts between the two marks
//! below. At each second mark it writes its counts to a file, and the program
//! under it prints what was counted.

use std::io::{self, Error};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::pool::{Pool, clear, raise};
use crate::subjects::{
    BARE, Bare, BareArrays, BarePoll, BareSelect, FIXED, Fixed, FixedByNumber, FixedPoll,
    FixedSelect, GROWABLE, Growable, GrowableByNumber, GrowingPoll, GrowingSelect, LEVEL, MIO, Mio,
    POLLING, Polling, Subject, Watch, registered,
};

/// The columns.
const ALL: [&str; 5] = [BARE, GROWABLE, FIXED, MIO, POLLING];

/// The argument with which the program is run under callgrind.
pub(crate) const COUNTED: &str = "--counted";

#[inline(never)]
fn counting_begins() {
    std::hint::black_box("begins"); // not the same as below, or the two would become one function
}

#[inline(never)]
fn counting_ends() {
    std::hint::black_box("ends");
}

const TIMES: u32 = 1000;

/// Prints what is counted, and counts it.
fn count<T>(operation: &str, subject: &str, mut work: impl FnMut() -> T) {
    println!("{operation};{subject}");
    // What has to grow has grown.
    for times in [2, TIMES] {
        counting_begins();
        for _ in 0..times {
            std::hint::black_box(work());
        }
        if times == TIMES {
            counting_ends();
        }
    }
}

const EMPTY: &str = "empty wait";
const RAISE: &str = "raise";
const FULL: &str = "full wait";
const EVENT: &str = "event";
/// No more than the smallest batch holds.
const READY: u32 = 64;

fn waits<'a, S: Subject<'a>>(name: &str, pool: &'a Pool) {
    let mut subject: S = registered(pool.fds(), LEVEL);
    // mio has only edges: what it reports has to happen again.
    let prepare = || {
        if name == MIO {
            pool.fds().for_each(raise);
        }
    };
    count(EMPTY, name, || subject.wait(false, |_, data| *data += 1));
    count(RAISE, name, prepare);
    pool.fds().for_each(raise);
    count(FULL, name, || {
        prepare();
        subject.wait(false, |_, data| *data += 1);
    });
    pool.fds().for_each(clear);
}

fn keys<'a, S: Subject<'a>>(name: &str, pool: &'a Pool) {
    let mut fds = pool.fds();
    let (one, other) = (fds.next().unwrap(), fds.next().unwrap());
    let mut subject: S = registered(fds, LEVEL);
    count("register + unregister", name, || {
        let handle = subject.add(one, LEVEL, 0);
        subject.remove(handle);
    });
    let handle = subject.add(one, LEVEL, 0);
    let mut write = false;
    count("modify, changed", name, || {
        write = !write;
        subject.change(handle, Watch { write, ..LEVEL });
    });
    subject.change(handle, LEVEL);
    count("modify, unchanged", name, || subject.change(handle, LEVEL));
    let waker = subject.waker(other);
    count("wake + wait", name, || {
        S::wake(&waker);
        subject.wait(true, |fd, _| clear(fd));
    });
}

/// Only ours have ids next to the numbers of descriptors, which are used above.
fn ids<'a, S: Subject<'a>>(name: &str, pool: &'a Pool) {
    let mut subject: S = registered(pool.fds().skip(1), LEVEL);
    let id = subject.add(pool.fds().next().unwrap(), LEVEL, 0);
    let mut write = false;
    count("modify, changed, by id", name, || {
        write = !write;
        subject.change(std::hint::black_box(id), Watch { write, ..LEVEL });
    });
}

fn arrays<'a, S: Subject<'a>>(operation: &str, name: &str, pool: &'a Pool) {
    let mut subject: S = registered(pool.fds(), LEVEL);
    count(operation, name, || subject.wait(false, |_, data| *data += 1));
}

/// What is counted.
pub(crate) fn counted() {
    let pool = Pool::new(READY as usize);
    waits::<Bare<'_>>(BARE, &pool);
    waits::<Growable<'_>>(GROWABLE, &pool);
    waits::<Fixed<'_, 128>>(FIXED, &pool);
    waits::<Mio<'_>>(MIO, &pool);
    waits::<Polling<'_>>(POLLING, &pool);
    keys::<Bare<'_>>(BARE, &pool);
    keys::<GrowableByNumber<'_>>(GROWABLE, &pool);
    keys::<FixedByNumber<'_, 128>>(FIXED, &pool);
    keys::<Mio<'_>>(MIO, &pool);
    keys::<Polling<'_>>(POLLING, &pool);
    ids::<Growable<'_>>(GROWABLE, &pool);
    ids::<Fixed<'_, 128>>(FIXED, &pool);
    drop(pool);
    for many in [100, 1000] {
        let pool = Pool::new(many);
        for ready in [1, many] {
            pool.some(ready).for_each(raise);
            let poll = format!("poll, {ready} ready of {many}");
            let mut bare = BarePoll::new(&pool);
            count(&poll, BARE, || bare.wait(|data| *data += 1));
            arrays::<GrowingPoll<'_>>(&poll, GROWABLE, &pool);
            arrays::<FixedPoll<'_>>(&poll, FIXED, &pool);
            let select = format!("select, {ready} ready of {many}");
            let mut bare = BareSelect::new(&pool);
            count(&select, BARE, || bare.wait(|data| *data += 1));
            arrays::<GrowingSelect<'_>>(&select, GROWABLE, &pool);
            arrays::<FixedSelect<'_>>(&select, FIXED, &pool);
            pool.fds().for_each(clear);
        }
    }
}

/// Instructions per operation, by operation and subject.
struct Counts(Vec<(String, String, f64)>);

impl Counts {
    fn get(&self, operation: &str, subject: &str) -> Option<f64> {
        let found = self.0.iter().find(|(what, who, _)| what == operation && who == subject);
        found.map(|&(_, _, count)| count)
    }

    /// Replaces the full waits by the cost of each of their events.
    fn per_event(&mut self) {
        for who in ALL {
            let [full, empty, raise] =
                [FULL, EMPTY, RAISE].map(|what| self.get(what, who).unwrap_or(f64::NAN));
            let each = (full - empty - raise) / f64::from(READY);
            // To a tenth, as it is printed: one instruction per wait is no
            // instruction per event.
            let each = (each * 10.0).round() / 10.0;
            self.0.insert(0, (EVENT.to_owned(), who.to_owned(), each));
        }
        self.0.retain(|(what, _, _)| what != RAISE && what != FULL);
    }

    fn operations(&self) -> Vec<&str> {
        let mut operations: Vec<&str> = Vec::new();
        for (what, _, _) in &self.0 {
            if !operations.contains(&what.as_str()) {
                operations.push(what);
            }
        }
        operations
    }
}

fn run_counted(dumps: &Path) -> io::Result<Counts> {
    fs::create_dir_all(dumps)?;
    let out = dumps.join("part");
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--zero-before=*counting_begins*",
            "--dump-before=*counting_ends*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args([env::current_exe()?.as_os_str(), "--bench".as_ref(), COUNTED.as_ref()])
        .output()?;
    if !output.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&output.stderr)));
    }
    let mut counts = Counts(Vec::new());
    for (part, line) in (1..).zip(String::from_utf8_lossy(&output.stdout).lines()) {
        let dump = fs::read_to_string(format!("{}.{part}", out.display()))?;
        let total =
            dump.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
        let (Some(total), Some((what, who))) = (total, line.split_once(';')) else {
            return Err(Error::other(format!("callgrind wrote no total of {line}")));
        };
        counts.0.push((what.to_owned(), who.to_owned(), total / f64::from(TIMES)));
    }
    fs::remove_dir_all(dumps)?;
    counts.per_event();
    Ok(counts)
}

/// Prints the table, and returns whether all of ours are within the limits.
/// With `record`, it sets the limits instead.
pub(crate) fn main(results: &Path, record: bool) -> io::Result<bool> {
    let counts = run_counted(&env::temp_dir().join(format!("callgrind-{}", std::process::id())))?;
    let mut csv = String::from("operation,subject,instructions\n");
    print!("| {:<40} |", "user instructions");
    for subject in ALL {
        print!(" {subject:>9} |");
    }
    println!("\n|{}|{}", "-".repeat(42), "----------:|".repeat(ALL.len()));
    for what in counts.operations() {
        print!("| {what:<40} |");
        for who in ALL {
            match counts.get(what, who) {
                Some(count) => {
                    print!(" {count:>9.1} |");
                    csv += &format!("\"{what}\",{who},{count:.1}\n");
                }
                None => print!(" {:>9} |", "–"),
            }
        }
        println!();
    }
    fs::write(results.join("instructions.csv"), csv)?;

    let path = results.join("limits.txt");
    let ours = counts.0.iter().filter(|(_, who, _)| who == GROWABLE || who == FIXED);
    if record {
        // Another compiler may choose a few instructions more.
        let line =
            |(what, who, count): &_| format!("{what}; {who}; {:.0}\n", f64::ceil(count * 1.03));
        fs::write(path, ours.map(line).collect::<String>())?;
        return Ok(true);
    }
    let limits = fs::read_to_string(path)?;
    let mut kept = true;
    for (what, who, count) in ours {
        let limit = limits
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{what}; {who}; "))?.parse().ok());
        let limit = limit.unwrap_or(0.0);
        if *count > limit {
            println!("GROWN: {what}, {who}: {count:.1} instructions, the limit is {limit}");
            kept = false;
        }
    }
    Ok(kept)
}
