create table orders (
  id             uuid        primary key,            -- the buyer's page chooses it: sending a form twice buys once
  visitor        text        not null,
  name           text        not null,
  email          text        not null,
  street         text        not null,
  postcode       text        not null,
  city           text        not null,
  gift_note      text        not null default '',
  subtotal_cents integer     not null,
  shipping_cents integer     not null,
  total_cents    integer     not null,
  status         text        not null check (status in ('pending', 'paid', 'declined')),
  reason         text        not null default '',
  reference      text        not null default '',    -- the payment's
  placed_at      timestamptz not null default now()
);
create index orders_of_visitor on orders (visitor, placed_at desc);

create table lines (
  order_id    uuid    not null references orders on delete cascade,
  position    integer not null,
  product     text    not null,
  name        text    not null,
  size        text    not null,
  quantity    integer not null check (quantity > 0),
  price_cents integer not null,
  primary key (order_id, position)
);

-- Written in the same transaction as what it tells of, so that no event is lost and none is told of what did not happen.
create table outbox (
  id      bigserial   primary key,
  event   jsonb       not null,
  sent_at timestamptz
);
create index outbox_unsent on outbox (id) where sent_at is null;
