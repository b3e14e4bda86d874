-- How far the stream has been read. It moves in the same transaction as the rows below, so every event counts once.
create table offsets (
  topic     text   not null,
  partition int    not null,
  next      bigint not null,
  primary key (topic, partition)
);

create table purchases (
  order_id    text        not null,
  product     text        not null,
  quantity    int         not null,
  price_cents int         not null,
  visitor     text        not null,
  placed_at   timestamptz not null,
  primary key (order_id, product)
);
create index purchases_of_product on purchases (product, placed_at);

create table views (
  event_id text        primary key,
  product  text        not null,
  visitor  text        not null,
  seen_at  timestamptz not null
);
create index views_of_product on views (product, seen_at);
