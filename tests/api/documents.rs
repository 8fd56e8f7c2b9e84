//! The page about Python's modules has every name, and every file that a text
//! names exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names of the modules and of their classes. A platform may lack some.
const NAMES: &str = "
    EVENT_READ EVENT_WRITE SelectorKey fileobj fd events data
    BaseSelector DefaultSelector SelectSelector PollSelector EpollSelector DevpollSelector KqueueSelector
    register unregister modify select close get_key get_map fileno with
    ValueError KeyError RuntimeError OSError PermissionError
    select.select select.error select.PIPE_BUF select.poll select.epoll select.devpoll select.kqueue select.kevent
    poll closed fromfd control
    POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLRDHUP POLLNVAL POLLRDNORM POLLRDBAND POLLWRNORM POLLWRBAND POLLMSG
    EPOLLIN EPOLLOUT EPOLLPRI EPOLLERR EPOLLHUP EPOLLET EPOLLONESHOT EPOLLEXCLUSIVE EPOLLRDHUP EPOLLWAKEUP
    EPOLLRDNORM EPOLLRDBAND EPOLLWRNORM EPOLLWRBAND EPOLLMSG EPOLL_CLOEXEC
    KQ_FILTER_READ KQ_FILTER_WRITE KQ_FILTER_AIO KQ_FILTER_VNODE KQ_FILTER_PROC KQ_FILTER_NETDEV
    KQ_FILTER_SIGNAL KQ_FILTER_TIMER
    KQ_EV_ADD KQ_EV_DELETE KQ_EV_ENABLE KQ_EV_DISABLE KQ_EV_ONESHOT KQ_EV_CLEAR KQ_EV_SYSFLAGS KQ_EV_FLAG1
    KQ_EV_EOF KQ_EV_ERROR KQ_NOTE_
";

/// Prints the names that the installed Python has.
const ASK: &str = "
import select, selectors
classes = [selectors.DefaultSelector, selectors.SelectorKey, select.poll()]
classes += [getattr(select, name) for name in ('epoll', 'devpoll', 'kqueue', 'kevent') if hasattr(select, name)]
names = [name for module in (select,) for name in dir(module)]
names += [name for name in dir(selectors) if getattr(getattr(selectors, name), '__module__', '') == 'selectors']
names += [name for name in ('EVENT_READ', 'EVENT_WRITE')]
names += [name for each in classes for name in dir(each)]
namedtuple = dir(tuple) + ['_asdict', '_field_defaults', '_fields', '_make', '_replace']
print(*(name for name in names if not name.startswith('_') and name not in namedtuple))
";

#[test]
fn every_name_of_python_is_on_the_page() {
    let page = include_str!("../../selectors-std/src/guide/python.md");
    let python = Command::new("python3").args(["-c", ASK]).output();
    let python = python.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    let code: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    for name in NAMES.split_whitespace().chain(python.split_whitespace()) {
        let named = code.iter().any(|code| {
            code.match_indices(name).any(|(at, _)| {
                let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
                let rest = &code[at + name.len()..];
                !code[..at].ends_with(word) && (name.ends_with('_') || !rest.starts_with(word))
            })
        });
        assert!(named, "{name} is not on the page");
    }
}

/// All texts and sources below a folder that are kept in the repository.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let built = ["target", "corpus", "artifacts", ".git"].contains(&name);
        if path.is_dir() && !path.is_symlink() && !built {
            files(&path, found);
        } else if ["md", "rs", "toml"]
            .iter()
            .any(|end| path.extension().is_some_and(|is| is == *end))
        {
            found.push(path);
        }
    }
}

/// The part of an address after `#`, as rustdoc makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

/// rustdoc looks for the page of a link, and not for the section.
#[test]
fn sections_that_are_linked_are_there() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("selectors-std/src");
    let mut all = Vec::new();
    files(&sources, &mut all);
    let page =
        |name: &str| fs::read_to_string(sources.join("guide").join(format!("{name}.md"))).ok();
    let (mut links, mut missing) = (0, Vec::new());
    for file in &all {
        let text = fs::read_to_string(file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some((path, section)) = link.split_once('#') else { continue };
            let name = path.split("::").last().filter(|name| !name.is_empty());
            let name = name.or(file.file_stem().and_then(|stem| stem.to_str())).unwrap();
            let Some(page) = page(name) else { continue };
            let code = page.split("```").step_by(2);
            let mut headings = code.flat_map(str::lines).filter_map(|line| line.strip_prefix("# "));
            links += 1;
            if !headings.any(|heading| anchor(heading) == section) {
                missing.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(links > 50, "{links} links");
}

/// The backend that CONTRIBUTING.md adds to show how it is done.
const IMAGINED: &str = "selectors-core/src/backend/ports.rs";

#[test]
fn files_that_are_named_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    files(root, &mut all);
    let (mut names, mut missing) = (0, Vec::new());
    for file in &all {
        let text = fs::read_to_string(file).unwrap();
        let code = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        let folders = ["tests/", "examples/", "fuzz/", "selectors-core/", "selectors-std/", ".ci/"];
        for name in code.filter(|code| folders.iter().any(|folder| code.starts_with(folder))) {
            names += 1;
            // The command of a script, without its arguments.
            if name != IMAGINED
                && !name.split(' ').next().is_some_and(|path| root.join(path).exists())
            {
                missing.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(names > 20, "{names} names in {} files", all.len());
}
