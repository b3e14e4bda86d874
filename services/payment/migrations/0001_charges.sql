create table charges (
  key          text        primary key,            -- the caller's: the same key is the same charge, for ever
  fingerprint  text        not null,               -- of what was asked for under that key
  amount_cents integer     not null check (amount_cents > 0),
  currency     text        not null,
  card_last4   text        not null,
  status       text        not null check (status in ('pending', 'paid', 'declined')),
  reference    text,                               -- the card processor's
  reason       text,                               -- why it was declined
  created_at   timestamptz not null default now(),
  settled_at   timestamptz
);
