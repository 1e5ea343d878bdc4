//! The damages, each of one kind.

use std::fs;
use std::os::unix::fs::symlink;

use tljournal::Code;
use tljournal_testkit::World;

use super::scene::{chmod, date, flip, rot, sql, staged};

/// The expected result of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// No problem is left.
    Mended,
    /// It is as before.
    Left,
    /// The database is unusable: nothing is repaired.
    Beyond,
}

/// A damage, and its code.
pub(crate) struct Damage {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&World),
    pub(crate) code: Code,
    pub(crate) after: After,
    /// Whether a check without reading content cannot see it.
    pub(crate) hidden: bool,
}

const TXN: &str = "INSERT INTO txn (uuid, run, root, label, state, began_at)
    SELECT '0198f2a0-0000-7000-8000-00000000000a', run, root, 'by hand', ";

fn remove(world: &World, path: &str) {
    let path = world.path(path);
    match fs::symlink_metadata(&path).unwrap().is_dir() {
        true => {
            // Read-only directories can be removed after a chmod.
            let _ = std::process::Command::new("chmod")
                .args(["-R", "u+w"])
                .arg(&path)
                .status();
            fs::remove_dir_all(&path).unwrap();
        }
        false => fs::remove_file(&path).unwrap(),
    }
}

pub(crate) fn all() -> Vec<Damage> {
    use After::{Beyond, Left, Mended};
    let mut all = Vec::new();
    let mut add = |name, code, after, make: fn(&World)| {
        let hidden = name == "a manifest of the past damaged"
            || matches!(
                code,
                Code::WrongContent
                    | Code::Damaged
                    | Code::KeptDamaged
                    | Code::RowUnreadable
                    | Code::RowDangling
            );
        all.push(Damage {
            name,
            make,
            code,
            after,
            hidden,
        });
    };
    // In a tree whose content is retained.
    add("other content", Code::WrongContent, Mended, |w| {
        flip(w, "build/tools/bin/long")
    });
    add("other size", Code::WrongSize, Mended, |w| {
        w.write("build/tools/bin/run", "edited")
    });
    add("other mode", Code::WrongMode, Mended, |w| {
        chmod(w, "build/tools/nothing", 0o644)
    });
    add("other mtime", Code::WrongMtime, Mended, |w| {
        date(w, "build/tools/nothing")
    });
    add("no file", Code::Missing, Mended, |w| {
        remove(w, "build/tools/bin/long")
    });
    add("no directory", Code::Missing, Mended, |w| {
        remove(w, "build/tools/empty")
    });
    add("no tree", Code::Missing, Mended, |w| {
        remove(w, "build/tools")
    });
    add("one more file", Code::Extra, Mended, |w| {
        w.write("build/tools/bin/more", "more")
    });
    add("a file for a tree", Code::WrongKind, Mended, |w| {
        remove(w, "build/tools");
        w.write("build/tools", "a file");
    });
    add("a file for a directory", Code::WrongKind, Mended, |w| {
        remove(w, "build/tools/empty");
        w.write("build/tools/empty", "a file");
    });
    add("another target", Code::WrongTarget, Mended, |w| {
        remove(w, "build/tools/up");
        symlink("elsewhere", w.path("build/tools/up")).unwrap();
    });
    add("names of their own", Code::WrongLinks, Mended, |w| {
        fs::copy(w.path("build/tools/bin/walk"), w.path("build/walk")).unwrap();
        fs::rename(w.path("build/walk"), w.path("build/tools/bin/walk")).unwrap();
    });
    add(
        "content, what is kept was touched",
        Code::Missing,
        Mended,
        |w| {
            remove(w, "build/tools/bin/long");
            // As XFS does with every directory that is moved.
            date(w, &format!("{}/2", staged(w, 3)));
        },
    );
    // In a tree whose content is not available elsewhere.
    add("a mode, nothing kept", Code::WrongMode, Mended, |w| {
        chmod(w, "build/alone/nothing", 0o644)
    });
    add("content, nothing kept", Code::WrongContent, Left, |w| {
        flip(w, "build/alone/bin/long")
    });
    add("no file, nothing kept", Code::Missing, Left, |w| {
        remove(w, "build/alone/bin/long")
    });
    // Single files and links.
    add("a file removed", Code::Missing, Mended, |w| {
        remove(w, "build/kept.txt")
    });
    add("a file removed, beside", Code::Missing, Mended, |w| {
        remove(w, "Project.lock")
    });
    add("a file removed, nothing kept", Code::Missing, Left, |w| {
        remove(w, "build/only.txt")
    });
    add("a link removed", Code::Missing, Mended, |w| {
        remove(w, "build/link")
    });
    add("rot", Code::Damaged, Mended, |w| rot(w, "build/kept.txt"));
    add("rot, nothing kept", Code::Damaged, Mended, |w| {
        rot(w, "build/only.txt")
    });
    add("a file edited", Code::Changed, Left, |w| {
        w.write("build/kept.txt", "an edit")
    });
    add("a file chmodded", Code::Changed, Mended, |w| {
        chmod(w, "build/only.txt", 0o600)
    });
    add("a link for a file", Code::Changed, Left, |w| {
        remove(w, "build/kept.txt");
        symlink("only.txt", w.path("build/kept.txt")).unwrap();
    });
    // The journal's own files.
    add("a stray file", Code::StateStray, Mended, |w| {
        w.write("build/.state/stray", "x")
    });
    add("a stray lock", Code::StateStray, Mended, |w| {
        w.write("build/.state/lock/stray", "x")
    });
    add("a stray name in staging", Code::StagingStray, Mended, |w| {
        w.write("build/.state/txn/stray", "x");
    });
    add("an orphan", Code::StagingOrphan, Mended, |w| {
        w.write(
            "build/.state/txn/0198f2a0-0000-7000-8000-00000000000f/0",
            "x",
        );
    });
    add("a leftover", Code::StagingLeftover, Mended, |w| {
        sql(w, "UPDATE txn SET kept = NULL")
    });
    add("kept content gone", Code::KeptMissing, Mended, |w| {
        remove(w, &staged(w, 3))
    });
    add("kept content damaged", Code::KeptDamaged, Mended, |w| {
        flip(w, &format!("{}/0", staged(w, 3)))
    });
    add("a dead run", Code::RunDead, Mended, |w| {
        sql(w, "UPDATE run SET ended_at = NULL, outcome = NULL");
    });
    add("abandoned", Code::TxnAbandoned, Mended, |w| {
        sql(
            w,
            &format!("{TXN} 'staging', began_at FROM txn WHERE id = 1"),
        );
    });
    add("unfinished", Code::TxnUnfinished, Mended, |w| {
        sql(w, "UPDATE txn SET state = 'committed' WHERE id = 5");
    });
    add("stuck", Code::TxnStuck, Left, |w| {
        sql(w, &format!("{TXN} 'stuck', began_at FROM txn WHERE id = 1"));
    });
    add("no reserve", Code::ReserveMissing, Mended, |w| {
        remove(w, "build/.state/reserve")
    });
    add("no lock file", Code::LayoutMissing, Mended, |w| {
        remove(w, "build/.state/lock/runs")
    });
    add("a planted reserve", Code::Planted, Beyond, |w| {
        let _ = std::fs::remove_file(w.path("build/.state/reserve"));
        w.link("/etc/hostname", "build/.state/reserve");
    });
    add("logs that are no directory", Code::Planted, Beyond, |w| {
        let _ = std::fs::remove_dir_all(w.path("build/.state/log"));
        w.link("/etc", "build/.state/log");
    });
    add("a planted lock", Code::Planted, Beyond, |w| {
        remove(w, "build/.state/lock/db");
        symlink("../../only.txt", w.path("build/.state/lock/db")).unwrap();
    });
    add("a log of no run", Code::LogStray, Left, |w| {
        w.write("build/.state/log/stray", "x")
    });
    // The database.
    add("a manifest damaged", Code::ManifestDamaged, Mended, |w| {
        sql(
            w,
            "UPDATE manifest SET encoded = x'00' WHERE digest =
                (SELECT digest FROM entry WHERE path = 'alone')",
        );
    });
    add("a manifest gone", Code::ManifestMissing, Mended, |w| {
        sql(
            w,
            "DELETE FROM manifest WHERE digest = (SELECT digest FROM entry WHERE path = 'alone')",
        );
    });
    add(
        "a manifest of the past damaged",
        Code::ManifestDamaged,
        Mended,
        |w| {
            sql(
                w,
                "UPDATE manifest SET encoded = x'00' WHERE digest NOT IN
                (SELECT digest FROM entry WHERE digest IS NOT NULL)",
            );
        },
    );
    add("an unreadable row", Code::RowUnreadable, Mended, |w| {
        sql(w, "UPDATE txn SET began_at = 'yesterday' WHERE id = 1");
    });
    add(
        "a row that refers to nothing",
        Code::RowDangling,
        Mended,
        |w| {
            sql(
                w,
                "INSERT INTO event (at, txn, kind, detail) VALUES ('1.0', 99, 'x', 'x')",
            );
        },
    );
    add("changes taken out", Code::RowDangling, Mended, |w| {
        sql(w, "DELETE FROM change WHERE txn = 5")
    });
    add("a commit point taken out", Code::RowDangling, Mended, |w| {
        sql(w, "UPDATE txn SET commit_no = NULL WHERE id = 3");
    });
    add("a foreign journal", Code::DatabaseJournal, Mended, |w| {
        w.write("build/.state.db-journal", "x")
    });
    add(
        "marked as another program's",
        Code::DatabaseSchema,
        Mended,
        |w| sql(w, "PRAGMA application_id = 7"),
    );
    add("an index gone", Code::DatabaseSchema, Mended, |w| {
        sql(w, "DROP INDEX txn_unfinished")
    });
    add("another program's", Code::DatabaseForeign, Beyond, |w| {
        for name in [
            "build/.state.db",
            "build/.state.db-wal",
            "build/.state.db-shm",
        ] {
            let _ = std::fs::remove_file(w.path(name));
        }
        sql(w, "CREATE TABLE theirs (x)");
    });
    add("of the future", Code::DatabaseNewer, Beyond, |w| {
        sql(w, "UPDATE home SET incompat = 1024")
    });
    add("no database", Code::DatabaseMissing, Beyond, |w| {
        remove(w, "build/.state.db")
    });
    add("no pages", Code::DatabaseDamaged, Beyond, |w| {
        w.write(
            "build/.state.db",
            "this is no database at all, whatever its name says".repeat(99),
        );
    });
    all
}
