//! Links as the daemon does.

use std::env;

fn main() {
    let folder =
        env::var("CARGO_MANIFEST_DIR").unwrap_or_default() + "/../../../examples/no_std_daemon";
    println!("cargo::rerun-if-changed={folder}/link.ld");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/link.ld");
}
