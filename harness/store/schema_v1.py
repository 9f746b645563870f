"""The first schema of results.db, as released: never edited, only followed by further steps in `migrations.py`.

Columns are named as the fields of `rows.py`. All tables are STRICT. The points of a series lie in a table of their
own under a small integer, about 25 bytes each, so that hours of four windows a second stay small; the views put the
names back. Such a number is never given twice (AUTOINCREMENT): a writer remembers it, and the series may be deleted
meanwhile.

Indices serve lists, newest first, and the cascades of a deletion. There is none on a column with few values, such as
a run's status: SQLite, which has no statistics here, would prefer it to a better one.
"""

from __future__ import annotations

TABLES = (
    """
    CREATE TABLE environment (
        hash TEXT PRIMARY KEY,
        "values" TEXT NOT NULL,
        first_seen TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE experiment (
        id TEXT PRIMARY KEY,
        command TEXT NOT NULL,
        created_at TEXT NOT NULL,
        argv TEXT NOT NULL,
        status TEXT NOT NULL,
        interleaved INTEGER NOT NULL,
        data_seed INTEGER NOT NULL,
        harness_version TEXT,
        git_commit TEXT,
        git_dirty INTEGER,
        shared INTEGER NOT NULL,
        host TEXT,
        face TEXT,
        plan TEXT NOT NULL,
        message TEXT,
        ended_at TEXT,
        exit_code INTEGER,
        note TEXT
    ) STRICT
    """,
    """
    CREATE TABLE experiment_tag (
        experiment_id TEXT NOT NULL REFERENCES experiment (id) ON DELETE CASCADE,
        tag TEXT NOT NULL,
        PRIMARY KEY (experiment_id, tag)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE cell (
        id TEXT PRIMARY KEY,
        experiment_id TEXT NOT NULL REFERENCES experiment (id) ON DELETE CASCADE,
        "index" INTEGER NOT NULL,
        label TEXT NOT NULL,
        workload TEXT NOT NULL,
        workload_version INTEGER NOT NULL,
        mode TEXT NOT NULL,
        mode_kind TEXT NOT NULL,
        device TEXT NOT NULL,
        timing_scope TEXT NOT NULL,
        params TEXT NOT NULL,
        params_hash TEXT NOT NULL,
        protocol TEXT NOT NULL,
        device_kind TEXT,
        settings TEXT NOT NULL,
        origins TEXT NOT NULL,
        profile TEXT,
        data TEXT NOT NULL,
        engine TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE run (
        id TEXT PRIMARY KEY,
        cell_id TEXT NOT NULL REFERENCES cell (id) ON DELETE CASCADE,
        repeat INTEGER NOT NULL,
        order_index INTEGER NOT NULL,
        seed INTEGER NOT NULL,
        status TEXT NOT NULL,
        started_at TEXT,
        ended_at TEXT,
        wall_s REAL,
        reason TEXT,
        exit_code INTEGER,
        contended INTEGER,
        contention_reason TEXT,
        contention TEXT NOT NULL,
        environment_hash TEXT REFERENCES environment (hash),
        face TEXT,
        log_path TEXT,
        resumed_from TEXT
    ) STRICT
    """,
    """
    CREATE TABLE process (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        rank INTEGER NOT NULL,
        pid INTEGER,
        python TEXT,
        started_at TEXT,
        ended_at TEXT,
        exit_code INTEGER,
        signal INTEGER,
        environment_hash TEXT REFERENCES environment (hash)
    ) STRICT
    """,
    """
    CREATE TABLE metric (
        run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value REAL,
        unit TEXT NOT NULL,
        labels TEXT NOT NULL,
        phase TEXT NOT NULL,
        better TEXT NOT NULL,
        role TEXT NOT NULL,
        kind TEXT NOT NULL,
        PRIMARY KEY (run_id, name, labels, phase)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE series (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        axis TEXT NOT NULL,
        unit TEXT NOT NULL,
        UNIQUE (run_id, name, labels)
    ) STRICT
    """,
    """
    CREATE TABLE point (
        series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
        "index" INTEGER NOT NULL,
        x REAL NOT NULL,
        y REAL,
        PRIMARY KEY (series_id, "index")
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE telemetry (
        run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        t_s REAL NOT NULL,
        source TEXT NOT NULL,
        "values" TEXT NOT NULL,
        PRIMARY KEY (run_id, source, t_s)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE artifact (
        run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT,
        bytes INTEGER,
        PRIMARY KEY (run_id, kind, path)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        experiment_id TEXT NOT NULL REFERENCES experiment (id) ON DELETE CASCADE,
        run_id TEXT REFERENCES run (id) ON DELETE CASCADE,
        t_s REAL,
        wall TEXT NOT NULL,
        level TEXT NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE checkpoint (
        run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        created_at TEXT NOT NULL,
        step INTEGER,
        samples INTEGER,
        epoch REAL,
        PRIMARY KEY (run_id, path)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE ceiling (
        machine TEXT NOT NULL,
        device TEXT NOT NULL,
        threads INTEGER NOT NULL,
        name TEXT NOT NULL,
        value REAL,
        unit TEXT NOT NULL,
        measured_at TEXT NOT NULL,
        contended INTEGER,
        PRIMARY KEY (machine, device, threads, name, measured_at)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE drift (
        machine TEXT NOT NULL,
        device TEXT NOT NULL,
        metric TEXT NOT NULL,
        value REAL,
        n_experiments INTEGER NOT NULL,
        measured_at TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (machine, device, metric, measured_at)
    ) STRICT, WITHOUT ROWID
    """,
)

