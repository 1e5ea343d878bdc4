-- Leftovers that could not be deleted. Each user retries once per boot.
CREATE TABLE leftover (
    path   TEXT    NOT NULL, -- below `.state`: of a transaction's directory, a log, or something set aside
    uid    INTEGER NOT NULL, -- who tried
    boot   TEXT    NOT NULL, -- and in which boot
    at     TEXT    NOT NULL,
    reason TEXT    NOT NULL, -- what the system said, of what, and whose that is
    PRIMARY KEY (path, uid)
) STRICT, WITHOUT ROWID;
