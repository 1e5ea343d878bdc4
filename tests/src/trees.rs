use tljournal::Timestamp;
use tljournal_testkit::TreeSpec;

/// A tree with difficult entries: a read-only directory, an empty one, dangling links and links upward, names with
/// blanks and newlines, a file with two names, an empty one, one longer than a buffer, times with nanoseconds and
/// from before 1970.
#[must_use]
pub fn tools() -> TreeSpec {
    tools_like("one", 0o755)
}

/// The same with other content in its files and another mode of its root.
#[must_use]
pub fn tools_like(version: &str, mode: u32) -> TreeSpec {
    let at = |nanos| Timestamp::new(1_600_000_000, nanos);
    let long = version.repeat(100_000);
    TreeSpec::new(mode, at(999_999_999))
        .dir("bin", 0o755, at(1))
        .file("bin/run", 0o755, at(2), format!("#!/bin/sh\n{version}\n"))
        .file("bin/long", 0o644, at(3), long)
        .hard_link("bin/walk", "bin/run")
        .dir("empty", 0o700, Timestamp::new(-86_400, 5))
        .file("nothing", 0o600, at(4), "")
        .dir("sealed", 0o555, at(6))
        .file("sealed/a file\nof two lines", 0o444, at(7), version)
        .link("sealed/nowhere", "missing/target", at(8))
        .link("up", "../../elsewhere", at(9))
}

/// Another tree for the same path: a file instead of a directory and vice versa, a directory less, and a new one; the
/// rest is equal, or differs by its time or mode only.
#[must_use]
pub fn tools_reshaped() -> TreeSpec {
    let at = |nanos| Timestamp::new(1_600_000_000, nanos);
    TreeSpec::new(0o755, at(77))
        .dir("bin", 0o755, at(1))
        .file("bin/run", 0o755, at(20), "#!/bin/sh\ntwo\n")
        .file("bin/long", 0o644, at(3), "one".repeat(100_000))
        .file("empty", 0o600, at(21), "no directory any more")
        .dir("nothing", 0o555, at(22))
        .file("nothing/something", 0o444, at(23), "in what was a file")
        .dir("new", 0o700, at(24))
        .dir("new/deep", 0o500, at(25))
        .file("new/deep/file", 0o644, at(26), "deep")
        .file("new-file", 0o644, at(27), "beside a new directory")
        .link("up", "../elsewhere", at(9))
}
