-- The owner of the entries at their installation, and a digest of their attributes, run-length encoded.
ALTER TABLE entry ADD COLUMN facts BLOB;
