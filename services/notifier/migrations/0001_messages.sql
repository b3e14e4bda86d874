create table messages (
  event_id   text        primary key,   -- the order's event: however often it is read, it is one letter
  order_id   text        not null,
  recipient  text        not null,
  subject    text        not null,
  body       text        not null,
  written_at timestamptz not null default now()
);
create index messages_of_order on messages (order_id);
