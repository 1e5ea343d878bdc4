//! Archives made by other programs, compared entry by entry with the result of GNU tar.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{TreeOptions, TreeSource};
use tljournal_testkit::{World, explain};
use tljournal_tests::{long_tree, nasty_tree, plain_tree};

/// Whether a program is installed. Without it a test prints that it was skipped, unless `TLJOURNAL_INSIST` is set.
fn has(program: &str) -> bool {
    let runs = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    if runs.unwrap().status.success() {
        return true;
    }
    assert!(
        std::env::var_os("TLJOURNAL_INSIST").is_none(),
        "{program} is not installed"
    );
    println!("not tried: {program} is not installed");
    false
}

fn run(dir: &Utf8Path, program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    // Their configuration and caches stay in this directory.
    command
        .env("HOME", dir)
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env("npm_config_cache", dir.join("npm"));
    let ran = command.args(args).current_dir(dir).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {args:?}: {told}");
}

/// An entry, as far as an archive describes it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: &'static str,
    mode: u32,
    mtime: (i64, i64),
    content: Vec<u8>,
}

fn seen(root: &Utf8Path, at: &Utf8Path, all: &mut BTreeMap<String, Seen>) {
    for entry in at.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        let meta = path.symlink_metadata().unwrap();
        let (kind, content) = if meta.is_dir() {
            seen(root, &path, all);
            ("directory", Vec::new())
        } else if meta.is_symlink() {
            (
                "link",
                path.read_link_utf8().unwrap().into_string().into_bytes(),
            )
        } else {
            ("file", fs::read(&path).unwrap())
        };
        let mode = if meta.is_symlink() {
            0
        } else {
            meta.mode() & 0o7777
        };
        let mtime = (meta.mtime(), meta.mtime_nsec());
        let path = path.strip_prefix(root).unwrap().to_string();
        all.insert(
            path,
            Seen {
                kind,
                mode,
                mtime,
                content,
            },
        );
    }
}

/// Unpacks an archive with both, and compares.
fn compare(scratch: &Utf8Path, name: &str, archive: &Utf8Path) {
    let world = World::new();
    let reference = scratch.join(format!("of-tar-{}", name.replace(' ', "-")));
    fs::create_dir(&reference).unwrap();
    run(
        &reference,
        "tar",
        &[
            "--no-same-owner",
            "--delay-directory-restore",
            "-xpf",
            archive.as_str(),
        ],
    );
    let source = TreeSource::archive(archive).keep_special_bits();
    let done = world
        .open()
        .install("build/t", source, TreeOptions::default());
    done.unwrap_or_else(|error| panic!("{name}: {}", explain(&error)));
    let (mut wanted, mut found) = (BTreeMap::new(), BTreeMap::new());
    seen(&reference, &reference, &mut wanted);
    seen(&world.path("build/t"), &world.path("build/t"), &mut found);
    let listed = Command::new("tar")
        .args(["--quoting-style=literal", "-tf", archive.as_str()])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tidy = |line: &str| {
        line.trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned()
    };
    let listed: BTreeSet<_> = listed.lines().map(tidy).collect();
    let names = |all: &BTreeMap<String, Seen>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&wanted), "{name}");
    assert!(!wanted.is_empty(), "{name}");
    for (path, wanted) in &wanted {
        let found = &found[path];
        if wanted.kind == "directory" && !listed.contains(path) {
            // The metadata of a directory that the archive does not list is undefined.
            assert_eq!(found.kind, wanted.kind, "{name}: {path}");
            continue;
        }
        assert!(
            found.content == wanted.content,
            "{name}: the content of {path}"
        );
        let meta = |seen: &Seen| (seen.kind, format!("{:o}", seen.mode), seen.mtime);
        assert_eq!(meta(found), meta(wanted), "{name}: {path}");
    }
    for root in [&reference, &world.path("build/t")] {
        make_removable(root);
    }
}

fn make_removable(root: &Utf8Path) {
    fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
    for entry in root.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.symlink_metadata().unwrap().is_dir() {
            make_removable(&path);
        }
    }
}

/// A scratch directory with all trees.
struct Yard {
    _world: World,
    at: Utf8PathBuf,
}

impl Yard {
    fn new() -> Self {
        let world = World::new();
        let at = world.outside();
        plain_tree(&at.join("plain"));
        long_tree(&at.join("long"));
        nasty_tree(&at.join("nasty"));
        Self { _world: world, at }
    }

    /// Archives a tree from within its directory, and compares.
    fn check(&self, name: &str, tree: &str, program: &str, args: &[&str]) {
        let archive = self.at.join(format!("{}.tar", name.replace(' ', "-")));
        let args: Vec<_> = args
            .iter()
            .map(|arg| arg.replace("OUT", archive.as_str()))
            .collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        run(&self.at.join(tree), program, &args);
        compare(&self.at, name, &archive);
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for tree in ["plain", "long", "nasty"] {
            make_removable(&self.at.join(tree));
        }
    }
}

