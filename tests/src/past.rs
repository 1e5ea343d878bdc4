//! A synthetic history: rows of runs and transactions, for tests of reading commands.

#![allow(clippy::unwrap_used, reason = "an error here fails the test")]

use camino::Utf8Path;
use rusqlite::{Connection, params};

/// Its start, in seconds since 1970.
const BEGINS: f64 = 1_780_000_000.0;

/// The outcomes of ten runs, repeated.
const ENDS: [&str; 10] = [
    "ok",
    "ok",
    "exited 0",
    "ok",
    "exited 2",
    "ok",
    "ok",
    "found dead",
    "exited 0",
    "killed by signal 9",
];

/// Adds runs, and transactions to each, to a journal that is not open. Builds of four parallel runs, one of which
/// started another one, are hours apart.
pub fn make_past(home: &Utf8Path, runs: u32, txns_each: u32) {
    let mut catalog = Connection::open(home.join(".state.db")).unwrap();
    let writes = catalog.transaction().unwrap();
    let mut past = Past {
        at: &writes,
        txn: 1_000,
    };
    for n in 0..runs {
        past.run(n, txns_each);
    }
    writes.commit().unwrap();
    catalog
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
}

/// Adds one run with one transaction and one event, with this text in every text column.
pub fn make_hostile_past(home: &Utf8Path, text: &str) {
    let catalog = Connection::open(home.join(".state.db")).unwrap();
    let past = Past {
        at: &catalog,
        txn: 900_000,
    };
    let run = past.put_run(900_000, (BEGINS, Some(BEGINS + 9.0)), (text, text), None);
    let sql =
        "UPDATE run SET host = ?1, cwd = ?1, argv = ?1, version = ?1, account = ?1, container = ?1,
               log = ?1, error = ?1 WHERE id = ?2";
    catalog.execute(sql, params![text, run]).unwrap();
    past.put_txn(
        900_000,
        run,
        [1.0, 2.0, 3.0, 4.0, 5.0].map(|s| BEGINS + s),
        ("aborted", text),
    );
    let texts = [
        "UPDATE txn SET reason = ?1 WHERE id = 900000",
        "UPDATE change SET path = ?1, target = ?1 WHERE txn = 900000",
        "INSERT INTO event (at, run, txn, kind, path, detail)
         VALUES ('1780000004.0', 900000, 900000, ?1, ?1, ?1)",
    ];
    for sql in texts {
        catalog.execute(sql, [text]).unwrap();
    }
}

struct Past<'a> {
    at: &'a Connection,
    txn: i64,
}

impl Past<'_> {
    fn run(&mut self, n: u32, txns: u32) {
        let (build, member) = (f64::from(n / 5), f64::from(n % 5));
        let start = BEGINS + build * 7200.0 + member * 3.0;
        let end = ENDS[n as usize % ENDS.len()];
        let found = if end == "found dead" { 120.0 } else { 0.0 };
        let lives = (start, Some(start + 60.0 + found));
        let number = i64::from(n) + 1_000;
        let parent = (n % 5 == 4).then(|| uuid(1, number - 1));
        let label = ["fetch", "kits", "variant", "repack", "licenses"][n as usize % 5];
        let run = self.put_run(number, lives, (end, label), parent.as_deref());
        for m in 0..txns {
            let begins = start + 1.0 + 55.0 * f64::from(m) / f64::from(txns);
            let length = (50.0 / f64::from(txns)).min(1.0);
            let times = [0.0, 0.6, 0.7, 0.8, 0.9].map(|part| begins + part * length);
            self.txn += 1;
            let state = if self.txn % 40 == 0 {
                "aborted"
            } else {
                "applied"
            };
            let label = format!("publish {label} {m}");
            self.put_txn(self.txn, run, times, (state, &label));
        }
        if end == "found dead" {
            let sql = "INSERT INTO event (at, run, txn, kind, path, detail)
                       VALUES (?1, ?2, NULL, 'recovered', NULL, 'a transaction of a dead run was taken back')";
            self.at
                .execute(sql, params![time(start + 180.0), run])
                .unwrap();
        }
    }

    fn put_run(
        &self,
        number: i64,
        (start, end): (f64, Option<f64>),
        (outcome, label): (&str, &str),
        parent: Option<&str>,
    ) -> i64 {
        let sql = "INSERT INTO run (id, uuid, pid, host, boot, uid, cwd, argv, version, started_at, ended_at,
                                    outcome, purpose, parent)
                   VALUES (?1, ?2, 4711, 'builder-1', 'boot', 1000, '/home/ci/project',
                           'tljournal exec -- make ' || ?3, '0.1.0', ?4, ?5, ?6, ?3, ?7)";
        let values = params![
            number,
            uuid(1, number),
            label,
            time(start),
            end.map(time),
            outcome,
            parent
        ];
        self.at.execute(sql, values).unwrap();
        number
    }

    fn put_txn(&self, number: i64, run: i64, times: [f64; 5], (state, label): (&str, &str)) {
        let sql =
            "INSERT INTO txn (id, uuid, run, root, label, state, began_at, staged_at, locked_at,
                                    committed_at, ended_at, commit_no)
                   SELECT ?1, ?2, ?3, min(id), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM root";
        let [began, staged, locked, committed, ended] = times.map(time);
        let commit = (state == "applied").then_some(number);
        let values = params![
            number,
            uuid(2, number),
            run,
            label,
            state,
            began,
            staged,
            locked,
            committed,
            ended,
            commit
        ];
        self.at.execute(sql, values).unwrap();
        let sql = "INSERT INTO change (txn, n, root, path, op, rebuildable, drift, new_kind, new_ino, new_born,
                                       new_size, new_mode, new_mtime, digest)
                   VALUES (?1, 0, 0, 'state/' || ?2, 'put', 0, 0, 'file', 7, '1.0', ?1, 420, '1.0', randomblob(32))";
        self.at.execute(sql, params![number, label]).unwrap();
    }
}

fn time(seconds: f64) -> String {
    format!("{}.{:09}", seconds as i64, (seconds.fract() * 1e9) as u32)
}

fn uuid(kind: u32, number: i64) -> String {
    format!("0198f2a0-{kind:04x}-7000-8000-{number:012x}")
}
