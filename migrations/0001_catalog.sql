-- The catalog: the recorded content of the disk, and the history.
-- Times are texts "seconds.nanoseconds" since 1970; identities are inode and birth time.
-- `root` 0 is the home itself, so that entries of the home have one name from any root.

CREATE TABLE home (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    ino           INTEGER NOT NULL,
    born          TEXT    NOT NULL,
    made_at       TEXT    NOT NULL,
    compat        INTEGER NOT NULL DEFAULT 0, -- features that older versions may ignore
    compat_read   INTEGER NOT NULL DEFAULT 0, -- features that older versions may read past
    incompat      INTEGER NOT NULL DEFAULT 0, -- features that older versions must refuse
    exchange      INTEGER NOT NULL,           -- what the filesystem was found to be able to do
    birth_times   INTEGER NOT NULL
) STRICT;

CREATE TABLE root (
    id    INTEGER PRIMARY KEY CHECK (id > 0),
    ino   INTEGER NOT NULL,
    born  TEXT    NOT NULL,
    path  TEXT    NOT NULL, -- for people
    UNIQUE (ino, born)
) STRICT;

CREATE TABLE run (
    id         INTEGER PRIMARY KEY,
    uuid       TEXT    NOT NULL UNIQUE,
    pid        INTEGER NOT NULL,
    host       TEXT    NOT NULL,
    boot       TEXT    NOT NULL,
    uid        INTEGER NOT NULL,
    cwd        TEXT    NOT NULL,
    argv       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    started_at TEXT    NOT NULL,
    ended_at   TEXT,
    outcome    TEXT -- 'ok', 'failed', 'found dead'
) STRICT;
CREATE INDEX run_open ON run (id) WHERE ended_at IS NULL;

CREATE TABLE txn (
    id         INTEGER PRIMARY KEY,
    uuid       TEXT    NOT NULL UNIQUE,
    run        INTEGER NOT NULL REFERENCES run (id),
    root       INTEGER NOT NULL REFERENCES root (id),
    label      TEXT    NOT NULL,
    state      TEXT    NOT NULL
               CHECK (state IN ('staging', 'committed', 'applied', 'aborting', 'aborted', 'stuck')),
    began_at   TEXT    NOT NULL,
    ended_at   TEXT,
    commit_no  INTEGER UNIQUE, -- the order of commit points
    reason     TEXT            -- why it was taken back or is stuck
) STRICT;
-- A query uses a partial index only if it repeats the condition literally.
CREATE INDEX txn_staging ON txn (id) WHERE state = 'staging';
CREATE INDEX txn_unfinished ON txn (commit_no) WHERE state IN ('committed', 'aborting', 'stuck');

CREATE TABLE change (
    txn        INTEGER NOT NULL REFERENCES txn (id),
    n          INTEGER NOT NULL,
    root       INTEGER NOT NULL,
    path       TEXT    NOT NULL,
    op         TEXT    NOT NULL,
    pre_kind   TEXT, pre_ino INTEGER, pre_born TEXT, pre_size INTEGER, pre_mode INTEGER, pre_mtime TEXT,
    new_kind   TEXT, new_ino INTEGER, new_born TEXT, new_size INTEGER, new_mode INTEGER, new_mtime TEXT,
    digest     BLOB,
    target     TEXT,
    beside     TEXT, -- the directory of the staged entry, where that is not the home; '' is the root
    rebuildable INTEGER NOT NULL,
    drift      INTEGER NOT NULL,
    PRIMARY KEY (txn, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_path ON change (root, path, txn);

-- The state of a path after the last applied transaction that changed it.
CREATE TABLE entry (
    root       INTEGER NOT NULL,
    path       TEXT    NOT NULL,
    txn        INTEGER NOT NULL REFERENCES txn (id),
    n          INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    ino        INTEGER NOT NULL,
    born       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    mode       INTEGER NOT NULL,
    mtime      TEXT    NOT NULL,
    ctime      TEXT    NOT NULL,
    racy       INTEGER NOT NULL, -- the signature is too young to vouch for the content
    digest     BLOB,
    target     TEXT,
    signature  BLOB,             -- of a tree's entries
    unsettled  INTEGER,          -- 1: a rebuildable tree that may not be on the medium yet
    boot       TEXT,             -- the boot and mount it was written in
    mount      INTEGER,
    PRIMARY KEY (root, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_unsettled ON entry (unsettled) WHERE unsettled IS NOT NULL;

CREATE TABLE manifest (
    digest   BLOB PRIMARY KEY,
    entries  INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    encoded  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- The manifest of a source with this observed state.
CREATE TABLE source (
    fingerprint BLOB PRIMARY KEY,
    manifest    BLOB NOT NULL REFERENCES manifest (digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    id      INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    run     INTEGER REFERENCES run (id),
    txn     INTEGER REFERENCES txn (id),
    kind    TEXT NOT NULL,
    path    TEXT,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX event_txn ON event (txn) WHERE txn IS NOT NULL;
