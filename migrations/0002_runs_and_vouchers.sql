-- The purpose of a run, its parent run, and the log of its command. (A column
-- called `label` would make queries of older versions, which join runs and transactions, ambiguous.)
ALTER TABLE run ADD COLUMN purpose TEXT;
ALTER TABLE run ADD COLUMN parent TEXT; -- the uuid of a run; it may have no row
ALTER TABLE run ADD COLUMN log TEXT;    -- below the home

-- A live run's claim that a file is valid. The claim ends with its run.
CREATE TABLE voucher (
    run        TEXT    NOT NULL, -- the uuid of a run; it may have no row
    root       INTEGER NOT NULL,
    path       TEXT    NOT NULL, -- of the file
    digest     BLOB    NOT NULL, -- over everything that was verified
    since      TEXT    NOT NULL,
    revoked    TEXT,             -- why it is not worth anything any more
    PRIMARY KEY (root, path, run)
) STRICT, WITHOUT ROWID;
