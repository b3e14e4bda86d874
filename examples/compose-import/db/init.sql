CREATE TABLE books (id serial PRIMARY KEY, title text NOT NULL, read_at timestamptz);
INSERT INTO books (title) VALUES ('Middlemarch'), ('The Odyssey'), ('Ficciones');
