//! The HTTP server with the test's clients, and with wrk and curl.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::common::needs::{self, installed};
use crate::common::program::{Program, assert_at_rest, connect, reset};
use crate::counterparts::{run, serve, wrk};

const GREETING: &str = "Hello, world!\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";

fn server() -> (Program, SocketAddr) {
    serve("http_hello", &["127.0.0.1:0"])
}

/// Returns status line, fields and body of the next response. Asserts what
/// every response has.
fn response(stream: &mut impl BufRead, has_body: bool) -> (String, Vec<String>, String) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.strip_suffix("\r\n").expect("a line of a head") {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines.remove(0);
    let field =
        |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let date = field("Date").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    let length = field("Content-Length").unwrap().parse().unwrap();
    let mut body = vec![0; if has_body { length } else { 0 }];
    stream.read_exact(&mut body).unwrap();
    assert_eq!(length, if status.contains("200") { GREETING.len() } else { 0 });
    (status, lines, String::from_utf8(body).unwrap())
}

fn assert_greets(stream: &mut impl BufRead) {
    let (status, fields, body) = response(stream, true);
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", GREETING));
    assert!(!fields.iter().any(|field| field.starts_with("Connection")));
}

fn assert_closed(mut stream: impl Read) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn kept_alive_pipelined_and_cut_anywhere() {
    let (_server, address) = server();
    let mut stream = BufReader::new(connect(address.port()));
    for _ in 0..3 {
        stream.get_mut().write_all(GET.as_bytes()).unwrap();
        assert_greets(&mut stream);
    }
    stream.get_mut().write_all(GET.repeat(5).as_bytes()).unwrap();
    for _ in 0..5 {
        assert_greets(&mut stream);
    }
    for byte in GET.as_bytes() {
        stream.get_mut().write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    assert_greets(&mut stream);
    stream.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_closed(stream);
}

/// The client sends more requests than all buffers hold, and reads no response
/// until it is stuck.
#[test]
fn a_flood_of_requests() {
    const REQUESTS: usize = 300_000;
    let (server, address) = server();
    let stream = connect(address.port());
    let mut writer = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        // Seventy megabytes in all, several times what a system's buffers grow
        // to.
        let padded = GET.replace("Host", &format!("X: {}\r\nHost", "x".repeat(200)));
        let some = padded.repeat(1000);
        for _ in 0..REQUESTS / 1000 {
            writer.write_all(some.as_bytes()).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    thread::sleep(Duration::from_secs(1));
    assert!(!writer.is_finished(), "the server reads everything, and keeps the responses");
    assert_at_rest(&server);
    let mut stream = BufReader::new(stream);
    for _ in 0..REQUESTS {
        assert_greets(&mut stream);
    }
    writer.join().unwrap();
    assert_closed(stream);
}

/// The response to each request, and whether the connection lives on.
#[test]
fn requests_of_all_kinds() {
    let (_server, address) = server();
    let long = format!("GET / HTTP/1.1\r\nHost: here\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    let many = format!("GET / HTTP/1.1\r\nHost: here\r\n{}\r\n", "X: x\r\n".repeat(100));
    let with =
        |method: &str, fields: &str| format!("{method} / HTTP/1.1\r\nHost: here\r\n{fields}\r\n");
    let cases = [
        (with("GET", ""), "200", true),
        (with("HEAD", ""), "200", true),
        (with("GET", "Connection: keep-alive, close\r\n"), "200", false),
        (with("GET", "Content-Length: 3\r\n") + "abc", "200", true),
        (
            with("POST", "Content-Length: 100000\r\n") + &"GET / ".repeat(20_000)[..100_000],
            "405",
            true,
        ),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "200", false),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400", false),
        ("What?\r\n\r\n".to_owned(), "400", false),
        (with("GET", "Content-Length: +3\r\n"), "400", false),
        (with("GET", "Content-Length: \r\n"), "400", false),
        (with("GET", "Content-Length: 3\r\nContent-Length: 4\r\n"), "400", false),
        (with("POST", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "501", false),
        (long, "431", false),
        (many, "431", false),
    ];
    for (request, expected, lives_on) in &cases {
        let case = &request[..request.len().min(60)];
        let mut stream = BufReader::new(connect(address.port()));
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (status, fields, _) = response(&mut stream, !request.starts_with("HEAD"));
        assert!(status.starts_with(&format!("HTTP/1.1 {expected} ")), "{status} to {case}");
        assert_eq!(!lives_on, fields.iter().any(|field| field == "Connection: close"), "{case}");
        if *lives_on {
            stream.get_mut().write_all(GET.as_bytes()).unwrap();
            assert_greets(&mut stream);
        } else {
            // An end, not a reset, although there was more to read.
            stream.get_mut().write_all(GET.repeat(100).as_bytes()).unwrap();
            assert_closed(stream);
        }
    }
}

#[test]
fn peers_that_leave() {
    let (mut server, address) = server();
    for request in ["", "GET / HT", GET] {
        let mut stream = connect(address.port());
        stream.write_all(request.as_bytes()).unwrap();
        reset(stream);
        let mut stream: TcpStream = connect(address.port());
        stream.write_all(request.as_bytes()).unwrap();
        drop(stream);
    }
    let mut stream = BufReader::new(connect(address.port()));
    stream.get_mut().write_all(GET.as_bytes()).unwrap();
    assert_greets(&mut stream);
    server.assert_running();
}

#[test]
fn wrk_with_a_thousand_connections() {
    let Some(program) = installed("wrk") else { return };
    // wrk and the server inherit this process's limit.
    if !needs::number(1100) {
        return;
    }
    let (mut server, address) = server();
    let rate = wrk(&program, 1000, 1, &format!("http://{address}/"));
    println!("wrk, 1000 connections: {rate:.0} requests/s");
    server.assert_running();
    assert_at_rest(&server);
}

#[test]
fn curl_uses_one_connection_twice() {
    let Some(program) = installed("curl") else { return };
    let (_server, address) = server();
    let mut command = Command::new(program);
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "20"]);
    command.args(["--write-out", "%{num_connects} %{http_version}\n"]);
    let url = format!("http://{address}/");
    let output = run("curl", command.args([&url, &url]));
    assert_eq!(output, "Hello, world!\n1 1.1\nHello, world!\n0 1.1");
}
