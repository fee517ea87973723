-- For people: ids as UUID text, times as UTC text.
CREATE VIEW finished AS
SELECT
    lower(substr(hex(task_id), 1, 8) || '-' || substr(hex(task_id), 9, 4) || '-'
        || substr(hex(task_id), 13, 4) || '-' || substr(hex(task_id), 17, 4) || '-'
        || substr(hex(task_id), 21)) AS task_id,
    queue, task_type, class AS state, attempts,
    strftime('%Y-%m-%dT%H:%M:%fZ', submit_ms / 1000.0, 'unixepoch') AS submit_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', finish_ms / 1000.0, 'unixepoch') AS finish_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', expire_ms / 1000.0, 'unixepoch') AS expire_time,
    trace_id, leases, result, row_id
FROM finished_tasks;

CREATE VIEW failed AS
SELECT
    lower(substr(hex(task_id), 1, 8) || '-' || substr(hex(task_id), 9, 4) || '-'
        || substr(hex(task_id), 13, 4) || '-' || substr(hex(task_id), 17, 4) || '-'
        || substr(hex(task_id), 21)) AS task_id,
    queue, task_type, generation, attempts, reason, error, error_stack,
    strftime('%Y-%m-%dT%H:%M:%fZ', submit_ms / 1000.0, 'unixepoch') AS submit_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', finish_ms / 1000.0, 'unixepoch') AS finish_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', expire_ms / 1000.0, 'unixepoch') AS expire_time,
    trace_id, leases, payload, row_id
FROM failed_tasks;
