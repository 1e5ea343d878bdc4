-- The retained content of a transaction, its times, and the transaction that it undoes.
ALTER TABLE txn ADD COLUMN kept INTEGER;      -- bytes that lie in `txn/<id>/` still: what it replaced, or what a dead run had staged
ALTER TABLE txn ADD COLUMN undoes INTEGER;    -- the number of the transaction that it takes back
ALTER TABLE txn ADD COLUMN staged_at TEXT;    -- when all was staged and synced, and the commit lock was asked for
ALTER TABLE txn ADD COLUMN locked_at TEXT;    -- when it had the commit lock
ALTER TABLE txn ADD COLUMN committed_at TEXT; -- its commit point
CREATE INDEX txn_kept ON txn (id) WHERE kept IS NOT NULL;
CREATE INDEX txn_run ON txn (run);

ALTER TABLE run ADD COLUMN account TEXT;   -- the name of its user
ALTER TABLE run ADD COLUMN container TEXT; -- what kind of container it ran in, and which
ALTER TABLE run ADD COLUMN error TEXT;     -- what it reported when it failed

ALTER TABLE home ADD COLUMN rebuilt_at TEXT; -- when the rows were made from what was on disk

-- The cleanup deletes rows without full scans.
CREATE INDEX entry_txn ON entry (txn);
CREATE INDEX event_run ON event (run) WHERE run IS NOT NULL;

-- Queries for failures match few rows and must be fast.
CREATE INDEX txn_aborted ON txn (id) WHERE state = 'aborted';
CREATE INDEX run_failed ON run (id) WHERE outcome NOT IN ('ok', 'exited 0');
CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL;
CREATE INDEX txn_undoes ON txn (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX change_tree ON change (digest) WHERE op IN ('tree', 'fill', 'adopt');
CREATE INDEX source_manifest ON source (manifest);
