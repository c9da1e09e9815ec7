"""A valid policy, and every kind of mistake that can be made in it."""

VALID = """\
estate: Harbour
objectives: {rpo: 1h30m, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  database:
    engine: mysql
    image: mysql:8.4
    source:
      host: db.example
      user: backup
      password: ${PASSWORD}
      heartbeat: {table: app.beat, column: at}
    coverage: [data, logs]
    schedule:
      full: 10 16 * * 1
      incremental: 10 16 * * 2-7
      time_zone: Europe/Paris
    retention: {days: 30}
  metrics:
    engine: influxdb
    image: influxdb:1.8
    source:
      url: http://metrics.example:8086
      backup: metrics.example:8088
      lateness: 5m
    coverage: [data]
  playbooks:
    engine: git
    source: {repository: ../playbooks.git}
    coverage: [playbook]
    retention:
      until: deleted-by-hand
"""

# what is replaced in VALID, by what, the line of the mistake, a part of what is wrong and of
# how to mend it
MISTAKES = {
    "unknown key at the top": ("estate: Harbour", "estates: 1\nestate: Harbour", 1,
        "estates: unknown key", "remove 'estates'"),
    "unknown objective": ("rto: 4h,", "rto: 4h, rpoo: 1h,", 2,
        "objectives.rpoo: unknown key", "remove 'rpoo'"),
    "misspelt key at the top": ("objectives: {", "objectivse: {", 2,
        "objectivse: unknown key", "write 'objectives'"),
    "misspelt key of a component": ("    coverage: [data]\n", "    covers: [data]\n", 26,
        "components.metrics.covers: unknown key", "write 'coverage'"),
    "unknown key of the vault": ("{location: vault}", "{location: vault, path: x}", 3,
        "vault.path: unknown key", "remove 'path'"),
    "unknown framework": ("vault: {location: vault}\n",
        "vault: {location: vault}\nreport: {frameworks: [iso-9001]}\n", 4,
        "report.frameworks: no framework 'iso-9001'", "choose from cis-v8"),
    "unknown key of a component": ("    coverage: [data]\n", "    coverage: [data]\n    foo: 1\n",
        27, "components.metrics.foo: unknown key", "remove 'foo'"),
    "unknown key named as its engine": ("    coverage: [data]\n",
        "    coverage: [data]\n    influxdb: 1\n", 27,
        "components.metrics.influxdb: unknown key", "remove 'influxdb'"),
    "unknown key of a source": ("      user: backup", "      usr: x\n      user: backup", 10,
        "components.database.source.usr: unknown key", "remove 'usr'"),
    "unknown key of a heartbeat": ("column: at}", "column: at, row: 1}", 12,
        "components.database.source.heartbeat.row: unknown key", "remove 'row'"),
    "two places of a server's files": ("      user: backup",
        "      logs: {container: x, folder: /}\n      user: backup", 10,
        "components.database.source.logs: one place is needed", "give either container or folder"),
    "no place of a server's files": ("      user: backup",
        "      configuration: {files: [/etc/my.cnf]}\n      user: backup", 10,
        "source.configuration: one place is needed", "give either container or folder"),
    "relative path of a server's file": ("      user: backup",
        "      logs: {folder: /, files: [x.log]}\n      user: backup", 10,
        "source.logs.files.0: not an absolute path", "write it as the server sees it"),
    "probe that reads nothing": ("      user: backup",
        "      probe_query: {write: x, read: ''}\n      user: backup", 10,
        "source.probe_query.read: is empty", "write a text"),
    "unknown key of a schedule": ("      full:", "      hourly: 1\n      full:", 15,
        "components.database.schedule.hourly: unknown key", "remove 'hourly'"),
    "unknown key of a retention": ("{days: 30}", "{days: 30, weeks: 3}", 18,
        "components.database.retention.weeks: unknown key", "remove 'weeks'"),
    "databases of a clone": ("      user: backup",
        "      user: backup\n      method: clone\n      databases: [app]", 8,
        "method clone copies every database", "leave out databases"),
    "unknown method": ("      user: backup", "      user: backup\n      method: copy", 11,
        "components.database.source.method: no value", "'dump', 'physical' or 'clone'"),
    "missing at the top": ("estate: Harbour", "description: x", 1,
        "estate: is missing", "add 'estate:'"),
    "missing objective": ("rto: 4h, ", "", 2, "objectives.rto: is missing", "add 'rto:'"),
    "missing in a source": ("      user: backup\n", "", 8,
        "components.database.source.user: is missing", "add 'user:'"),
    "missing source": ("    source: {repository: ../playbooks.git}\n", "", 27,
        "components.playbooks.source: is missing", "add 'source:'"),
    "empty name of the estate": ("estate: Harbour", "estate: ''", 1,
        "estate: is empty", "write a text"),
    "a number for a text": ("estate: Harbour", "estate: 7", 1, "estate: not a text", "quotes"),
    "one of several expressions": ("full: 10 16 * * 1", "full: [10 16 * * 1, 10 25 * * 2]", 15,
        "components.database.schedule.full.1: not a cron expression: bad hour", "write minute"),
    "no expression": ("full: 10 16 * * 1", "full: []", 15,
        "components.database.schedule.full: is empty", "name at least one"),
    "size without a unit": ("    retention: {days: 30}", "    expected_size: 20", 18,
        "components.database.expected_size: not a size", "20GB"),
    "sandbox with no memory": ("vault: {location: vault}\n",
        "vault: {location: vault}\naudit: {limits: {memory: 1MB}}\n", 4,
        "audit.limits.memory", ""),
    "size of nothing": ("    retention: {days: 30}", "    expected_size: 0GB", 18,
        "components.database.expected_size: a size must be more", ""),
    "review at no date": ("estate: Harbour", "estate: Harbour\nnext_review: soon", 2,
        "next_review: not a date", "2027-01-31"),
    "audit in no time zone": ("components:", "audit: {time_zone: Mars}\ncomponents:", 4,
        "audit.time_zone: unknown time zone 'Mars'", "write one"),
    "promised coverage of no kind": ("components:", "promised_coverage: {web: [all]}\ncomponents:",
        4, "promised_coverage.web.0: no value", "'data'"),
    "an hour that no day has": ("full: 10 16 * * 1", "full: 10 25 * * 1", 15,
        "components.database.schedule.full: not a cron expression: bad hour", "write minute"),
    "six fields of cron": ("full: 10 16 * * 1", "full: 0 10 16 * * 1", 15,
        "wrong number of fields", "'10 16 * * 1'"),
    "a day that never comes": ("full: 10 16 * * 1", "full: 0 0 31 4,6 *", 15,
        "not a cron expression", "'10 16 * * 1'"),
    "words for cron": ("incremental: 10 16 * * 2-7", "incremental: daily", 16,
        "components.database.schedule.incremental: not a cron", "write minute"),
    "duration in words": ("rpo: 1h30m", "rpo: one hour", 2,
        "objectives.rpo: not a duration", "90s, 15m, 1h or 31d"),
    "duration without a unit": ("rpo: 1h30m", "rpo: 60", 2, "objectives.rpo: not a duration", "1h"),
    "duration of nothing": ("rpo: 1h30m", "rpo: 0s", 2, "objectives.rpo: a duration must be", ""),
    "duration beyond all time": ("rpo: 1h30m", f"rpo: {'9' * 30}d", 2, "objectives.rpo: longer",
        "fewer digits"),
    "duration in a source": ("lateness: 5m", "lateness: 5", 25,
        "components.metrics.source.lateness: not a duration", "15m"),
    "unknown engine": ("engine: influxdb", "engine: oracle", 20,
        "components.metrics.engine: unknown engine oracle",
        "use one of: files, git, influxdb, influxdb2, mysql"),
    "no engine": ("    engine: influxdb\n", "", 19,
        "components.metrics: engine is missing", "add 'engine:' with one of: files, git, influxdb"),
    "engine without its image": ("    image: mysql:8.4\n", "", 5,
        "components.database: the mysql engine restores into a container", "add 'image:'"),
    "commands where none fit": (
        """    engine: influxdb
    image: influxdb:1.8
    source:
      url: http://metrics.example:8086
      backup: metrics.example:8088
      lateness: 5m
""",
        """    engine: influxdb2
    image: influxdb:2.7
    source: {url: "http://metrics.example:8086", token: "${TOKEN}"}
    commands: {full: "true", restore: "true", store: /backup}
""", 19,
        "components.metrics: no commands can make backups for the influxdb2 engine", "leave out"),
    "unknown coverage": ("[data, logs]", "[data, lags]", 13,
        "components.database.coverage.1: no value", "'configuration', 'logs'"),
    "only unknown coverage": ("[data, logs]", "[lags]", 13,
        "components.database.coverage.0: no value", "'configuration', 'logs'"),
    "no coverage": ("[data, logs]", "[]", 13, "components.database.coverage: is empty", "one"),
    "coverage that is no list": ("[data, logs]", "data", 13,
        "components.database.coverage: not a list", "in brackets"),
    "component with capitals": ("  metrics:", "  Metrics:", 19,
        "components.Metrics: not a valid name", "lower-case"),
    "component with a path": ("  metrics:", "  ../metrics:", 19,
        "components.../metrics: not a valid name", "lower-case"),
    "component named by a number": ("  metrics:", "  12:", 19, "components.12: not a text", ""),
    "component that is no section": ("  playbooks:", "  logs: 3\n  playbooks:", 27,
        "components.logs: not a section", "indented"),
    "secret in plain text": ("${PASSWORD}", "hunter2", 11,
        "components.database.source.password: a secret is given by reference", "write ${NAME}"),
    "secret as a default": ("${PASSWORD}", "${PASSWORD:-hunter2}", 11,
        "components.database.source.password: a secret is given by reference", "file:PATH"),
    "table without its database": ("app.beat", "beat", 12,
        "components.database.source.heartbeat.table: not a table", "write database.table"),
    "port that is a list": ("      user:", "      port: [1]\n      user:", 10,
        "components.database.source.port: input should be a valid integer", "correct"),
    "unknown time zone": ("Europe/Paris", "Mars/Phobos", 17,
        "components.database.schedule.time_zone: unknown time zone 'Mars/Phobos'", "write one"),
    "time zone that is a path": ("Europe/Paris", "../../../etc/passwd", 17,
        "components.database.schedule.time_zone: unknown time zone", "write one"),
    "retention of no day": ("{days: 30}", "{days: 0}", 18,
        "components.database.retention.days: less than 1", "1 or more"),
    "retention of nothing": ("{days: 30}", "{}", 18,
        "components.database.retention: says nothing", "give days, count"),
    "exercise of what there is not": ("components:", "audit: {exercise: [shed]}\ncomponents:", 5,
        "audit.exercise names no component 'shed'", "choose from database"),
    "criterion that nobody plays": ("components:",
        "restoration_criteria: [{name: fire, text: it burns}]\ncomponents:", 4,
        "restoration_criteria", "corruption"),
    "criterion twice": ("components:",
        "restoration_criteria: [{name: failure, text: a}, {name: failure, text: b}]\ncomponents:",
        4, "failure stands twice", "write one sentence"),
    "a word where there are two": ("components:", "audit: {restore: some}\ncomponents:", 4,
        "audit.restore: no value", "'all' or 'newest'"),
    "unclosed bracket": ("estate: Harbour", "estate: [Harbour", 2, "not YAML", "syntax"),
    "tab": ("    engine: mysql", "\tengine: mysql", 6, "not YAML", "syntax"),
    "duplicate key": ("vault: {location: vault}", "estate: Two\nvault: {location: vault}", 3,
        'not YAML: found duplicate key "estate"', "syntax"),
    "duplicate component": ("  playbooks:", "  metrics:", 27,
        'not YAML: found duplicate key "metrics"', "syntax"),
    "second document": ("vault: {location: vault}", "vault: {location: vault}\n---", 4,
        "not YAML", "syntax"),
    "control character": ("mysql:8.4", "mysql\x07", 7, "not YAML: a control character", "syntax"),
    "too deep": ("Harbour", "[" * 700 + "]" * 700, 1, "not YAML", "syntax"),
}  # fmt: skip
