"""A small shop with one of everything that a fault can be done to."""

from collections.abc import Iterator
from contextlib import contextmanager

from mysql_bench import Server, server

TABLES = """
CREATE DATABASE other;
CREATE TABLE other.lonely (id INT PRIMARY KEY, t VARCHAR(20));
INSERT INTO other.lonely VALUES (1, 'one'), (2, 'two');
CREATE DATABASE shop;
CREATE ROLE reader;
CREATE USER owner@`%` IDENTIFIED BY 'x';
CREATE USER clerk@`%` IDENTIFIED BY 'x';
CREATE TABLE shop.customers (
  id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL, note VARCHAR(40),
  a VARCHAR(20), b VARCHAR(20), hidden INT INVISIBLE DEFAULT 7);
INSERT INTO shop.customers (name, note, a, b) VALUES
  ('Ada', 'first', 'x#y', 'z'), ('Zoë Ümläut щука', NULL, 'p', 'q'), ('Grace', '', 'p', 'q'),
  ('Barbara', 'last', '', 'pq');
CREATE TABLE shop.orders (
  id INT PRIMARY KEY, customer INT, amount DOUBLE, ratio FLOAT, price DECIMAL(10,2),
  placed TIMESTAMP(6) NULL, twice DOUBLE GENERATED ALWAYS AS (amount * 2) STORED,
  KEY by_time (placed),
  CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id));
INSERT INTO shop.orders (id, customer, amount, ratio, price, placed) VALUES
  (1, 1, 0.1, 0.25, 12.34, '2026-03-01 10:00:00.5'),
  (2, 2, 3.141592653589793, 2.5, 99.99, '2026-10-25 01:30:00');
CREATE TABLE shop.sent (id INT, what VARCHAR(20));
CREATE TABLE shop.received (id INT, what VARCHAR(20));
INSERT INTO shop.sent VALUES (1, 'lamp'), (2, 'table');
INSERT INTO shop.received VALUES (3, 'chair'), (4, 'carpet');
CREATE TABLE shop.tags (a INT, t VARCHAR(10));
INSERT INTO shop.tags VALUES (1, 'red'), (1, 'red'), (2, 'blue'), (2, 'blue');
CREATE TABLE shop.files (id INT PRIMARY KEY, body VARBINARY(40));
INSERT INTO shop.files VALUES (1, 0x00275C0A0D1A22), (2, 0xFFFE00);
CREATE TABLE shop.parts (a INT, t VARCHAR(10)) PARTITION BY RANGE (a)
  (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE);
INSERT INTO shop.parts VALUES (1, 'one'), (20, 'twenty');
CREATE TABLE shop.counters (a INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 1000;
CREATE TABLE shop.heartbeat (beat_at DATETIME(6));
INSERT INTO shop.heartbeat VALUES ('2026-01-01 00:00:00'), ('2026-01-01 00:00:01');
CREATE DEFINER=owner@`%` VIEW shop.named AS SELECT id, name FROM shop.customers;
CREATE DEFINER=owner@`%` TRIGGER shop.stamp BEFORE INSERT ON shop.received
  FOR EACH ROW SET NEW.what = UPPER(NEW.what);
CREATE DEFINER=owner@`%` PROCEDURE shop.greet() SELECT 'hello';
CREATE DEFINER=owner@`%` FUNCTION shop.half(a INT) RETURNS INT DETERMINISTIC RETURN a / 2;
CREATE DEFINER=owner@`%` EVENT shop.tidy ON SCHEDULE EVERY 1 YEAR STARTS '2099-01-01 00:00:00'
  DO DELETE FROM shop.tags;
GRANT SELECT ON shop.* TO reader;
GRANT reader TO clerk@`%`;
GRANT ALL ON shop.* TO owner@`%`;
"""

STATEMENTS = tuple(one.strip() for one in TABLES.split(";\n") if one.strip())


@contextmanager
def shop() -> Iterator[Server]:
    """A server of its own with the shop."""
    with server() as made:
        made.run(*STATEMENTS)
        yield made