INDICES = (
    "CREATE INDEX experiment_by_time ON experiment (created_at, id)",
    "CREATE INDEX experiment_by_status ON experiment (status)",
    "CREATE INDEX experiment_by_tag ON experiment_tag (tag)",
    'CREATE INDEX cell_by_experiment ON cell (experiment_id, "index")',
    "CREATE INDEX cell_by_configuration ON cell (workload, device, params_hash)",
    "CREATE INDEX run_by_cell ON run (cell_id, repeat)",
    "CREATE INDEX run_by_environment ON run (environment_hash)",
    "CREATE INDEX process_by_run ON process (run_id)",
    "CREATE INDEX process_by_environment ON process (environment_hash)",
    "CREATE INDEX event_by_experiment ON event (experiment_id, t_s)",
    "CREATE INDEX event_by_run ON event (run_id)",
)


def _metric(name: str) -> str:
    """A run's value of an unlabelled metric: that of the measure phase, else that of an evaluation."""
    return f"""
        (SELECT value FROM metric
         WHERE metric.run_id = run.id AND metric.name = '{name}' AND metric.labels = '{{}}'
           AND metric.phase IN ('measure', 'evaluate')
         ORDER BY metric.phase DESC LIMIT 1) AS {name}"""


_SHOWN_METRICS = (
    "throughput",
    "bandwidth",
    "auc",
    "auc_bayes",
    "log_loss",
    "hit_ratio",
    "latency_p50_s",
    "latency_p99_s",
    "energy_j_per_sample",
    "memory_peak_bytes",
)

_MEDIAN_METRICS = ("throughput", "auc", "log_loss", "hit_ratio")

