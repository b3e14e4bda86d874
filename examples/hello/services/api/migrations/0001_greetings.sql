create table greetings (
    id         uuid        primary key,
    author     text        not null check (char_length(author) between 1 and 40),
    message    text        not null check (char_length(message) between 1 and 280),
    tint       text        not null check (tint in ('sun', 'peach', 'rose', 'lilac', 'sky', 'mint')),
    created_at timestamptz not null default now()
);

create index greetings_newest on greetings (created_at desc, id);