#[test]
fn gnu_tar() {
    let yard = Yard::new();
    for (format, tree) in [
        ("v7", "plain"),
        ("ustar", "plain"),
        ("oldgnu", "nasty"),
        ("gnu", "nasty"),
        ("posix", "nasty"),
    ] {
        let format_is = format!("--format={format}");
        let name = |what: &str| format!("GNU tar {format}{what}");
        yard.check(&name(""), tree, "tar", &[&format_is, "-cf", "OUT", "."]);
        if tree == "nasty" {
            yard.check(
                &name(" sparse"),
                tree,
                "tar",
                &[&format_is, "-S", "-cf", "OUT", "."],
            );
        }
    }
    for version in ["0.0", "0.1", "1.0"] {
        let args = [
            "--format=posix",
            "-S",
            &format!("--sparse-version={version}"),
            "-cf",
            "OUT",
            ".",
        ];
        yard.check(&format!("GNU tar sparse {version}"), "nasty", "tar", &args);
    }
    for compress in ["--gzip", "--zstd", "--xz"] {
        yard.check(
            &format!("GNU tar {compress}"),
            "nasty",
            "tar",
            &[compress, "-cf", "OUT", "."],
        );
    }
    yard.check(
        "GNU tar absolute",
        "nasty",
        "sh",
        &["-c", "tar -P -cf OUT \"$PWD\"/d \"$PWD\"/hard"],
    );
    yard.check(
        "GNU tar incremental",
        "plain",
        "tar",
        &[
            "--listed-incremental=OUT.names",
            "--label=volume",
            "-cf",
            "OUT",
            ".",
        ],
    );
    yard.check(
        "GNU tar appended",
        "plain",
        "sh",
        &["-c", "tar -cf OUT . && tar -rf OUT ./run ./d"],
    );
    yard.check(
        "gzip padded",
        "plain",
        "sh",
        &["-c", "tar -cz . > OUT && head -c 3000 /dev/zero >> OUT"],
    );
}

#[test]
fn bsdtar() {
    if !has("bsdtar") {
        return;
    }
    let yard = Yard::new();
    for (format, tree) in [
        ("v7", "plain"),
        ("ustar", "plain"),
        ("gnutar", "nasty"),
        ("pax", "nasty"),
        ("paxr", "nasty"),
    ] {
        let args = ["--format", format, "-cf", "OUT", "."];
        yard.check(&format!("bsdtar {format}"), tree, "bsdtar", &args);
    }
}

#[test]
fn busybox() {
    if has("busybox") {
        let yard = Yard::new();
        yard.check("busybox", "plain", "busybox", &["tar", "-cf", "OUT", "."]);
        yard.check(
            "busybox gzip",
            "plain",
            "busybox",
            &["tar", "-czf", "OUT", "."],
        );
    }
}

#[test]
fn python() {
    if !has("python3") {
        return;
    }
    let yard = Yard::new();
    for (format, tree) in [("USTAR", "plain"), ("GNU", "nasty"), ("PAX", "nasty")] {
        for mode in ["w", "w:gz", "w:xz"] {
            let script = format!(
                "import tarfile; t = tarfile.open('OUT', '{mode}', format=tarfile.{format}_FORMAT); t.add('.'); t.close()"
            );
            let name = format!("Python {format} {}", mode.replace(':', "-"));
            yard.check(&name, tree, "python3", &["-c", &script]);
        }
    }
}

#[test]
fn node_tar() {
    if !has("npm") {
        return;
    }
    let yard = Yard::new();
    for (name, options) in [
        ("as it is", ""),
        ("portable", "portable: true"),
        ("without times", "noMtime: true, portable: true"),
        ("gzip", "gzip: true"),
        ("without pax", "noPax: true"),
    ] {
        let tree = if options.contains("noPax") {
            "plain"
        } else {
            "long"
        };
        let script = format!(
            "const root = require('child_process').execSync('npm root -g').toString().trim();
             require(root + '/npm/node_modules/tar').c({{ sync: true, file: 'OUT', {options} }}, ['.'])"
        );
        yard.check(&format!("node-tar {name}"), tree, "node", &["-e", &script]);
    }
}

#[test]
fn seven_zip() {
    if has("7z") {
        let yard = Yard::new();
        yard.check(
            "7-Zip",
            "plain",
            "7z",
            &["a", "-ttar", "-snl", "-snh", "OUT", "."],
        );
        let args = ["a", "-ttar", "-mm=pax", "-snl", "-snh", "OUT", "."];
        yard.check("7-Zip pax", "plain", "7z", &args);
    }
}

#[test]
fn cargo_npm_and_debian_packages() {
    let yard = Yard::new();
    let package = yard.at.join("package");
    fs::create_dir_all(package.join("src")).unwrap();
    let manifest =
        "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("src/lib.rs"), "").unwrap();
    let long = format!("src/{}.txt", "long".repeat(40));
    fs::write(package.join(&long), "long").unwrap();
    let cargo = "cargo package -q --allow-dirty --no-verify --offline && cp target/package/tiny-1.0.0.crate OUT";
    if has("cargo") {
        // The toolchain is found in the usual home.
        let home = std::env::var("HOME").unwrap();
        yard.check(
            "cargo",
            "package",
            "sh",
            &["-c", &format!("HOME={home}; export HOME; {cargo}")],
        );
    }
    let json = "{\"name\": \"tiny\", \"version\": \"1.0.0\"}";
    fs::write(package.join("package.json"), json).unwrap();
    if has("npm") {
        yard.check(
            "npm",
            "package",
            "sh",
            &[
                "-c",
                "npm pack --silent --offline > name && cp tiny-1.0.0.tgz OUT",
            ],
        );
    }
    if has("dpkg-deb") {
        let deb = yard.at.join("deb");
        fs::create_dir(&deb).unwrap();
        nasty_tree(&deb.join("usr"));
        fs::create_dir(deb.join("DEBIAN")).unwrap();
        let control = "Package: tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: tiny\n";
        fs::write(deb.join("DEBIAN/control"), control).unwrap();
        let make = "dpkg-deb --root-owner-group -b . ../tiny.deb > /dev/null && dpkg-deb --fsys-tarfile ../tiny.deb > OUT";
        yard.check("Debian", "deb", "sh", &["-c", make]);
        make_removable(&deb);
    }
}
