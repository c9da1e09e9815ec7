"""SQL for what is hard to bring back: values at their limits, and names that need quoting.

``STATEMENTS`` run on MySQL and MariaDB, ``MYSQL`` and ``MARIADB`` after them on one alone.
"""

from collections.abc import Iterator, Sequence

STRANGE = "имя `с` пробелом, 100%"
WIDE_BYTES = 2 * 1024**2
BINARY = bytes(range(256)) + b"\0'\"\\\r\n\x1a`%" + b"\xff" * 9

_STRANGE = STRANGE.replace("`", "``")

LETTERS = "Aa Éé ß щЖ Աա ა ก あ日한 €"
COLUMNS = 60

STATEMENTS = (
    "CREATE DATABASE IF NOT EXISTS torture",
    f"CREATE DATABASE `{_STRANGE}` CHARACTER SET latin1",
    "CREATE DATABASE `nothing in it`",
    "CREATE USER 'application'@'%' IDENTIFIED BY 'application'",
    "GRANT ALL ON torture.* TO 'application'@'%'",
    # mysqldump writes six digits of a FLOAT, and the zero alone of a negative one.
    "CREATE DATABASE lossy",
    "CREATE TABLE lossy.numbers (f FLOAT, d DOUBLE)",
    "INSERT INTO lossy.numbers VALUES (16777216, -0e0)",
    "USE torture",
    """CREATE TABLE numbers (
        id INT AUTO_INCREMENT PRIMARY KEY, tiny TINYINT, big BIGINT, huge BIGINT UNSIGNED,
        exact DECIMAL(65,30), d DOUBLE, one BIT(1), many BIT(64), y YEAR, yes BOOLEAN,
        filled INT(9) ZEROFILL)""",
    """INSERT INTO numbers VALUES
        (1, -128, -9223372036854775808, 0,
         -99999999999999999999999999999999999.999999999999999999999999999999,
         -1.7976931348623157e308, b'0', b'0', 1901, FALSE, 7),
        (2, 127, 9223372036854775807, 18446744073709551615,
         99999999999999999999999999999999999.999999999999999999999999999999,
         1.7976931348623157e308, b'1', 0xFFFFFFFFFFFFFFFF, 2155, TRUE, 0),
        (3, 0, 9007199254740993, 9007199254740993, 0.000000000000000000000000000001, 5e-324,
         NULL, 0x8000000000000001, 0000, NULL, NULL),
        (4, NULL, NULL, NULL, NULL, 0e0, NULL, NULL, NULL, NULL, NULL),
        (5, 1, 1, 1, 1, 0.1, b'1', b'1', 2000, TRUE, 1),
        (6, 1, 1, 1, 1, 3.141592653589793, b'1', b'1', 2000, TRUE, 1),
        (7, 1, 1, 1, 1, 2.2250738585072014e-308, b'1', b'1', 2000, TRUE, 1)""",
    """CREATE TABLE texts (
        id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(80), b TEXT, c CHAR(12),
        l VARCHAR(40) CHARACTER SET latin1, u VARCHAR(40) COLLATE utf8mb4_bin,
        e ENUM('', 'one', 'zwei ß', 'три'), s SET('a', 'b c', 'д'))""",
    """INSERT INTO texts (a, b, c, l, u, e, s) VALUES
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        ('', '', '', '', '', '', ''),
        ('NULL', '''NULL''', '\\\\N', 'é½ß', 'é', 'три', 'a,д'),
        ('  spaces  ', 'tab\\tnewline\\ncr\\rzero\\0sub\\Z', 'end ', '',
         'e\u0301', 'zwei ß', 'b c'),
        ('\\'"`%_;--/*', 'a);\\nDROP TABLE texts;\\n-- ', '\U0001f9e8\U0001f468\u200d\U0001f680',
         'ÿ', 'I ı İ i', 'one', 'a,b c,д'),
        ('שלום', '日本語 \u202eabc', '𠮷', 'x', 'ﬁ', 'one', '')""",
    """CREATE TABLE binaries (
        id INT AUTO_INCREMENT PRIMARY KEY, b VARBINARY(300), f BINARY(4), l BLOB, t TINYBLOB)""",
    """INSERT INTO binaries (b, f, l, t) VALUES (NULL, NULL, NULL, NULL), ('', '', '', ''),
        (0x00, 0x00000000, 0x27, 0x5C), (0x2700225C, 0xFFFFFFFF, 0x0D0A1A, 0x00)""",
    """CREATE TABLE instants (
        id INT AUTO_INCREMENT PRIMARY KEY, d DATE, dt DATETIME(6), ts TIMESTAMP(6) NULL,
        t TIME(6))""",
    """INSERT INTO instants (d, dt, ts, t) VALUES
        ('1000-01-01', '1000-01-01 00:00:00.000001', '1970-01-01 00:00:01.000001', '-838:59:59'),
        ('9999-12-31', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.499999', '838:59:59'),
        ('2024-02-29', '2025-10-26 02:30:00.5', '2025-10-26 01:30:00.5', '-00:00:00.000001'),
        (NULL, NULL, NULL, NULL)""",
    "SET SESSION sql_mode = ''",
    "INSERT INTO instants (d, dt) VALUES ('0000-00-00', '0000-00-00 00:00:00')",
    "SET SESSION sql_mode = DEFAULT",
    "CREATE TABLE documents (id INT AUTO_INCREMENT PRIMARY KEY, j JSON)",
    """INSERT INTO documents (j) VALUES (NULL), ('null'), ('""'), ('{}'),
        ('{"a b": [1, 1.5, -0.0, 9007199254740993, true, null, "\\\\u0000 \\\\" ы 🧨"]}'),
        ('[18446744073709551615, 1e300]')""",
    """CREATE TABLE computed (
        id INT PRIMARY KEY, a INT, hidden INT INVISIBLE DEFAULT 7,
        kept INT GENERATED ALWAYS AS (a * 2) STORED, shown INT GENERATED ALWAYS AS (a + 1) VIRTUAL,
        made BINARY(16) DEFAULT (UNHEX(REPEAT('1a', 16))),
        CHECK (a <> 13), KEY (kept))""",
    "INSERT INTO computed (id, a, hidden) VALUES (1, 1, 8), (2, NULL, NULL)",
    "CREATE TABLE no_key (a INT, b VARCHAR(20))",
    "INSERT INTO no_key VALUES (1, 'same'), (1, 'same'), (1, 'same'), (2, NULL), (2, NULL)",
    """CREATE TABLE parts (a INT, b DATE) PARTITION BY RANGE (a)
        (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE)""",
    "INSERT INTO parts VALUES (1, '2020-01-01'), (10, '2020-01-02'), (NULL, NULL)",
    "CREATE TABLE nothing_yet (a INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 1000",
    "CREATE TABLE wide (id INT AUTO_INCREMENT PRIMARY KEY, t LONGTEXT)",
    "CREATE TABLE busy (id INT AUTO_INCREMENT PRIMARY KEY, n INT)",
    "CREATE TABLE zero (id INT AUTO_INCREMENT PRIMARY KEY)",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "INSERT INTO zero VALUES (0), (1)",
    "SET SESSION sql_mode = DEFAULT",
    """CREATE TABLE parents (id INT PRIMARY KEY)
        COMMENT 'it''s "quoted" \\\\ ; AUTO_INCREMENT=5'""",
    """CREATE TABLE children (id INT PRIMARY KEY, parent INT,
        FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE)""",
    "INSERT INTO parents VALUES (1)",
    "INSERT INTO children VALUES (1, 1), (2, NULL)",
    f"""CREATE TABLE `{_STRANGE}`.`we``ird %s "имя" 100%` (
        `sp ace` INT, `ba``ck` INT, `per%cent` VARCHAR(20), `имя` TEXT, `select` INT)""",
    f"""INSERT INTO `{_STRANGE}`.`we``ird %s "имя" 100%` VALUES (1, 2, 'ÿ%s', 'é', NULL)""",
    "CREATE VIEW plain AS SELECT id, a FROM texts WHERE a LIKE '%;%'",
    f"""CREATE SQL SECURITY INVOKER VIEW `both` AS
        SELECT n.id, w.`per%cent` FROM numbers n JOIN `{_STRANGE}`.`we``ird %s "имя" 100%` w
        WHERE n.id = w.`sp ace`""",
    # mysqldump makes views in the order of their names: `above` would come back before `plain`,
    # which its check option needs, and no such dump restores.
    "CREATE VIEW then_above AS SELECT * FROM plain WITH LOCAL CHECK OPTION",
    """CREATE TRIGGER `before; insert` BEFORE INSERT ON children FOR EACH ROW BEGIN
        SET @last = 'it''s; a -- trigger';
        SET NEW.parent = COALESCE(NEW.parent, NULL);
    END""",
    "CREATE TRIGGER second BEFORE INSERT ON children FOR EACH ROW SET @second = 1",
    """CREATE PROCEDURE do_nothing(IN `a b` INT, OUT c TEXT) COMMENT 'ничего'
    BEGIN
        -- a comment; with a semicolon
        SET c = CONCAT('100%', `a b`);
    END""",
    "CREATE FUNCTION one_more(a INT) RETURNS INT DETERMINISTIC RETURN a + 1",
    """CREATE EVENT never ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00'
        DISABLE DO DELETE FROM busy""",
)
MYSQL = (
    """CREATE TABLE shapes (id INT AUTO_INCREMENT PRIMARY KEY,
        p POINT NOT NULL SRID 4326, g GEOMETRY, SPATIAL KEY (p))""",
    """INSERT INTO shapes (p, g) VALUES
        (ST_GeomFromText('POINT(59.4 24.7)', 4326), NULL),
        (ST_GeomFromText('POINT(-90 180)', 4326), ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))')),
        (ST_GeomFromText('POINT(0 0)', 4326), ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'))""",
    "CREATE TABLE vectors (id INT PRIMARY KEY, v VECTOR(3))",
    "INSERT INTO vectors VALUES (1, TO_VECTOR('[0.1, -2, 3e30]')), (2, NULL)",
    """CREATE TABLE functional (id INT PRIMARY KEY, a INT,
        made BINARY(16) DEFAULT (UUID_TO_BIN('6ccd780c-baba-1026-9564-5b8c656024db')),
        KEY ((a + 5)))""",
    "INSERT INTO functional (id, a) VALUES (1, 1), (2, NULL)",
)
MARIADB = (
    """CREATE TABLE shapes (id INT AUTO_INCREMENT PRIMARY KEY,
        p POINT NOT NULL, g GEOMETRY, SPATIAL KEY (p))""",
    """INSERT INTO shapes (p, g) VALUES
        (ST_GeomFromText('POINT(59.4 24.7)', 4326), NULL),
        (ST_GeomFromText('POINT(-90 180)'), ST_GeomFromText('POLYGON((0 0,0 1,1 1,1 0,0 0))'))""",
    """CREATE TABLE addresses (
        id INT AUTO_INCREMENT PRIMARY KEY, u UUID, four INET4, six INET6)""",
    """INSERT INTO addresses (u, four, six) VALUES (NULL, NULL, NULL),
        ('6ccd780c-baba-1026-9564-5b8c656024db', '255.255.255.255', '::ffff:1.2.3.4'),
        ('00000000-0000-0000-0000-000000000000', '0.0.0.0', '2001:db8::ff')""",
    """CREATE TABLE remembered (id INT PRIMARY KEY, a VARCHAR(20), b FLOAT, hidden INT INVISIBLE)
        WITH SYSTEM VERSIONING""",
    "INSERT INTO remembered VALUES (1, 'one', 0.5), (2, 'two', NULL), (3, '', 0)",
    "UPDATE remembered SET a = 'другой' WHERE id = 1",
    "DELETE FROM remembered WHERE id = 2",
    """CREATE TABLE own_period (id INT PRIMARY KEY, a INT,
        since TIMESTAMP(6) GENERATED ALWAYS AS ROW START INVISIBLE,
        until TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE,
        PERIOD FOR SYSTEM_TIME (since, until)) WITH SYSTEM VERSIONING""",
    "INSERT INTO own_period VALUES (1, 1), (2, 2)",
    "DELETE FROM own_period WHERE id = 1",
    """CREATE TABLE booked (room INT, d1 DATE, d2 DATE, PERIOD FOR stay (d1, d2),
        UNIQUE (room, stay WITHOUT OVERLAPS))""",
    "INSERT INTO booked VALUES (1, '2024-01-01', '2024-02-01'), (1, '2024-02-01', '2024-02-02')",
    "CREATE SEQUENCE `up; wards` START WITH 5 INCREMENT BY 3 CACHE 10",
    "CREATE SEQUENCE downwards INCREMENT BY -2 MINVALUE -100 MAXVALUE -1 NOCACHE",
    "CREATE SEQUENCE untouched START WITH 9223372036854775000",
    "SELECT NEXTVAL(`up; wards`), NEXTVAL(downwards)",
    "CREATE TABLE numbered (id INT DEFAULT NEXTVAL(`up; wards`) PRIMARY KEY, a INT)",
    "INSERT INTO numbered (a) VALUES (1), (2)",
    """CREATE AGGREGATE FUNCTION total(x INT) RETURNS INT DETERMINISTIC BEGIN
        DECLARE sum INT DEFAULT 0;
        DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN sum;
        LOOP FETCH GROUP NEXT ROW; SET sum = sum + x; END LOOP;
    END""",
    "SET SESSION sql_mode = ORACLE",
    "CREATE PACKAGE tools AS FUNCTION one RETURN INT; END",
    "CREATE PACKAGE BODY tools AS FUNCTION one RETURN INT AS BEGIN RETURN 1; END; END",
    "SET SESSION sql_mode = DEFAULT",
)


def in_every_collation(known: Sequence[tuple[str, str]]) -> Iterator[str]:
    """SQL for tables with a column in every collation, each given with its character set.

    Their rows are apart in case, accent or a space alone, which most collations take for equal.
    """
    # What a character set lacks becomes a question mark then, and no error.
    yield "SET SESSION sql_mode = ''"
    for at in range(0, len(known), COLUMNS):
        some = known[at : at + COLUMNS]
        table = f"torture.letters_{at // COLUMNS:02}"
        columns = ", ".join(
            f"c{number} VARCHAR(256) CHARACTER SET {letters} COLLATE {collation}"
            for number, (letters, collation) in enumerate(some)
        )
        yield f"CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, {columns})"
        for text in (f"'{LETTERS}'", "'a'", "'A'", "'a '", "''", "NULL"):
            values = ", ".join(f"CONVERT({text} USING {letters})" for letters, _ in some)
            yield f"INSERT INTO {table} SELECT NULL, {values}"
    yield "SET SESSION sql_mode = DEFAULT"