VIEWS = (
    f"""
    CREATE VIEW run_summary AS
    SELECT
        run.id AS run_id,
        experiment.id AS experiment_id,
        cell.id AS cell_id,
        experiment.created_at,
        cell.workload,
        cell.workload_version,
        cell.mode,
        cell.label,
        cell.device,
        cell.device_kind,
        cell.timing_scope,
        run.repeat,
        run.status,
        run.reason,
        run.contended,
        run.contention_reason,
        run.started_at,
        run.wall_s,
        {", ".join(_metric(name) for name in _SHOWN_METRICS)},
        (SELECT group_concat(tag, ' ') FROM experiment_tag WHERE experiment_id = experiment.id) AS tags,
        experiment.note,
        cell.profile,
        cell.params_hash,
        run.environment_hash
    FROM run
    JOIN cell ON cell.id = run.cell_id
    JOIN experiment ON experiment.id = cell.experiment_id
    """,
    f"""
    CREATE VIEW latest_per_cell AS
    WITH aged AS (
        SELECT
            cell.id AS cell_id,
            row_number() OVER (
                PARTITION BY cell.workload, cell.workload_version, cell.mode, cell.device, cell.timing_scope,
                    cell.params_hash, json_extract(cell.data, '$.fingerprint')
                ORDER BY experiment.created_at DESC, experiment.id DESC, cell."index" DESC
            ) AS age
        FROM cell
        JOIN experiment ON experiment.id = cell.experiment_id
        WHERE EXISTS (SELECT 1 FROM run WHERE run.cell_id = cell.id AND run.status = 'ok')
    ),
    newest AS MATERIALIZED (SELECT cell_id FROM aged WHERE age = 1),
    measured AS MATERIALIZED (
        SELECT
            run.cell_id,
            run.contended,
            {", ".join(_metric(name) for name in _MEDIAN_METRICS)}
        FROM newest
        CROSS JOIN run ON run.cell_id = newest.cell_id AND run.status = 'ok'
    ),
    ranked AS (
        SELECT
            measured.*,
            row_number() OVER (PARTITION BY cell_id ORDER BY throughput) AS place,
            count(throughput) OVER (PARTITION BY cell_id) AS known,
            sum(throughput IS NULL) OVER (PARTITION BY cell_id) AS unknown
        FROM measured
    )
    SELECT
        cell.id AS cell_id,
        cell.experiment_id,
        experiment.created_at,
        cell.workload,
        cell.workload_version,
        cell.mode,
        cell.label,
        cell.device,
        cell.device_kind,
        cell.timing_scope,
        cell.params_hash,
        cell.profile,
        count(*) AS runs_ok,
        sum(ranked.contended) AS runs_contended,
        avg(CASE WHEN place - unknown IN ((known + 1) / 2, (known + 2) / 2) THEN throughput END) AS throughput_median,
        min(throughput) AS throughput_lowest,
        max(throughput) AS throughput_highest,
        avg(auc) AS auc_mean,
        avg(log_loss) AS log_loss_mean,
        avg(hit_ratio) AS hit_ratio_mean
    FROM ranked
    CROSS JOIN cell ON cell.id = ranked.cell_id
    CROSS JOIN experiment ON experiment.id = cell.experiment_id
    GROUP BY cell.id
    """,
    """
    CREATE VIEW compare_input AS
    SELECT
        experiment.id AS experiment_id,
        experiment.created_at,
        experiment.interleaved,
        cell.id AS cell_id,
        cell.label,
        cell.workload,
        cell.workload_version,
        cell.mode,
        cell.device,
        cell.device_kind,
        cell.timing_scope,
        cell.params_hash,
        cell.protocol,
        json_extract(cell.data, '$.fingerprint') AS data_fingerprint,
        run.id AS run_id,
        run.repeat,
        run.order_index,
        run.seed,
        run.contended,
        run.environment_hash,
        metric.name AS metric,
        metric.labels,
        metric.phase,
        metric.value,
        metric.unit,
        metric.better,
        metric.role,
        metric.kind
    FROM metric
    JOIN run ON run.id = metric.run_id
    JOIN cell ON cell.id = run.cell_id
    JOIN experiment ON experiment.id = cell.experiment_id
    WHERE run.status = 'ok'
    """,
    """
    CREATE VIEW series_point AS
    SELECT series.run_id, series.name, series.labels, point."index", series.axis, point.x, point.y, series.unit
    FROM series
    JOIN point ON point.series_id = series.id
    """,
    """
    CREATE VIEW telemetry_value AS
    SELECT telemetry.run_id, telemetry.source, telemetry.t_s, each.key AS name, each.value
    FROM telemetry, json_each(telemetry."values") AS each
    """,
)

STATEMENTS = TABLES + INDICES + VIEWS
