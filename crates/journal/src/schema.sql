-- The tables of a journal, format 2. docs/journal.md says what each column means.

CREATE TABLE journal_state (
    one               INTEGER PRIMARY KEY CHECK (one = 1),
    journal_id        TEXT    NOT NULL,
    epoch             INTEGER NOT NULL,
    first_position    INTEGER NOT NULL,
    crc_before_first  INTEGER NOT NULL,
    settled_position  INTEGER NOT NULL,
    finished_count    INTEGER NOT NULL,
    failed_count      INTEGER NOT NULL
) STRICT;

-- The checksum stands before the body: reading it touches no overflow page.
CREATE TABLE journal (
    position  INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL,
    crc       INTEGER NOT NULL,
    body      BLOB    NOT NULL
) STRICT;

CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What the sweep reads comes first, what is long comes last.
CREATE TABLE finished_tasks (
    row_id     INTEGER PRIMARY KEY,
    expire_ms  INTEGER NOT NULL,
    submit_ms  INTEGER NOT NULL,
    finish_ms  INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    class      TEXT    NOT NULL,
    task_id    BLOB    NOT NULL,
    queue      TEXT    NOT NULL,
    task_type  TEXT    NOT NULL,
    trace_id   TEXT    NOT NULL,
    state      BLOB    NOT NULL,
    result     BLOB    NOT NULL,
    leases     TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE failed_tasks (
    row_id       INTEGER PRIMARY KEY,
    expire_ms    INTEGER NOT NULL,
    submit_ms    INTEGER NOT NULL,
    finish_ms    INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    task_id      BLOB    NOT NULL,
    queue        TEXT    NOT NULL,
    task_type    TEXT    NOT NULL,
    trace_id     TEXT    NOT NULL,
    error        TEXT    NOT NULL,
    error_stack  TEXT    NOT NULL,
    state        BLOB    NOT NULL,
    payload      BLOB    NOT NULL,
    leases       TEXT    NOT NULL DEFAULT ''
) STRICT;
