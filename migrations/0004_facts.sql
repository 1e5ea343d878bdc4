-- Whose the entries were when they were put in place, and a mark of their attributes: runs of equal ones.
ALTER TABLE entry ADD COLUMN facts BLOB;
