//! Private keys and credentials are never retained, whatever their names: their content is recognized.

use std::fs;
use std::path::Path;
use std::process::Command;

use tljournal::disk::Verb;
use tljournal::{EventKind, Timestamp, TxnFilter};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Strike, events, kill_at, small};

use crate::ACTOR;

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIMARKERabcdefgh\n-----END PRIVATE KEY-----\n";

/// Creates a GnuPG key, in a directory of its own.
const GPG: &str = "export GNUPGHOME=$(mktemp -d) && gpg --batch -q --pinentry-mode loopback --passphrase '' \
    --quick-generate-key x ed25519 && gpg --batch -q --pinentry-mode loopback --passphrase '' --export-secret-keys > OUT; \
    gpgconf --kill gpg-agent; rm -r $GNUPGHOME";

/// The files below the journal's directory that contain the marker of [`PEM`], except for the database, which holds
/// no content.
fn with_marker(below: impl AsRef<Path>, marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    let holds = |content: Vec<u8>| String::from_utf8_lossy(&content).contains(marker);
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(with_marker(&path, marker));
        } else if fs::read(&path).is_ok_and(holds) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn is_nowhere_kept(world: &World) {
    assert_eq!(
        with_marker(world.path("build/.state"), "MIIMARKER"),
        Vec::<String>::new()
    );
    let journal = world.open();
    let filter = TxnFilter {
        kept: true,
        ..TxnFilter::default()
    };
    assert_eq!(journal.history().transactions(&filter).unwrap().len(), 0);
}

/// 36 of 36 common names of keys were retained, because none of them was in a list of names.
#[test]
fn a_key_is_not_kept_under_any_name() {
    let names = [
        "server.crt.old",
        "private.asc",
        "token",
        "keys.txt",
        "a/b/anything",
        "wg0.conf",
        "README",
        "config.json",
        "x.tar",
    ];
    let world = World::new();
    let journal = world.open();
    for name in names {
        let path = format!("build/{name}");
        for content in [PEM, "something else", PEM] {
            Steps::new("put")
                .put(&path, content)
                .try_commit(&journal)
                .unwrap();
        }
        Steps::new("rm").remove(&path).try_commit(&journal).unwrap();
    }
    assert_eq!(
        with_marker(world.path("build/.state"), "MIIMARKER"),
        Vec::<String>::new()
    );
    let told = events(&journal, &EventKind::NotKept);
    assert_eq!(told.len(), names.len() * 2, "{told:#?}");
    // Other content is retained.
    let filter = TxnFilter {
        kept: true,
        ..TxnFilter::default()
    };
    let kept = journal.history().transactions(&filter).unwrap();
    assert_eq!(kept.len(), names.len());
}

#[test]
fn a_tree_with_a_key_is_not_retained_and_an_edited_one_is_set_aside_without_it() {
    let world = World::new();
    let journal = world.open();
    let with_key =
        |version: &str| small(version).file("share/notes", 0o600, Timestamp::new(1, 1), PEM);
    for version in ["1", "2"] {
        let steps = Steps::new("tree").tree("build/tools", with_key(version));
        steps.try_commit(&journal).unwrap();
    }
    fs::create_dir_all(world.path("build/plain/deep")).unwrap();
    fs::write(world.path("build/plain/deep/notes"), PEM).unwrap();
    fs::write(world.path("build/plain/deep/other"), "other").unwrap();
    Steps::new("rm")
        .remove("build/plain")
        .try_commit(&journal)
        .unwrap();
    // An edited tree is set aside without its key.
    fs::write(world.path("build/tools/mine"), "edited by hand").unwrap();
    Steps::new("tree")
        .tree("build/tools", small("3"))
        .try_commit(&journal)
        .unwrap();
    let aside = with_marker(world.path("build/.state/aside"), "edited by hand");
    assert_eq!(aside.len(), 1);
    drop(journal);
    is_nowhere_kept(&world);
}

#[test]
fn a_staged_key_of_a_killed_run_is_not_retained() {
    let world = World::new();
    drop(world.open());
    let strike = Strike::before(Verb::SyncDir, "/.state/txn/");
    let steps = [format!("put=build/notes={PEM}")];
    let steps: Vec<_> = steps.iter().map(String::as_str).collect();
    kill_at(ACTOR, &world, &strike, &steps);
    drop(world.open());
    is_nowhere_kept(&world);
}

/// Keys created by real tools.
#[test]
fn keys_of_real_tools_are_recognized() {
    let dir = tempfile::tempdir().unwrap();
    let made = |file: &str, command: &str| {
        let at = dir.path().join(file);
        let command = command.replace("OUT", at.to_str().unwrap());
        let done = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
        fs::read(at).unwrap()
    };
    let keys = [
        ("rsa", "openssl genrsa -out OUT 2048"),
        (
            "rsa-traditional",
            "openssl genrsa -traditional -out OUT 2048",
        ),
        (
            "rsa-der",
            "openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt -outform DER -out OUT",
        ),
        (
            "pkcs1-der",
            "openssl genrsa -traditional 2048 | openssl rsa -traditional -outform DER -out OUT",
        ),
        (
            "pkcs8-encrypted",
            "openssl genrsa 2048 | openssl pkcs8 -topk8 -passout pass:x -outform DER -out OUT",
        ),
        (
            "ec",
            "openssl ecparam -genkey -name prime256v1 -noout -out OUT",
        ),
        (
            "ec-der",
            "openssl ecparam -genkey -name prime256v1 -noout | openssl ec -outform DER -out OUT",
        ),
        ("openssh", "ssh-keygen -q -t ed25519 -N '' -f OUT"),
        (
            "openssh-encrypted",
            "ssh-keygen -q -t ecdsa -N secret -f OUT",
        ),
        ("openssh-pem", "ssh-keygen -q -m PEM -t rsa -N '' -f OUT"),
        ("pgp", GPG),
        ("pgp-armored", &GPG.replace("--export", "-a --export")),
        (
            "ed25519-der",
            "openssl genpkey -algorithm ed25519 -outform DER -out OUT",
        ),
        (
            "pkcs12",
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout OUT.k -subj /CN=x -out OUT.c && openssl pkcs12 -export -inkey OUT.k -in OUT.c -passout pass:x -out OUT",
        ),
    ];
    for (file, command) in keys {
        assert!(tljournal::holds_private_key(&made(file, command)), "{file}");
    }
    let others = [
        (
            "openssh-public",
            "ssh-keygen -q -t ed25519 -N '' -f OUT.k && mv OUT.k.pub OUT",
        ),
        (
            "public",
            "openssl genrsa 2048 | openssl rsa -pubout -out OUT",
        ),
        (
            "public-der",
            "openssl genrsa 2048 | openssl rsa -pubout -outform DER -out OUT",
        ),
        (
            "certificate",
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout OUT.k -subj /CN=x -outform DER -out OUT",
        ),
    ];
    for (file, command) in others {
        assert!(
            !tljournal::holds_private_key(&made(file, command)),
            "{file}"
        );
    }
}
