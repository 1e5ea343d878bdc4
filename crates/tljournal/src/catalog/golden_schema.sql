CREATE INDEX change_path ON change (root, path, txn)
CREATE INDEX change_tree ON change (digest) WHERE op IN ('tree', 'fill', 'adopt')
CREATE INDEX entry_txn ON entry (txn)
CREATE INDEX entry_unsettled ON entry (unsettled) WHERE unsettled IS NOT NULL
CREATE INDEX event_run ON event (run) WHERE run IS NOT NULL
CREATE INDEX event_txn ON event (txn) WHERE txn IS NOT NULL
CREATE INDEX run_failed ON run (id) WHERE outcome NOT IN ('ok', 'exited 0')
CREATE INDEX run_open ON run (id) WHERE ended_at IS NULL
CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL
CREATE INDEX source_manifest ON source (manifest)
CREATE INDEX txn_aborted ON txn (id) WHERE state = 'aborted'
CREATE INDEX txn_kept ON txn (id) WHERE kept IS NOT NULL
CREATE INDEX txn_run ON txn (run)
CREATE INDEX txn_staging ON txn (id) WHERE state = 'staging'
CREATE INDEX txn_undoes ON txn (undoes) WHERE undoes IS NOT NULL
CREATE INDEX txn_unfinished ON txn (commit_no) WHERE state IN ('committed', 'aborting', 'stuck')
CREATE TABLE change ( txn INTEGER NOT NULL REFERENCES txn (id), n INTEGER NOT NULL, root INTEGER NOT NULL, path TEXT NOT NULL, op TEXT NOT NULL, pre_kind TEXT, pre_ino INTEGER, pre_born TEXT, pre_size INTEGER, pre_mode INTEGER, pre_mtime TEXT, new_kind TEXT, new_ino INTEGER, new_born TEXT, new_size INTEGER, new_mode INTEGER, new_mtime TEXT, digest BLOB, target TEXT, beside TEXT, rebuildable INTEGER NOT NULL, drift INTEGER NOT NULL, PRIMARY KEY (txn, n) ) STRICT, WITHOUT ROWID
CREATE TABLE entry ( root INTEGER NOT NULL, path TEXT NOT NULL, txn INTEGER NOT NULL REFERENCES txn (id), n INTEGER NOT NULL, kind TEXT NOT NULL, ino INTEGER NOT NULL, born TEXT NOT NULL, size INTEGER NOT NULL, mode INTEGER NOT NULL, mtime TEXT NOT NULL, ctime TEXT NOT NULL, racy INTEGER NOT NULL, digest BLOB, target TEXT, signature BLOB, unsettled INTEGER, boot TEXT, mount INTEGER, facts BLOB, PRIMARY KEY (root, path) ) STRICT, WITHOUT ROWID
CREATE TABLE event ( id INTEGER PRIMARY KEY, at TEXT NOT NULL, run INTEGER REFERENCES run (id), txn INTEGER REFERENCES txn (id), kind TEXT NOT NULL, path TEXT, detail TEXT NOT NULL ) STRICT
CREATE TABLE home ( id INTEGER PRIMARY KEY CHECK (id = 1), ino INTEGER NOT NULL, born TEXT NOT NULL, made_at TEXT NOT NULL, compat INTEGER NOT NULL DEFAULT 0, compat_read INTEGER NOT NULL DEFAULT 0, incompat INTEGER NOT NULL DEFAULT 0, exchange INTEGER NOT NULL, birth_times INTEGER NOT NULL , rebuilt_at TEXT) STRICT
CREATE TABLE leftover ( path TEXT NOT NULL, uid INTEGER NOT NULL, boot TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (path, uid) ) STRICT, WITHOUT ROWID
CREATE TABLE manifest ( digest BLOB PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL, encoded BLOB NOT NULL ) STRICT, WITHOUT ROWID
CREATE TABLE root ( id INTEGER PRIMARY KEY CHECK (id > 0), ino INTEGER NOT NULL, born TEXT NOT NULL, path TEXT NOT NULL, UNIQUE (ino, born) ) STRICT
CREATE TABLE run ( id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, pid INTEGER NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL, uid INTEGER NOT NULL, cwd TEXT NOT NULL, argv TEXT NOT NULL, version TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT , purpose TEXT, parent TEXT, log TEXT, account TEXT, container TEXT, error TEXT) STRICT
CREATE TABLE source ( fingerprint BLOB PRIMARY KEY, manifest BLOB NOT NULL REFERENCES manifest (digest) ) STRICT, WITHOUT ROWID
CREATE TABLE txn ( id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, run INTEGER NOT NULL REFERENCES run (id), root INTEGER NOT NULL REFERENCES root (id), label TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('staging', 'committed', 'applied', 'aborting', 'aborted', 'stuck')), began_at TEXT NOT NULL, ended_at TEXT, commit_no INTEGER UNIQUE, reason TEXT , kept INTEGER, undoes INTEGER, staged_at TEXT, locked_at TEXT, committed_at TEXT) STRICT
CREATE TABLE voucher ( run TEXT NOT NULL, root INTEGER NOT NULL, path TEXT NOT NULL, digest BLOB NOT NULL, since TEXT NOT NULL, revoked TEXT, PRIMARY KEY (root, path, run) ) STRICT, WITHOUT ROWID
