"""How influxd of 1.x reads its configuration: influxdb.conf."""

from restoreproof.engines.server_configuration import Reader

FIRST = Reader(
    called="influxdb.conf",
    standard=("/etc/influxdb/influxdb.conf", "/root/.influxdb/influxdb.conf"),
    endings=(".conf", ".toml"),
    # Variables of the sandbox would replace what the file says.
    script='exec env -i PATH="$PATH" influxd config -config "$1"',
)
"""InfluxDB 1.x."""
