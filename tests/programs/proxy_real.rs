//! The proxy between real clients and real servers, compared with the same
//! without it.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::common::needs::{self, installed};
use crate::common::program::{Program, connect, pattern};
use crate::common::soak_seconds;
use crate::counterparts::{Directory, run, serve, start_on_free_port, wrk};

/// Rates vary, so that a long run measures them more than once.
fn rounds() -> usize {
    if soak_seconds() < 60 { 1 } else { 3 }
}

fn redis(server: &Path, directory: &Path) -> (Program, SocketAddr) {
    start_on_free_port("redis-server", |port| {
        let mut command = Command::new(server);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]);
        command.arg(directory);
        command
    })
}

/// Requests per second for SET and GET.
fn redis_benchmark(
    program: &Path,
    address: SocketAddr,
    requests: usize,
    pipelined: usize,
) -> [f64; 2] {
    let mut command = Command::new(program);
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &address.port().to_string(),
        "-n",
        &requests.to_string(),
    ]);
    let output = run(
        "redis-benchmark",
        command.args(["-P", &pipelined.to_string(), "-t", "set,get", "--csv"]),
    );
    ["SET", "GET"].map(|name| {
        let line = output.lines().find_map(|line| line.strip_prefix(&format!("\"{name}\",\"")));
        let rate = line.and_then(|rest| rest.split('"').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("{output}"))
    })
}

#[test]
fn redis_benchmark_through_the_proxy() {
    let (Some(server), Some(benchmark)) = (installed("redis-server"), installed("redis-benchmark"))
    else {
        return;
    };
    let directory = Directory::new();
    let (_redis, bare) = redis(&server, directory.path());
    let (mut proxy, proxied) = serve("tcp_proxy", &["127.0.0.1:0", &bare.to_string()]);
    for (requests, pipelined) in [(10_000, 1), (100_000, 16)] {
        // In turns, so that both have the same noise.
        for _ in 0..rounds() {
            let [set, get] = redis_benchmark(&benchmark, bare, requests, pipelined);
            let [proxied_set, proxied_get] =
                redis_benchmark(&benchmark, proxied, requests, pipelined);
            println!(
                "redis, {pipelined} at a time: SET {set:.0}/s, proxied {proxied_set:.0}/s ({:.2}); \
                 GET {get:.0}/s, proxied {proxied_get:.0}/s ({:.2})",
                proxied_set / set,
                proxied_get / get,
            );
        }
    }
    proxy.assert_running();
}

#[test]
fn a_large_redis_value_through_the_proxy() {
    let Some(server) = installed("redis-server") else { return };
    let directory = Directory::new();
    let (_redis, bare) = redis(&server, directory.path());
    let (_proxy, proxied) = serve("tcp_proxy", &["127.0.0.1:0", &bare.to_string()]);

    let value = pattern(20_000_000);
    let mut client = connect(proxied.port());
    write!(client, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).unwrap();
    client.write_all(&value).unwrap();
    client.write_all(b"\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n").unwrap();
    let head = format!("+OK\r\n${}\r\n", value.len());
    let mut reply = vec![0; head.len() + value.len() + 2];
    client.read_exact(&mut reply).unwrap();
    assert!(reply.strip_prefix(head.as_bytes()).unwrap().strip_suffix(b"\r\n").unwrap() == value);
}

fn nginx(server: &Path, directory: &Path) -> (Program, SocketAddr) {
    let path = directory.display();
    start_on_free_port("nginx", |port| {
        let configuration = format!(
            "daemon off; master_process off; pid \"{path}/pid\"; error_log \"{path}/errors\";
            events {{ worker_connections 2048; }}
            http {{
                access_log off; root \"{path}\"; keepalive_requests 1000000;
                client_body_temp_path \"{path}/body\"; proxy_temp_path \"{path}/proxy\";
                fastcgi_temp_path \"{path}/fastcgi\"; uwsgi_temp_path \"{path}/uwsgi\"; scgi_temp_path \"{path}/scgi\";
                server {{ listen 127.0.0.1:{port}; }}
            }}"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new(server);
        command.arg("-e").arg(directory.join("errors")).arg("-c").arg(file);
        command
    })
}

#[test]
fn wrk_and_curl_through_the_proxy() {
    let (Some(server), Some(wrk_program)) = (installed("nginx"), installed("wrk")) else { return };
    // All of them inherit this process's limit, and nginx has two descriptors
    // for each connection.
    if !needs::number(1100) {
        return;
    }
    let directory = Directory::new();
    fs::write(directory.path().join("small"), pattern(1000)).unwrap();
    let (_nginx, bare) = nginx(&server, directory.path());
    let (mut proxy, proxied) = serve("tcp_proxy", &["127.0.0.1:0", &bare.to_string()]);
    for connections in [50, 500] {
        for _ in 0..rounds() {
            let rate = wrk(&wrk_program, connections, 1, &format!("http://{bare}/small"));
            let through = wrk(&wrk_program, connections, 1, &format!("http://{proxied}/small"));
            println!(
                "nginx, {connections} connections: {rate:.0}/s, proxied {through:.0}/s ({:.2})",
                through / rate
            );
        }
    }
    proxy.assert_running();

    let Some(curl) = installed("curl") else { return };
    let large = pattern(100 << 20);
    fs::write(directory.path().join("large"), &large).unwrap();
    let (mut rates, copy) = ([0.0; 2], directory.path().join("copy"));
    for _ in 0..rounds() {
        for (address, sum) in [bare, proxied].into_iter().zip(&mut rates) {
            let mut command = Command::new(&curl);
            command.args([
                "--silent",
                "--show-error",
                "--fail",
                "--noproxy",
                "*",
                "--write-out",
                "%{speed_download}",
            ]);
            let speed = run(
                "curl",
                command.arg("--output").arg(&copy).arg(format!("http://{address}/large")),
            );
            *sum += speed.parse::<f64>().unwrap() / 1e6 / rounds() as f64;
            assert!(fs::read(&copy).unwrap() == large);
            fs::remove_file(&copy).unwrap();
        }
    }
    println!(
        "100 MB: {:.0} MB/s, proxied {:.0} MB/s ({:.2})",
        rates[0],
        rates[1],
        rates[1] / rates[0]
    );
}
