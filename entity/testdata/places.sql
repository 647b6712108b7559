-- What the tests' requests ask for, once all changes are made.
UPDATE teams SET motto = 'Onwards', lead_id = 1 WHERE id = 1;
INSERT INTO followers VALUES (1, 1, '2026-03-01 09:30:00'), (1, 2, '2026-03-02 09:30:00'), (1, 3, '2026-03-03 09:30:00'), (2, 3, '2026-03-04 09:30:00');
INSERT INTO sites VALUES (1, 'Harbour'), (2, 'Hill');
